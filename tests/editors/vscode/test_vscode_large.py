"""The large embedded coder as users have it, in a real VS Code and in a repository that is not ours."""

from __future__ import annotations

import pytest

from model.checkpoint.opening import has_large
from model.settings import EMBEDDED_LARGE
from tests.editors.conftest import (
    DEFAULT_SERVER,
    FOREIGN_FILE,
    FOREIGN_LINE,
    LARGE,
    TAKEOVER_SECONDS,
    foreign_repository,
)
from tests.editors.neovim import shown_within, wait_for
from tests.editors.vscode.conftest import Start
from tests.editors.vscode.workbench import LOOKS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(2 * TAKEOVER_SECONDS),
    pytest.mark.skipif(not has_large(), reason="this checkout has no large coder"),
]


def test_what_the_large_coder_suggests_is_what_acceptance_puts_in(start_vscode: Start) -> None:
    wanted = {
        f"hef-lsp.{part}.{name}": value for part, values in LARGE.items() for name, value in values.items()
    }
    session = start_vscode(server=DEFAULT_SERVER, settings={**LOOKS, **wanted}, prepare=foreign_repository)
    vscode, file = session.vscode, session.folder / FOREIGN_FILE
    vscode.resize(1080, 460)
    vscode.command("workbench.action.closeSidebar")
    before = file.read_text(encoding="utf-8")
    vscode.edit(file, before)
    vscode.wait_for_status("Ready")
    wait_for(
        lambda: EMBEDDED_LARGE in vscode.command("hef-lsp.status")["model"],
        "it to take over",
        seconds=TAKEOVER_SECONDS,
    )
    vscode.type(FOREIGN_LINE)
    vscode.press("Enter")
    vscode.command("revealLine", {"lineNumber": before.count("\n"), "at": "center"})
    if not shown_within(vscode.ghost, 10.0):
        vscode.press("Alt+Backslash")  # a model that is not sure enough of itself is silent unless asked
    wait_for(vscode.ghost, "ghost text", vscode.before_cursor)
    vscode.settle()
    shown = "\n".join([vscode.shown_line(), *vscode.ghost().split("\n")[1:]])
    vscode.screenshot("large")
    vscode.press("Tab")
    vscode.wait_for_text(f"{before}{FOREIGN_LINE}\n{shown}")
