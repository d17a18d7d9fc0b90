"""The product as users have it, with each of the embedded models, in a real VS Code."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from model.checkpoint.opening import EMBEDDED_FOLDER
from model.settings import EMBEDDED_LARGE
from tests.editors.conftest import (
    DEFAULT_SERVER,
    EMBEDDED_SERVER,
    FOREIGN_FILE,
    FOREIGN_LINE,
    LARGE,
    PATIENT,
    REAL_FILE,
    REAL_LINE,
    TAKEOVER_SECONDS,
    WITHOUT_PACKAGES,
    foreign_repository,
    needs_large,
    real_repository,
)
from tests.editors.neovim import shown_within, wait_for
from tests.editors.vscode.conftest import Session, Start
from tests.editors.vscode.workbench import LOOKS, Workbench

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(500),
    pytest.mark.skipif(not EMBEDDED_FOLDER.is_dir(), reason="this checkout has no embedded model"),
]

BY_ITSELF_SECONDS = 10.0


def test_what_the_embedded_model_suggests_is_shown_and_accepted(start_vscode: Start) -> None:
    session = start_vscode(
        server=EMBEDDED_SERVER,
        settings={**LOOKS, **flat(PATIENT | WITHOUT_PACKAGES)},
        prepare=real_repository,
    )
    begin(session, REAL_FILE)
    take_what_is_suggested(session, REAL_FILE, REAL_LINE, "embedded")
    show_more(session.vscode)


@needs_large
def test_so_is_what_the_large_coder_suggests_in_a_repository_that_is_not_ours(start_vscode: Start) -> None:
    session = start_vscode(
        server=DEFAULT_SERVER, settings={**LOOKS, **flat(LARGE)}, prepare=foreign_repository
    )
    begin(session, FOREIGN_FILE)
    wait_for(
        lambda: EMBEDDED_LARGE in session.vscode.command("hef-lsp.status")["model"],
        "it to take over",
        seconds=TAKEOVER_SECONDS,
    )
    take_what_is_suggested(session, FOREIGN_FILE, FOREIGN_LINE, "large")


def flat(settings: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """As VS Code names them."""
    return {
        f"hef-lsp.{part}.{name}": value for part, named in settings.items() for name, value in named.items()
    }


def begin(session: Session, name: str) -> None:
    vscode, file = session.vscode, session.folder / name
    vscode.resize(1080, 460)
    vscode.command("workbench.action.closeSidebar")
    vscode.edit(file, file.read_text(encoding="utf-8"))
    vscode.wait_for_status("Ready")


def take_what_is_suggested(session: Session, file: str, line: str, picture: str) -> None:
    """Begin the body of a method whose first line is `line`, at the end of the file that is open."""
    vscode, before = session.vscode, (session.folder / file).read_text(encoding="utf-8")
    vscode.type(line)
    vscode.press("Enter")
    vscode.command("revealLine", {"lineNumber": before.count("\n"), "at": "center"})
    if not shown_within(vscode.ghost, BY_ITSELF_SECONDS):
        vscode.press("Alt+Backslash")  # a model that is not sure enough of itself is silent unless asked
    wait_for(vscode.ghost, "ghost text", vscode.before_cursor)
    vscode.settle()
    shown = "\n".join([vscode.shown_line(), *vscode.ghost().split("\n")[1:]])
    vscode.screenshot(picture)
    vscode.press("Tab")
    vscode.wait_for_text(f"{before}{line}\n{shown}")
    assert vscode.command("hef-lsp.status")["suggestions"]["accepted"] == 1


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
