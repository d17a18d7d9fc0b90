"""The product as users have it, with the tiny embedded model, in a real VS Code."""

from __future__ import annotations

import pytest

from model.checkpoint.opening import EMBEDDED_FOLDER
from tests.editors.conftest import EMBEDDED_SERVER, PATIENT, REAL_FILE, REAL_LINE, real_repository
from tests.editors.neovim import shown_within, wait_for
from tests.editors.vscode.conftest import Start
from tests.editors.vscode.workbench import LOOKS, Workbench

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(500),
    pytest.mark.skipif(not EMBEDDED_FOLDER.is_dir(), reason="this checkout has no embedded model"),
]

BY_ITSELF_SECONDS = 10.0


def test_what_the_embedded_model_suggests_is_shown_and_accepted(start_vscode: Start) -> None:
    settings = {**LOOKS, "hef-lsp.model.deadlineMs": PATIENT["model"]["deadlineMs"]}
    settings["hef-lsp.drafts.packages"] = (
        False  # reading them takes minutes on a busy machine, and the status says so
    )
    session = start_vscode(server=EMBEDDED_SERVER, settings=settings, prepare=real_repository)
    vscode, file = session.vscode, session.folder / REAL_FILE
    vscode.resize(1080, 460)
    vscode.command("workbench.action.closeSidebar")
    before = file.read_text(encoding="utf-8")
    vscode.edit(file, before)
    vscode.wait_for_status("Ready")
    vscode.type(REAL_LINE)
    vscode.press("Enter")
    vscode.command("revealLine", {"lineNumber": before.count("\n"), "at": "center"})
    if not shown_within(vscode.ghost, BY_ITSELF_SECONDS):
        vscode.press("Alt+Backslash")  # a model that is not sure enough of itself is silent unless asked
    wait_for(vscode.ghost, "ghost text", vscode.before_cursor)
    vscode.settle()
    shown = "\n".join([vscode.shown_line(), *vscode.ghost().split("\n")[1:]])
    vscode.screenshot("embedded")
    vscode.press("Tab")
    vscode.wait_for_text(f"{before}{REAL_LINE}\n{shown}")
    assert vscode.command("hef-lsp.status")["suggestions"]["accepted"] == 1
    show_more(vscode)


def show_more(vscode: Workbench) -> None:
    """For people: what comes next, where it came from, and how things are."""
    shown_within(vscode.ghost, BY_ITSELF_SECONDS)
    vscode.screenshot("embedded-next")
    vscode.press("Escape")
    vscode.api("void vscode.commands.executeCommand('hef-lsp.showContext')")
    wait_for(
        lambda: vscode.evaluate("!!document.querySelector('.quick-input-list-row, .quick-input-list')"), "it"
    )
    vscode.screenshot("embedded-context")
    vscode.press("Escape")
    vscode.hover('[id="status.languageStatus"]')
    wait_for(
        lambda: vscode.evaluate("document.querySelector('.workbench-hover')?.innerText.includes('Details')"),
        "it",
    )
    vscode.screenshot("embedded-status")
