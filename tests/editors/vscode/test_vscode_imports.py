"""A suggestion that is taken in a real VS Code brings its imports; the cursor stays, and undo takes both back."""

from __future__ import annotations

import pytest

from tests.editors.test_neovim_imports import HEAD, IMPORT, LINE, with_import
from tests.editors.vscode.conftest import Start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_import_comes_with_the_line_and_the_cursor_stays_behind_it(start_vscode: Start) -> None:
    session = start_vscode(prepare=with_import, targets=[HEAD + LINE], tokenized=True)
    vscode = session.vscode
    vscode.edit(session.folder / "new.py", HEAD)
    vscode.wait_for_status("Ready")
    vscode.type("    re")
    vscode.wait_for_ghost(LINE.strip()[2:])
    vscode.press("Tab")
    with_both = HEAD.replace("import sys\n", f"import sys\n{IMPORT}\n") + LINE.rstrip()
    vscode.wait_for_text(with_both)
    assert vscode.before_cursor() == with_both
    vscode.type("  # all")
    vscode.wait_for_text(with_both + "  # all")
    vscode.command("undo")  # what was typed
    vscode.command("undo")
    vscode.wait_for_text(HEAD + "    re")
