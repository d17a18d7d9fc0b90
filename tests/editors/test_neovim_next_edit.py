"""Next edits in a real Neovim: the place is marked, a key goes there, again makes it, another one dismisses it."""

from __future__ import annotations

import pytest

from tests.editors.neovim import Neovim, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TEXT = "x = fetch(a, 1, 'é')\n" + "\n" * 6 + "log.warn(x)\nif x:\n    log.warn(x, 2)\nlog.info(x)\n"
MARKS = """
local space = vim.api.nvim_create_namespace('hef_lsp.next_edit')
return vim.tbl_map(function(mark) return mark[2] + 1 end, vim.api.nvim_buf_get_extmarks(0, space, 0, -1, {}))
"""
RENAMED = TEXT.replace("log.warn(x)", "log.warning(x)")


def marked(neovim: Neovim) -> list[int]:
    """The lines with a mark of a next edit."""
    return sorted(set(neovim.lua(MARKS) or []))


def offered(neovim: Neovim, called: str) -> None:
    """Rename one call by hand and wait for the other one to be offered. What was refused stays so: each its own."""
    neovim.edit(f"{called}.py", TEXT.replace("warn", called))
    neovim.keys("8G0wwcewarning<Esc>")
    wait_for(
        lambda: marked(neovim) == [10], "the place to be marked", lambda: f"{marked(neovim)} {neovim.state()}"
    )


def test_a_key_goes_there_and_again_makes_it_in_one_step(neovim: Neovim) -> None:
    offered(neovim, "warn")
    neovim.screenshot("next edit")
    neovim.keys("<Tab>")
    wait_for(lambda: neovim.lua("return vim.fn.line('.')") == 10, "the cursor to go there")
    assert neovim.lines() == RENAMED.splitlines()
    neovim.keys("<Tab>")
    neovim.wait_for_lines(RENAMED.replace("log.warn(x, 2)", "log.warning(x, 2)").splitlines())
    assert marked(neovim) == []
    neovim.keys("u")
    neovim.wait_for_lines(RENAMED.splitlines())


def test_what_is_dismissed_is_gone(neovim: Neovim) -> None:
    offered(neovim, "alarm")
    neovim.keys("<Esc>")
    wait_for(lambda: marked(neovim) == [], "the mark to go")
    neovim.keys("Goz = 1<Esc>")
    neovim.keys(":sleep 700m<CR>")
    assert marked(neovim) == []


def test_nothing_is_marked_while_somebody_types(neovim: Neovim) -> None:
    offered(neovim, "inform")
    neovim.keys("i")
    wait_for(lambda: marked(neovim) == [], "the mark to go")
