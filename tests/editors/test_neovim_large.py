"""The large embedded coder as users have it, in a real Neovim and in a repository that is not ours."""

from __future__ import annotations

import pytest

from model.checkpoint.opening import has_large
from model.settings import EMBEDDED_LARGE
from tests.editors.conftest import (
    DEFAULT_SERVER,
    FOREIGN_FILE,
    FOREIGN_LINE,
    LARGE,
    LOOKS,
    TAKEOVER_SECONDS,
    Start,
    foreign_repository,
)
from tests.editors.neovim import shown_within, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(2 * TAKEOVER_SECONDS),
    pytest.mark.skipif(not has_large(), reason="this checkout has no large coder"),
]


def test_what_the_large_coder_suggests_is_what_acceptance_puts_in(start_neovim: Start) -> None:
    neovim = start_neovim(command=DEFAULT_SERVER, settings=LARGE, prepare=foreign_repository, **LOOKS)
    status = "local status = require('hef_lsp').details() return status and status.model"
    wait_for(
        lambda: EMBEDDED_LARGE in (neovim.lua(status) or ""), "it to take over", seconds=TAKEOVER_SECONDS
    )
    before = neovim.read(FOREIGN_FILE)
    neovim.edit(FOREIGN_FILE, before)
    neovim.keys(f"Gzzo0<C-d>{FOREIGN_LINE}<CR>")
    if not shown_within(neovim.ghost, 10.0):
        neovim.keys(r"<M-\>")  # a model that is not sure enough of itself is silent unless asked
    suggested = wait_for(neovim.ghost, "ghost text", lambda: str(neovim.state()))
    neovim.screenshot("large")
    neovim.keys("<Tab>")
    neovim.wait_for_lines([*before.splitlines(), FOREIGN_LINE, *f"        {suggested}".split("\n")])
