"""Next edits in a real VS Code: the place is marked, Tab goes there, Tab again makes it, Esc dismisses it."""

from __future__ import annotations

import time

import pytest

from tests.editors.conftest import HEAD, LINE
from tests.editors.neovim import wait_for
from tests.editors.vscode.conftest import Session, Start
from tests.editors.vscode.workbench import CURSOR, LOOKS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TEXT = "x = fetch(a, 1, 'é')\n" + "\n" * 6 + "log.warn(x)\nif x:\n    log.warn(x, 2)\nlog.info(x)\n"
RENAMED = TEXT.replace("log.warn(x)", "log.warning(x)")
BOTH = RENAMED.replace("log.warn(x, 2)", "log.warning(x, 2)")
QUIET_SECONDS = 1.5  # an offer would have come by then


@pytest.fixture(scope="module")
def session(start_vscode: Start) -> Session:
    settings = LOOKS | {"editor.quickSuggestions": {"other": "off"}, "editor.parameterHints.enabled": False}
    settings["hef-lsp.edits.minConfidence"] = 0.4  # these documents are small
    suggested = RENAMED.partition("log.warning(x)")[0] + "log.warning(x) + fetch(x)"
    session = start_vscode(settings=settings, targets=[HEAD + LINE, "# suggested\n" + suggested])
    session.vscode.resize(860, 420)
    session.vscode.command("workbench.action.closeSidebar")
    session.vscode.edit(session.folder / "first.py", "")
    session.vscode.wait_for_status("Ready")
    return session


def marked(session: Session) -> list[str]:
    return sorted(session.vscode.attached())


def offered(session: Session, called: str, text: str = TEXT) -> str:
    """Rename one call by hand and wait for the other one to be offered. What was refused stays so: each its own."""
    text = text.replace("warn", called)
    session.vscode.edit(session.folder / f"{called}.py", text.replace(f"{called}(x)", f"{called}{CURSOR}(x)"))
    session.vscode.type("ing")
    renamed = text.replace(f"{called}(x)", f"{called}ing(x)")
    session.vscode.wait_for_text(renamed)
    expected = sorted([f"{called}ing", "⇥ next edit: line 10"])
    wait_for(lambda: marked(session) == expected, "the place to be marked", lambda: str(marked(session)))
    return renamed


def line(session: Session) -> int:
    """The cursor's, counted from 1."""
    found: int = session.vscode.api("return vscode.window.activeTextEditor.selection.active.line + 1")
    return found


@pytest.mark.parametrize(("called", "ends"), [("warn", "\n"), ("shout", "\r\n")])
def test_tab_goes_there_and_again_makes_it_in_one_step(session: Session, called: str, ends: str) -> None:
    vscode = session.vscode
    renamed = offered(session, called, TEXT.replace("\n", ends))
    vscode.screenshot(f"next-edit-{called}")
    vscode.press("Tab")
    wait_for(lambda: line(session) == 10, "the cursor to go there")
    assert vscode.text() == renamed
    wait_for(lambda: marked(session) == [f"{called}ing"], "the hint to go", lambda: str(marked(session)))
    vscode.press("Tab")
    vscode.wait_for_text(renamed.replace(f"{called}(x, 2)", f"{called}ing(x, 2)"))
    assert marked(session) == []
    vscode.press("Control+z")
    vscode.wait_for_text(renamed)


def test_what_is_dismissed_is_gone_and_tab_is_a_tab_again(session: Session) -> None:
    renamed = offered(session, "alarm")
    session.vscode.press("Escape")
    wait_for(lambda: marked(session) == [], "the mark to go")
    session.vscode.press("End")
    session.vscode.type(" ")
    time.sleep(QUIET_SECONDS)
    assert marked(session) == []
    session.vscode.press("Tab")
    session.vscode.wait_for_text(renamed.replace("alarming(x)", "alarming(x)     "))


def test_a_renamed_variable_is_offered_at_all_its_places_and_undone_in_one_step(session: Session) -> None:
    vscode = session.vscode
    text = "def area(width, height):\n    if width < 0:\n        return 0\n    return width * height\n"
    vscode.edit(session.folder / "scope.py", text.replace("width,", f"width{CURSOR},"))
    vscode.type("s")
    wait_for(lambda: marked(session).count("widths") == 2, "the places", lambda: str(marked(session)))
    vscode.screenshot("next-edit-rename")
    vscode.press("Tab", "Tab")
    vscode.wait_for_text(text.replace("width", "widths"))
    vscode.press("Control+z")
    vscode.wait_for_text(text.replace("width,", "widths,"))


def test_an_edit_of_another_file_is_gone_to_there(session: Session) -> None:
    vscode = session.vscode
    vscode.edit(session.folder / "there.py", "import log\nlog.tell(1, 2)\n")
    other = session.folder / "here.py"
    other.write_text("import log\nlog.tell(1)\n", encoding="utf-8")
    vscode.api(
        """const document = await vscode.workspace.openTextDocument(path);
        const cursor = new vscode.Position(1, 8);
        await vscode.window.showTextDocument(document, { selection: new vscode.Range(cursor, cursor) })""",
        path=str(other),
    )
    vscode.settle()
    vscode.type("ing")
    wait_for(lambda: "⇥ next edit: line 2 of there.py" in marked(session), "it", lambda: str(marked(session)))
    vscode.press("Tab")
    wait_for(lambda: vscode.text() == "import log\nlog.tell(1, 2)\n", "the other file")
    assert line(session) == 2
    vscode.press("Tab")
    vscode.wait_for_text("import log\nlog.telling(1, 2)\n")


def test_an_inline_suggestion_goes_first_and_takes_the_keys(session: Session) -> None:
    vscode = session.vscode
    text = "# suggested\n" + TEXT
    vscode.edit(session.folder / "beside.py", text.replace("warn(x)", f"warn{CURSOR}(x)"))
    vscode.type("ing")
    vscode.press("End")
    vscode.type(" ")
    vscode.wait_for_ghost("+ fetch(x)")
    time.sleep(QUIET_SECONDS)
    assert marked(session) == []
    vscode.press("Tab")
    vscode.wait_for_text(text.replace("log.warn(x)", "log.warning(x) + fetch(x)"))


def test_switched_off_nothing_is_offered(session: Session) -> None:
    vscode = session.vscode
    offered(session, "inform")
    vscode.configure(**{"hef-lsp__edits__enabled": False})
    try:
        wait_for(lambda: marked(session) == [], "the mark to go")
        vscode.edit(session.folder / "off.py", TEXT.replace("warn(x)", f"warn{CURSOR}(x)"))
        vscode.type("ing")
        time.sleep(QUIET_SECONDS)
        assert marked(session) == []
    finally:
        vscode.configure(**{"hef-lsp__edits__enabled": None})
