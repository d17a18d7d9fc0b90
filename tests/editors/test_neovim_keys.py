"""Keys are the plugin's in buffers of hef-lsp only, and there do what they did before where it has nothing to do."""

from __future__ import annotations

import pytest

from tests.editors.conftest import HEAD, LINE, Start
from tests.editors.neovim import Neovim, wait_for
from tests.editors.test_neovim import REST, shown_within_a_second

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

OWN = "return vim.fn.maparg('<Tab>', 'i', false, true).desc or ''"
BEFORE = {
    "text": "vim.keymap.set('i', '<Tab>', 'before')",
    "call": "vim.keymap.set('i', '<Tab>', function() vim.api.nvim_put({ 'before' }, 'c', false, true) end)",
    "expression": "vim.keymap.set('i', '<Tab>', function() return 'before' end, { expr = true })",
    "plug": "vim.keymap.set('i', '<Plug>(it)', 'before') vim.keymap.set('i', '<Tab>', '<Plug>(it)', { remap = true })",
}


def test_other_filetypes_keep_their_keys(neovim: Neovim) -> None:
    neovim.open("plain.txt", "")
    assert not neovim.lua(OWN).startswith("hef-lsp")
    neovim.edit("mapped.py", HEAD)
    assert neovim.lua(OWN) == "hef-lsp: accept"


@pytest.mark.parametrize("mapping", BEFORE.values(), ids=BEFORE.keys())
@pytest.mark.parametrize("is_late", [False, True], ids=["before us", "after us"])
def test_without_a_suggestion_a_key_does_what_it_did(
    start_neovim: Start, mapping: str, is_late: bool
) -> None:
    neovim = start_neovim(init="" if is_late else mapping)
    neovim.edit("mapped.py", HEAD)
    if is_late:
        neovim.lua(mapping)
    neovim.keys("Gox = <Tab>")
    neovim.wait_for_lines([*HEAD.splitlines(), "    x = before"])
    neovim.keys("<Esc>ccre")
    neovim.wait_for_ghost(REST)
    neovim.keys("<Tab>")
    neovim.wait_for_lines((HEAD + LINE).splitlines())


def test_the_buffer_s_own_key_is_back_when_the_server_has_left(start_neovim: Start) -> None:
    neovim = start_neovim()
    neovim.open("mine.txt", HEAD)
    neovim.lua("vim.keymap.set('i', '<Tab>', 'mine', { buffer = 0 })")
    neovim.keys(":set filetype=python<CR>")
    wait_for(lambda: neovim.lua(OWN) == "hef-lsp: accept", "our key")
    neovim.keys("Gox = <Tab>")
    neovim.wait_for_lines([*HEAD.splitlines(), "    x = mine"])
    neovim.keys("<Esc>")
    neovim.lua("require('hef_lsp').client():stop()")
    wait_for(lambda: neovim.lua(OWN) == "", "its key")
    neovim.keys("A<Tab>")
    neovim.wait_for_lines([*HEAD.splitlines(), "    x = minemine"])


def test_a_key_that_is_none_is_told_and_the_others_hold(start_neovim: Start) -> None:
    neovim = start_neovim(init="require('hef_lsp').map('next', '<M-]>')")
    assert "no key is called next" in neovim.lua("return vim.fn.execute('messages')")
    neovim.edit("none.py", HEAD)
    neovim.keys("Gore")
    neovim.wait_for_ghost(REST)
    neovim.keys("<C-]>")
    assert not shown_within_a_second(neovim)
