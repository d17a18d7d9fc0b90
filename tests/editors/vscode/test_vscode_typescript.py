"""A TypeScript file in a real VS Code, with the tiny embedded model: a line of another file is suggested, and taken."""

from __future__ import annotations

import pytest

from model.checkpoint.opening import EMBEDDED_FOLDER
from tests.editors.conftest import EMBEDDED_SERVER, PATIENT
from tests.editors.other_languages import TYPESCRIPT
from tests.editors.vscode.conftest import Start
from tests.editors.vscode.workbench import LOOKS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(500),
    pytest.mark.skipif(not EMBEDDED_FOLDER.is_dir(), reason="this checkout has no embedded model"),
]


def test_a_line_of_another_file_is_suggested_and_taken(start_vscode: Start) -> None:
    settings = {
        **LOOKS,
        "hef-lsp.model.deadlineMs": PATIENT["model"]["deadlineMs"],
        "hef-lsp.drafts.packages": False,
    }
    session = start_vscode(server=EMBEDDED_SERVER, settings=settings, prepare=TYPESCRIPT.prepare)
    vscode, file = session.vscode, session.folder / TYPESCRIPT.name
    vscode.edit(file, TYPESCRIPT.begun)
    vscode.wait_for_status("Ready")
    vscode.type(TYPESCRIPT.typed)
    vscode.wait_for_ghost(TYPESCRIPT.line.removeprefix(TYPESCRIPT.typed))
    vscode.screenshot("typescript")
    vscode.press("Tab")
    vscode.wait_for_text(TYPESCRIPT.begun + TYPESCRIPT.line)
    assert vscode.command("hef-lsp.status")["suggestions"]["accepted"] == 1
