"""The product as users have it, the embedded model included, in a real VS Code."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from model.checkpoint import EMBEDDED_FOLDER
from tests.editors.neovim import wait_for
from tests.editors.vscode.conftest import EMBEDDED_SERVER, Start
from tests.editors.vscode.workbench import CURSOR, ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(500),
    pytest.mark.skipif(not EMBEDDED_FOLDER.is_dir(), reason="this checkout has no embedded model"),
]

BEFORE = "    rule = stop_rule("


def test_what_the_embedded_model_suggests_is_shown_and_accepted(start_vscode: Start) -> None:
    def prepare(folder: Path) -> None:
        shutil.copytree(ROOT / "lsp_server", folder / "lsp_server", ignore=shutil.ignore_patterns("__pycache__"))

    session = start_vscode(server=EMBEDDED_SERVER, settings={"hef-lsp.model.deadlineMs": 10_000}, prepare=prepare)
    vscode = session.vscode
    file = session.folder / "lsp_server" / "commands.py"
    before, _, after = file.read_text(encoding="utf-8").partition(BEFORE)
    below = after.partition("\n")[2]
    vscode.edit(file, f"{before}{BEFORE[:-1]}{CURSOR}\n{below}")
    vscode.wait_for_status("Ready")
    vscode.type("(")
    shown = wait_for(vscode.shown_line, "ghost text", vscode.before_cursor)
    vscode.screenshot("embedded")
    vscode.press("Tab")
    vscode.wait_for_text(f"{before}{shown}\n{below}")
    accepted = vscode.command("hef-lsp.status")["suggestions"]["accepted"]
    assert accepted == 1
    vscode.api("void vscode.commands.executeCommand('hef-lsp.showStatus')")
    vscode.wait_for_notification("Model: embedded")
    vscode.screenshot("embedded-status")
    vscode.clear_notifications()
    vscode.api("void vscode.commands.executeCommand('hef-lsp.showContext')")
    wait_for(lambda: vscode.evaluate("!!document.querySelector('.quick-input-list-row, .quick-input-list')"), "it")
    vscode.screenshot("embedded-context")
