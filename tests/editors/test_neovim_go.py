"""A Go file in a real Neovim, with the tiny embedded model: a line of another file is suggested, and taken."""

from __future__ import annotations

import pytest

from model.checkpoint.opening import EMBEDDED_FOLDER
from tests.editors.conftest import EMBEDDED_SERVER, PATIENT, Start
from tests.editors.neovim import wait_for
from tests.editors.other_languages import GO

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not EMBEDDED_FOLDER.is_dir(), reason="this checkout has no embedded model"),
]


def test_a_line_of_another_file_is_suggested_and_taken(start_neovim: Start) -> None:
    settings = {**PATIENT, "drafts": {"packages": False}}
    neovim = start_neovim(command=EMBEDDED_SERVER, settings=settings, prepare=GO.prepare)
    neovim.edit(GO.name, GO.begun)
    assert neovim.lua("return vim.bo.filetype") == "go"
    neovim.keys(f"Go0<C-d>{GO.typed}")
    neovim.wait_for_ghost(GO.line.removeprefix(GO.typed))
    neovim.screenshot("go")
    neovim.keys("<Tab>")
    neovim.wait_for_lines([*GO.begun.splitlines(), GO.line])
    wait_for(lambda: neovim.run("hef-lsp.status")["suggestions"]["accepted"] == 1, "the acceptance")
