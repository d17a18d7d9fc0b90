"""`:HefStatus` says why nothing is suggested in the buffer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.editors.conftest import HEAD, Start
from tests.editors.neovim import Neovim, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LISTENING = "said = '' vim.notify = function(message) said = message end\n"


@pytest.fixture(scope="module")
def neovim(start_neovim: Start) -> Neovim:
    def ignoring(repository: Path) -> None:
        (repository / ".gitignore").write_text("*.gen.py\n", encoding="utf-8")

    settings = {"completion": {"minConfidence": 0.35}}
    return start_neovim(
        init=LISTENING, confidence=[0.124], otherwise="value_one", settings=settings, prepare=ignoring
    )


def status(neovim: Neovim, part: str) -> str:
    """What the command says, once it says this."""

    def said() -> str:
        neovim.lua("said = '' vim.cmd.HefStatus()")
        wait_for(lambda: neovim.lua("return said"), "an answer")
        return str(neovim.lua("return said"))

    wait_for(lambda: part in said(), f"the status {part!r}", said)
    return said()


def test_what_was_held_back_is_told_with_the_figure_and_the_limit(neovim: Neovim) -> None:
    neovim.edit("first.py", HEAD)
    assert status(neovim, "Ready: ").startswith("hef-lsp: Ready: ")
    neovim.keys("Go    re")
    first, second, third, *_ = status(neovim, "unsure").splitlines()

    assert first == "hef-lsp: Held back as unsure: 12 % sure, shown from 35 %."
    assert "completion.minConfidence" in second
    assert third.startswith("Ready: ")
    neovim.keys("<Esc>")


def test_an_ignored_file_is_told_before_anything_is_typed(neovim: Neovim) -> None:
    neovim.edit("model.gen.py", HEAD)

    assert "`*.gen.py` in .gitignore" in status(neovim, "ignored")


def test_what_was_toggled_off_is_told(neovim: Neovim) -> None:
    neovim.edit("second.py", HEAD)
    neovim.lua("require('hef_lsp').toggle('buffer')")
    assert status(neovim, "switched off here").startswith(
        "hef-lsp: Suggestions are switched off here.\n:HefToggle"
    )
    neovim.lua("require('hef_lsp').toggle('buffer')")
    status(neovim, "Ready: ")
