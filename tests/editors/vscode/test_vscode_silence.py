"""The status item of a real VS Code says why nothing is suggested where the user is."""

from __future__ import annotations

import pytest

from tests.editors.conftest import HEAD
from tests.editors.vscode.conftest import Start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_what_was_held_back_is_told_with_the_figure_and_the_limit(start_vscode: Start) -> None:
    session = start_vscode(
        confidence=[0.124], otherwise="value_one", settings={"hef-lsp.completion.minConfidence": 0.35}
    )
    vscode = session.vscode
    vscode.edit(session.folder / "unsure file.py", HEAD)
    vscode.wait_for_status("Ready")
    vscode.type("    re")
    vscode.wait_for_status("Held back as unsure: 12 % sure, shown from 35 %.")
    vscode.api("void vscode.commands.executeCommand('hef-lsp.showStatus')")
    assert "completion.minConfidence" in vscode.wait_for_notification("Held back as unsure")
    vscode.clear_notifications()
    vscode.edit(session.folder / "other.py", HEAD)
    vscode.wait_for_status("Ready")
