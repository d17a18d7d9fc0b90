"""What a person types and sees in a real VS Code, against the real server with a scripted model."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from tests.editors.conftest import BLOCK, BLOCK_HEAD, HEAD, LINE
from tests.editors.neovim import wait_for
from tests.editors.vscode.conftest import Session, Start
from tests.editors.vscode.workbench import CURSOR

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Case:
    """In `file`, at its cursor, `typed` brings up `ghost`; accepted, the file reads `after`."""

    file: str
    typed: str
    ghost: str
    after: str

    @property
    def target(self) -> str:
        """What the model knows by heart. It reads text with plain line ends."""
        return self.after.replace("\r\n", "\n")


CRLF_HEAD = "# dos\r\n" + HEAD.replace("\n", "\r\n")
WIDE_HEAD = "# 🦉 é\n" + HEAD
TAB_HEAD = "# tabs\n" + HEAD + "\tif width:\n\t\treturn 0\n"
LONG_HEAD = "".join(f"value_{number} = {number}\n" for number in range(20_000)) + HEAD
CASES = {
    "line": Case(HEAD, "    re", "turn area(width, height) * 2", HEAD + LINE.rstrip()),
    "block": Case(BLOCK_HEAD, "    ", BLOCK.strip(), BLOCK_HEAD + BLOCK.rstrip()),
    "crlf": Case(CRLF_HEAD, "    ", BLOCK.strip(), CRLF_HEAD + BLOCK.rstrip().replace("\n", "\r\n")),
    "wide characters before": Case(
        WIDE_HEAD, "    # 🦉\n", BLOCK.strip(), WIDE_HEAD + "    # 🦉\n" + BLOCK.rstrip()
    ),
    "tabs": Case(TAB_HEAD, "\treturn w", "idth * height", TAB_HEAD + "\treturn width * height"),
    "auto-closed bracket": Case(  # the closer that VS Code put in stays between two pieces of ghost text
        "# closed\n" + HEAD, "    return area(", "width, height * 2", "# closed\n" + HEAD + LINE.rstrip()
    ),
    "before the rest of a line": Case(
        "# rest\n" + HEAD + f"    return area({CURSOR}) * 2\n", "w", "idth, height", "# rest\n" + HEAD + LINE
    ),
    "20,000 lines": Case(LONG_HEAD, "    re", "turn area(width, height) * 2", LONG_HEAD + LINE.rstrip()),
}


@pytest.fixture(scope="module")
def session(start_vscode: Start) -> Session:
    settings = {"editor.quickSuggestions": {"other": "off"}, "editor.parameterHints.enabled": False}
    session = start_vscode(settings=settings, targets=[case.target for case in CASES.values()])
    session.vscode.edit(session.folder / "first.py", "")
    session.vscode.wait_for_status("Ready")
    return session


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_is_shown_is_what_acceptance_puts_in(
    session: Session, case: Case, request: pytest.FixtureRequest
) -> None:
    vscode, before = session.vscode, accepted(session)
    name = request.node.callspec.id.replace(" ", "-")
    vscode.edit(session.folder / f"{name}.py", case.file)
    vscode.type(case.typed)
    vscode.wait_for_ghost(case.ghost)
    vscode.screenshot(f"typing-{name}")
    vscode.press("Tab")
    vscode.wait_for_text(case.after)
    assert vscode.ghost() == ""
    wait_for(lambda: accepted(session) == before + 1, "the accept command")


def test_words_and_lines_are_taken_one_by_one_and_the_rest_stays(session: Session) -> None:
    vscode, before = session.vscode, accepted(session)
    first, second, third = BLOCK.splitlines()
    vscode.edit(session.folder / "parts.py", BLOCK_HEAD)
    vscode.type("    ")
    vscode.wait_for_ghost(BLOCK.strip())
    vscode.press("Control+ArrowRight")
    vscode.wait_for_text(BLOCK_HEAD + "    first")
    vscode.wait_for_ghost(BLOCK.strip().removeprefix("first"))
    vscode.press("Control+ArrowDown")
    vscode.wait_for_text(BLOCK_HEAD + first + "\n")
    vscode.wait_for_ghost(f"{second}\n{third}")
    vscode.press("Control+ArrowDown")
    vscode.wait_for_text(BLOCK_HEAD + first + "\n" + second + "\n")
    assert accepted(session) == before
    vscode.wait_for_ghost(third)
    vscode.press("Control+ArrowDown")
    vscode.wait_for_text(BLOCK_HEAD + BLOCK.rstrip())


def test_a_suggestion_is_asked_for_by_a_key_where_automatic_ones_are_off(session: Session) -> None:
    vscode = session.vscode
    vscode.configure(**{"hef-lsp__completion__automatic": False})
    try:
        vscode.edit(session.folder / "asked.py", HEAD)
        vscode.type("    re")
        assert not is_shown_within_a_second(session)
        vscode.press("Alt+Backslash")
        vscode.wait_for_ghost("turn area(width, height) * 2")
    finally:
        vscode.configure(**{"hef-lsp__completion__automatic": None})


def test_a_dismissed_suggestion_is_gone_and_tab_is_a_tab_again(session: Session) -> None:
    vscode = session.vscode
    vscode.edit(session.folder / "dismissed.py", HEAD)
    vscode.type("    re")
    vscode.wait_for_ghost("turn area(width, height) * 2")
    vscode.press("Escape")
    wait_for(lambda: vscode.ghost() == "", "the ghost text to go")
    vscode.press("Tab")
    vscode.wait_for_text(HEAD + "    re  ")


def test_in_a_snippet_nothing_is_suggested_and_tab_goes_to_the_next_place(session: Session) -> None:
    vscode = session.vscode
    vscode.edit(session.folder / "snippet.py", HEAD)
    vscode.api(
        "await vscode.window.activeTextEditor.insertSnippet(new vscode.SnippetString(snippet))",
        snippet="    ${1:re}\n    ${2:pass}\n",
    )
    vscode.type("re")
    assert not is_shown_within_a_second(session)
    vscode.press("Tab")
    vscode.type("done")
    vscode.wait_for_text(HEAD + "    re\n    done\n")


def test_a_selection_in_the_menu_is_followed_and_never_doubled(session: Session) -> None:
    vscode = session.vscode
    vscode.edit(session.folder / "menu.py", HEAD)
    vscode.type("    return ar")
    vscode.press("Control+Space")
    wait_for(
        lambda: vscode.evaluate("!!document.querySelector('.suggest-widget.visible .focused')"), "the menu"
    )
    vscode.wait_for_ghost("ea")  # VS Code's own: while the menu is open it shows its choice alone
    asked = [entry["message"]["params"]["context"] for entry in session.messages() if is_request(entry)]
    assert asked[-1]["selectedCompletionInfo"]["text"] == "area"
    vscode.screenshot("menu")
    vscode.press("Tab")
    vscode.wait_for_text(HEAD + "    return area")
    vscode.wait_for_ghost("(width, height) * 2")
    vscode.press("Tab")
    vscode.wait_for_text(HEAD + LINE.rstrip())


def test_in_the_middle_of_a_word_its_rest_is_not_suggested_again(session: Session) -> None:
    vscode = session.vscode
    vscode.edit(session.folder / "middle.py", HEAD + f"    return {CURSOR}rea(width, height) * 2")
    vscode.type("a")
    assert not is_shown_within_a_second(session)
    assert vscode.text() == HEAD + LINE.rstrip()


def test_an_unnamed_buffer_gets_suggestions(session: Session) -> None:
    vscode = session.vscode
    vscode.api(
        """const document = await vscode.workspace.openTextDocument({ language: 'python', content });
        const cursor = document.positionAt(content.length);
        await vscode.window.showTextDocument(document, { selection: new vscode.Range(cursor, cursor) })""",
        content=HEAD,
    )
    vscode.settle()
    vscode.type("    re")
    vscode.wait_for_ghost("turn area(width, height) * 2")
    vscode.press("Tab")
    vscode.wait_for_text(HEAD + LINE.rstrip())


def test_a_read_only_file_stays_as_it_is(session: Session) -> None:
    vscode = session.vscode
    vscode.edit(session.folder / "locked.py", HEAD + "    re")
    vscode.command("workbench.action.files.setActiveEditorReadonlyInSession")
    vscode.type("t")
    vscode.press("Alt+Backslash")
    assert not is_shown_within_a_second(session)
    vscode.press("Tab")
    assert vscode.text() == HEAD + "    re"


def accepted(session: Session) -> int:
    """How many acceptances the server has heard of."""
    count: int = session.vscode.command("hef-lsp.status")["suggestions"]["accepted"]
    return count


def is_request(entry: dict[str, object]) -> bool:
    message = entry["message"]
    return isinstance(message, dict) and message.get("method") == "textDocument/inlineCompletion"


def is_shown_within_a_second(session: Session) -> bool:
    end = time.monotonic() + 1
    while time.monotonic() < end:
        if session.vscode.ghost():
            return True
        time.sleep(0.05)
    return False
