"""The product as users have it, the embedded model included, in a real VS Code."""

from __future__ import annotations

import pytest

from model.checkpoint import EMBEDDED_FOLDER
from tests.editors.conftest import REAL_FILE, REAL_LINE, REAL_SETTINGS, real_repository
from tests.editors.neovim import wait_for
from tests.editors.vscode.conftest import EMBEDDED_SERVER, Start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(500),
    pytest.mark.skipif(not EMBEDDED_FOLDER.is_dir(), reason="this checkout has no embedded model"),
]

# Only for people: nothing but the editor and the status bar, in letters that a smaller picture leaves readable.
LOOKS = {
    "breadcrumbs.enabled": False,
    "editor.fontSize": 18,
    "editor.renderLineHighlight": "none",
    "editor.stickyScroll.enabled": False,
    "workbench.activityBar.location": "hidden",
    "workbench.colorTheme": "Default Dark Modern",
}


def test_what_the_embedded_model_suggests_is_shown_and_accepted(start_vscode: Start) -> None:
    settings = {**LOOKS, "hef-lsp.model.deadlineMs": REAL_SETTINGS["model"]["deadlineMs"]}
    session = start_vscode(server=EMBEDDED_SERVER, settings=settings, prepare=real_repository)
    vscode, file = session.vscode, session.folder / REAL_FILE
    vscode.resize(1080, 540)
    vscode.command("workbench.action.closeSidebar")
    before = file.read_text(encoding="utf-8")
    vscode.edit(file, before)
    vscode.wait_for_status("Ready")
    vscode.type(REAL_LINE)
    vscode.press("Enter")
    vscode.command("revealLine", {"lineNumber": before.count("\n"), "at": "center"})
    wait_for(vscode.shown_line, "ghost text", vscode.before_cursor)
    vscode.settle()
    shown = "\n".join([vscode.shown_line(), *vscode.ghost().split("\n")[1:]])
    vscode.screenshot("embedded")
    vscode.press("Tab")
    vscode.wait_for_text(f"{before}{REAL_LINE}\n{shown}")
    accepted = vscode.command("hef-lsp.status")["suggestions"]["accepted"]
    assert accepted == 1
    vscode.press("Escape")  # the next suggestion
    vscode.hover('[id="status.languageStatus"]')
    wait_for(lambda: vscode.evaluate("document.querySelector('.workbench-hover')?.innerText.includes('Details')"), "it")
    vscode.screenshot("embedded-status")
    vscode.api("void vscode.commands.executeCommand('hef-lsp.showContext')")
    wait_for(lambda: vscode.evaluate("!!document.querySelector('.quick-input-list-row, .quick-input-list')"), "it")
    vscode.screenshot("embedded-context")
