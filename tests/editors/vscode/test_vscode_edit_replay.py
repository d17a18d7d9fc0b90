"""Fifty edits in a real VS Code: what is offered of them is made where the server said, and undone in one step."""

from __future__ import annotations

from typing import Any

import pytest

from tests.editors.edits import N_EDITS, TypedEdit, applied, edits
from tests.editors.neovim import wait_for
from tests.editors.vscode.conftest import Session, Start
from tests.editors.vscode.workbench import CURSOR

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

METHOD = "textDocument/copilotInlineEdit"
LINE = "return vscode.window.activeTextEditor.selection.active.line"
VERSION = "return vscode.window.activeTextEditor.document.version"


def test_fifty_edits_are_made_where_they_belong(start_vscode: Start) -> None:
    settings = {"hef-lsp.edits.minConfidence": 0.0, "editor.quickSuggestions": {"other": "off"}}
    settings |= {"editor.parameterHints.enabled": False, "editor.autoClosingQuotes": "never"}
    session = start_vscode(settings=settings)
    session.vscode.edit(session.folder / "first.py", "")
    session.vscode.wait_for_status("Ready")
    made = [played(session, edit) for edit in edits()]
    assert made == [True] * N_EDITS


def played(session: Session, edit: TypedEdit) -> bool:
    """Whether another place was offered, and changed."""
    vscode = session.vscode
    vscode.edit(session.folder / edit.name, f"{edit.before}{CURSOR}{edit.after}")
    vscode.type(edit.typed)
    typed = edit.before + edit.typed + edit.after
    vscode.wait_for_text(typed)
    version = vscode.api(VERSION)
    found = wait_for(lambda: answers(session, edit.name, version), "an answer", lambda: str(edit))[-1]
    here = [one for one in found if one["textDocument"]["uri"].endswith(f"/{edit.name}")]
    if not here:
        return False
    wait_for(vscode.attached, "the marks", lambda: f"{here} {vscode.text()}")
    vscode.press("Tab")
    place = here[0]["range"]["start"]["line"]
    wait_for(lambda: vscode.api(LINE) == place, "the place", vscode.text)
    if vscode.text() == typed:  # it was not in the line of the cursor
        vscode.press("Tab")
    vscode.wait_for_text(applied(typed, here, "utf-16"))
    vscode.press("Control+z")
    vscode.wait_for_text(typed)
    return True


def answers(session: Session, name: str, version: int) -> list[list[dict[str, Any]]]:
    """What the server has offered for this version of a document."""
    messages = [entry["message"] for entry in session.messages()]
    asked = {
        message["id"]
        for message in messages
        if message.get("method") == METHOD
        and message["params"]["textDocument"]["uri"].endswith(f"/{name}")
        and message["params"]["textDocument"]["version"] == version
    }
    return [
        message["result"]["edits"]
        for message in messages
        if "method" not in message and message.get("id") in asked and message.get("result")
    ]
