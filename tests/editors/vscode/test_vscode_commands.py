"""The extension's commands, its status item and its settings in a real VS Code."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.editors.conftest import HEAD, LINE
from tests.editors.neovim import wait_for
from tests.editors.vscode.conftest import Session, Start, new_repository
from tests.editors.vscode.workbench import EXTENSION

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

STATUS_BAR = "document.querySelector('.part.statusbar').innerText"
BAR = "document.querySelector('.statusbar-item[id$=\"hef-lsp.status\"]:not(.hidden)')?.ariaLabel ?? ''"
GHOST = "turn area(width, height) * 2"


@pytest.fixture(scope="module")
def session(start_vscode: Start) -> Session:
    session = start_vscode(settings={"editor.quickSuggestions": {"other": "off"}})
    session.vscode.edit(session.folder / "first.py", "")
    session.vscode.wait_for_status("Ready")
    return session


def test_every_command_is_there(session: Session) -> None:
    declared = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))["contributes"]["commands"]
    known = session.vscode.api("return await vscode.commands.getCommands(true)")
    assert {command["command"] for command in declared} <= set(known)
    assert len(declared) == 16
    session.vscode.press("F1")
    session.vscode.type("hef-lsp: ")
    wait_for(
        lambda: session.vscode.evaluate("document.querySelectorAll('.quick-input-list-row').length > 5"),
        "a list",
    )
    session.vscode.screenshot("commands")
    session.vscode.press("Escape")


def test_the_context_of_the_last_suggestion_is_shown_and_opened(session: Session) -> None:
    vscode = session.vscode
    vscode.edit(session.folder / "context.py", HEAD)
    vscode.type("    re")
    vscode.wait_for_ghost(GHOST)
    vscode.api("void vscode.commands.executeCommand('hef-lsp.showContext')")
    wait_for(
        lambda: "shapes.py:1-2" in vscode.evaluate("document.querySelector('.quick-input-widget').innerText"),
        "it",
    )
    vscode.screenshot("context")
    vscode.type("shapes.py:1")
    vscode.press("Enter")
    opened = "return vscode.window.activeTextEditor.document.fileName.split('/').pop()"
    wait_for(lambda: vscode.api(opened) == "shapes.py", "the place")
    assert vscode.api("return vscode.window.activeTextEditor.selection.start.line") == 0


def test_accept_and_kept_rates_are_told(session: Session) -> None:
    vscode = session.vscode
    vscode.command("hef-lsp.restart")
    vscode.wait_for_status("Ready")
    vscode.api("void vscode.commands.executeCommand('hef-lsp.showRates')")
    vscode.wait_for_notification("no suggestion was shown yet; 0 were held back as unsure")
    vscode.clear_notifications()
    vscode.edit(session.folder / "rates.py", HEAD)
    vscode.type("    re")
    vscode.wait_for_ghost(GHOST)
    vscode.press("Tab")
    vscode.wait_for_text(HEAD + LINE.rstrip())
    vscode.api("void vscode.commands.executeCommand('hef-lsp.showRates')")
    assert "1 of these still there (100 %)" in vscode.wait_for_notification("1 accepted")
    vscode.screenshot("rates")
    vscode.clear_notifications()


def test_indexing_pauses_and_resumes(session: Session) -> None:
    vscode = session.vscode
    vscode.command("hef-lsp.pause")
    vscode.wait_for_status("Indexing is paused")
    vscode.hover('[id="status.languageStatus"]')
    wait_for(
        lambda: vscode.evaluate("document.querySelector('.workbench-hover')?.innerText.includes('Resume')"),
        "it",
    )
    vscode.screenshot("paused")
    vscode.command("hef-lsp.resume")
    vscode.wait_for_status("Ready")
    vscode.command("hef-lsp.reindex")
    vscode.wait_for_status("Ready")


def test_suggestions_are_turned_off_and_on_everywhere_in_a_workspace_and_in_a_language(
    session: Session,
) -> None:
    vscode = session.vscode
    vscode.edit(session.folder / "toggled.py", HEAD)
    for command, off in [
        ("toggle", "Suggestions are off"),
        ("toggleLanguage", "Suggestions are off for python"),
        ("toggleWorkspace", "Suggestions are off"),
    ]:
        vscode.command(f"hef-lsp.{command}")
        vscode.wait_for_status(off)
        vscode.command(f"hef-lsp.{command}")
        vscode.wait_for_status("Ready")
    assert json.loads((session.folder / ".vscode" / "settings.json").read_text(encoding="utf-8")) == {
        "hef-lsp.completion.enabled": True
    }
    vscode.type("    re")
    vscode.wait_for_ghost(GHOST)


def test_in_a_language_that_is_not_served_the_toggles_say_so(session: Session) -> None:
    vscode = session.vscode
    vscode.edit(session.folder / "notes.md", "# Notes\n")
    wait_for(lambda: not bar(session), "the item to go", lambda: bar(session))
    vscode.api("void vscode.commands.executeCommand('hef-lsp.toggleLanguage')")
    vscode.wait_for_notification("no suggestions are made in markdown, which hef-lsp.languages does not name")
    vscode.clear_notifications()
    disabled = "return vscode.workspace.getConfiguration('hef-lsp').get('completion.disabledLanguages')"
    assert vscode.api(disabled) == []
    for said in ("suggestions are off", "suggestions are on, but not in markdown (hef-lsp.languages)"):
        vscode.command("hef-lsp.toggle")
        wait_for(lambda: said in vscode.evaluate(STATUS_BAR), repr(said))  # noqa: B023


def test_a_snooze_is_chosen_shown_and_ended(session: Session) -> None:
    vscode = session.vscode
    vscode.edit(session.folder / "snoozed.py", HEAD)
    wait_for(lambda: "Ready" in bar(session), "the item", lambda: bar(session))
    choose(session, "hef-lsp.snoozeSuggestions", "30 minutes")
    vscode.wait_for_status("Suggestions are snoozed until")
    assert "Suggestions are snoozed until" in bar(session)
    vscode.screenshot("snoozed")
    vscode.type("    re")
    vscode.press("Alt+Backslash")
    vscode.wait_for_ghost(GHOST)
    vscode.press("Escape")
    choose(session, "hef-lsp.snoozeSuggestions", "End the snooze")
    vscode.wait_for_status("Ready")
    vscode.type("t")
    vscode.wait_for_ghost(GHOST[1:])
    vscode.press("Escape")


def test_a_subtle_suggestion_waits_for_its_key(session: Session) -> None:
    vscode = session.vscode
    vscode.edit(session.folder / "subtle.py", HEAD)
    vscode.command("hef-lsp.toggleSubtle")
    time.sleep(1)  # the server has taken it over
    vscode.type("    re")
    time.sleep(1)
    assert vscode.ghost() == ""
    vscode.press("Alt+Backslash")
    vscode.wait_for_ghost(GHOST)
    vscode.press("Escape")
    vscode.command("hef-lsp.toggleSubtle")


def test_the_walkthrough_is_shown(session: Session) -> None:
    vscode = session.vscode
    vscode.command("workbench.action.openWalkthrough", "hef-lsp.hef-lsp#start", False)
    steps = "[...document.querySelectorAll('.getting-started-step h3')].map((step) => step.textContent)"
    wait_for(lambda: len(vscode.evaluate(steps)) == 5, "the steps", lambda: str(vscode.evaluate(steps)))
    vscode.screenshot("walkthrough")
    vscode.command("workbench.action.closeActiveEditor")


def test_a_file_in_which_nothing_is_suggested_says_why(session: Session) -> None:
    vscode = session.vscode
    (session.folder / ".gitignore").write_text("ignored.py\n", encoding="utf-8")
    vscode.edit(session.folder / "ignored.py", HEAD)
    vscode.wait_for_status("No suggestions in this file.")
    vscode.api("void vscode.commands.executeCommand('hef-lsp.showStatus')")
    assert ".hefignore" in vscode.wait_for_notification("The file is ignored")
    vscode.clear_notifications()
    vscode.edit(session.folder / "other.py", HEAD)
    vscode.wait_for_status("Ready")


def test_a_wrong_setting_is_told_once_and_the_others_hold(session: Session) -> None:
    vscode = session.vscode
    vscode.configure(**{"hef-lsp__completion__maxLines": 0})
    vscode.wait_for_notification("completion.maxLines")
    vscode.configure(**{"hef-lsp__completion__maxLines": None})
    vscode.clear_notifications()


def test_the_extension_s_own_settings_are_kept_from_the_server(session: Session) -> None:
    answers = [
        entry["message"]["result"]
        for entry in session.messages()
        if entry["from"] == "editor" and isinstance(entry["message"].get("result"), list)
    ]
    sections = [section for answer in answers for section in answer if isinstance(section, dict)]
    assert sections
    assert all("completion" in section and "path" not in section for section in sections)


def test_the_doctor_s_report_is_shown(start_vscode: Start) -> None:
    session = start_vscode(load_error="The folder is empty.")
    vscode = session.vscode
    vscode.edit(session.folder / "ill.py", HEAD)
    vscode.wait_for_status("No model")
    vscode.api("void vscode.commands.executeCommand('hef-lsp.showStatus')")
    vscode.wait_for_notification("The folder is empty.")
    vscode.screenshot("no-model")
    vscode.clear_notifications()
    vscode.command("hef-lsp.doctor")
    report = vscode.text()
    assert "python:" in report
    assert vscode.api("return vscode.window.activeTextEditor.document.uri.scheme") == "hef-lsp-doctor"
    vscode.screenshot("doctor")


def test_each_folder_of_a_workspace_has_its_index_and_its_settings(start_vscode: Start) -> None:
    def prepare(folder: Path) -> None:
        off = {"hef-lsp.completion.enabled": False}
        for name, settings in {"one": {}, "two": off}.items():
            new_repository(folder / name)
            (folder / name / ".vscode").mkdir()
            (folder / name / ".vscode" / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        both = {"folders": [{"path": "one"}, {"path": "two"}]}
        (folder / "both.code-workspace").write_text(json.dumps(both), encoding="utf-8")

    arguments = {"hef-lsp.args": ["--json"]}  # which only the doctor heeds
    session = start_vscode(prepare=prepare, place="both.code-workspace", settings=arguments)
    vscode = session.vscode
    vscode.edit(session.folder / "two" / "off.py", HEAD)
    vscode.wait_for_status("Suggestions are off")
    vscode.edit(session.folder / "one" / "on.py", HEAD)
    vscode.wait_for_status("Ready")
    vscode.type("    re")
    vscode.wait_for_ghost(GHOST)
    vscode.command("hef-lsp.doctor")
    first, second = vscode.text().split(f"{session.folder / 'two'}\n\n")
    assert first.startswith(f"{session.folder / 'one'}\n\n{{")
    assert {"ok", "findings"} <= json.loads(second).keys()


def bar(session: Session) -> str:
    """What the item in the status bar says, empty where there is none."""
    label: str = session.vscode.evaluate(BAR)
    return label


def choose(session: Session, command: str, label: str) -> None:
    """Run a command that asks, and choose."""
    vscode = session.vscode
    vscode.api("void vscode.commands.executeCommand(command)", command=command)
    listed = "document.querySelector('.quick-input-widget')?.innerText ?? ''"
    wait_for(lambda: label in vscode.evaluate(listed), repr(label), lambda: vscode.evaluate(listed))
    vscode.type(label)
    vscode.press("Enter")


def test_the_cells_of_a_notebook_are_read_as_one(start_vscode: Start) -> None:
    first, last = "from shapes import area", "def double(width, height):\n"
    session = start_vscode(targets=[f"{first}\n\n{last}{LINE}"])
    vscode = session.vscode
    vscode.api(
        """const cell = (text) => new vscode.NotebookCellData(vscode.NotebookCellKind.Code, text, 'python');
        const data = new vscode.NotebookData([cell(first), cell(last)]);
        const notebook = await vscode.workspace.openNotebookDocument('jupyter-notebook', data);
        await vscode.window.showNotebookDocument(notebook, { selections: [new vscode.NotebookRange(1, 2)] });
        await vscode.commands.executeCommand('notebook.cell.edit');
        await vscode.commands.executeCommand('cursorBottom')""",
        first=first,
        last=last + "    r",
    )
    vscode.wait_for_status("Ready")
    vscode.type("e")
    vscode.wait_for_ghost(GHOST)
    vscode.screenshot("notebook")
    vscode.press("Tab")
    cells = (
        "return vscode.window.activeNotebookEditor.notebook.getCells().map((cell) => cell.document.getText())"
    )
    wait_for(lambda: vscode.api(cells) == [first, last + LINE.rstrip()], "the cell's text")
