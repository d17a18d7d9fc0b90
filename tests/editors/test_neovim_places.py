"""Places where editors go wrong: in a word, between brackets, in a snippet, over a menu, in odd buffers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.editors.conftest import BLOCK, BLOCK_HEAD, HEAD, LINE, PATIENT, Start
from tests.editors.neovim import Neovim, wait_for
from tests.editors.test_neovim import REST, shown_within_a_second

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TABS_HEAD = "# tabs\nclass Box:\n\tdef area(self):\n"
TABS = "\t\tfirst = self.width\n\t\treturn first * self.height\n"
WHOLE = [*HEAD.splitlines(), LINE.rstrip()]
MENU = "<C-r>=[complete(col('.') - 2, ['return', 'reduce']), ''][1]<CR>"
HOLD_ANSWERS = """
_G.held, _G.n_items = {}, 0
local rpc = require('hef_lsp').client().rpc
local request = rpc.request
rpc.request = function(method, params, callback, ...)
  return request(method, params, function(err, result)
    local answer = function() callback(err, result) end
    _G.n_items = _G.n_items + #(result and result.items or {})
    if _G.held then table.insert(_G.held, answer) else answer() end
  end, ...)
end
"""
LET_GO = "local held = _G.held _G.held = nil for _, answer in ipairs(held) do answer() end"
REFRESH_MS = """
local shown, start = require('hef_lsp.shown'), vim.uv.hrtime()
for _ = 1, 20 do shown.refresh(0 + vim.api.nvim_get_current_buf()) end
return (vim.uv.hrtime() - start) / 20e6
"""


def test_the_middle_of_a_word_is_filled(neovim: Neovim) -> None:
    neovim.edit("word.py", HEAD)
    neovim.keys("Goreturn a(width, height) * 2<Esc>0faa")
    neovim.wait_for_ghost("rea")
    neovim.keys("<Tab>")
    neovim.wait_for_lines(WHOLE)


def test_a_bracket_that_closed_itself_is_overwritten(neovim: Neovim) -> None:
    neovim.edit("pair.py", HEAD)
    neovim.lua("vim.keymap.set('i', '(', '()<Left>', { buffer = 0 })")
    neovim.keys("Goreturn area(")
    neovim.wait_for_ghost("width, height) * 2")
    neovim.keys("w")
    neovim.wait_for_ghost("idth, height) * 2")
    neovim.screenshot("closed bracket")
    neovim.keys("<C-Right>")
    neovim.wait_for_lines([*HEAD.splitlines(), "    return area(width)"])
    neovim.wait_for_ghost(", height) * 2")
    neovim.keys("<Tab>")
    neovim.wait_for_lines(WHOLE)


def test_in_a_snippet_tab_goes_on_to_the_next_field(start_neovim: Start) -> None:
    neovim = start_neovim(otherwise="seen_again()")
    neovim.edit("snippet.py", "")
    neovim.keys("i<Cmd>lua vim.snippet.expand('for ${1:item} in ${2:items}')<CR>")
    neovim.keys("box")
    assert not shown_within_a_second(neovim)
    neovim.keys("<Tab>")
    wait_for(lambda: neovim.lua("return vim.api.nvim_get_mode().mode") == "s", "the next field")
    neovim.keys("boxes")
    neovim.wait_for_lines(["for box in boxes"])
    neovim.keys(r"<M-\>")
    neovim.wait_for_ghost("seen_again()")


def test_a_key_that_asks_while_neovim_is_about_to_is_answered(start_neovim: Start) -> None:
    neovim = start_neovim(
        otherwise="seen_again()", settings=PATIENT, token_seconds=0.2
    )  # both ask before it answers
    neovim.edit("snippet.py", "")
    neovim.keys("i<Cmd>lua vim.snippet.expand('print(${1:item})')<CR>")
    neovim.keys(r"box<M-\>")
    neovim.wait_for_ghost("seen_again()")


def test_an_answer_that_is_late_does_not_come_up_in_another_text(start_neovim: Start) -> None:
    neovim = start_neovim()
    neovim.edit("late.py", HEAD)
    neovim.lua(HOLD_ANSWERS)
    neovim.keys("Gore")
    wait_for(lambda: neovim.lua("return _G.n_items") > 0, "an answer")
    neovim.keys("<Esc>ggcc# other<Esc>GA")
    neovim.wait_for_lines(["# other", *HEAD.splitlines()[1:], "    re"])
    neovim.lua(LET_GO)
    assert not shown_within_a_second(neovim)
    neovim.keys(f"<Esc>ggcc{HEAD.splitlines()[0]}<Esc>GA")
    neovim.wait_for_ghost(REST)


def test_what_leads_elsewhere_takes_the_ghost_text_off_without_an_answer(start_neovim: Start) -> None:
    neovim = start_neovim()
    neovim.edit("elsewhere.py", HEAD)
    neovim.keys("Gore")
    neovim.wait_for_ghost(REST)
    neovim.lua(HOLD_ANSWERS)
    neovim.keys("x")
    neovim.wait_for_lines([*HEAD.splitlines(), "    rex"])
    assert neovim.ghost() is None
    neovim.keys("<BS>")
    neovim.wait_for_lines([*HEAD.splitlines(), "    re"])
    assert neovim.ghost() is None
    neovim.lua(LET_GO)
    neovim.wait_for_ghost(REST)


def test_an_open_menu_keeps_its_keys(neovim: Neovim) -> None:
    neovim.edit("menu.py", HEAD)
    neovim.keys("Gore")
    neovim.wait_for_ghost(REST)
    neovim.keys(MENU)
    wait_for(lambda: neovim.lua("return vim.fn.pumvisible()") == 1, "the menu")
    neovim.screenshot("menu")
    neovim.keys("<C-n>")  # inserts "reduce": the suggestion for "re" is no longer true
    neovim.wait_for_lines([*HEAD.splitlines(), "    reduce"])
    wait_for(lambda: not neovim.ghost(), "the ghost text to go")
    neovim.keys("<C-p><C-y>")
    neovim.wait_for_ghost(REST.removeprefix("turn"))
    neovim.keys("<Tab>")
    neovim.wait_for_lines(WHOLE)


def test_tabs_stay_tabs(start_neovim: Start) -> None:
    neovim = start_neovim(targets=[TABS_HEAD + TABS])
    neovim.edit("tabs.py", TABS_HEAD)
    neovim.lua("vim.bo.expandtab, vim.bo.shiftwidth, vim.bo.tabstop = false, 0, 4")
    neovim.keys("Go")
    neovim.wait_for_lines([*TABS_HEAD.splitlines(), "\t\t"])
    wait_for(neovim.ghost, "ghost text", lambda: str(neovim.state()))
    neovim.screenshot("tabs")
    neovim.keys("<Tab>")
    neovim.wait_for_lines((TABS_HEAD + TABS).splitlines())


def test_a_buffer_without_a_name(neovim: Neovim) -> None:
    neovim.lua("vim.cmd('silent! only | enew | setfiletype python')")
    neovim.wait_for_client()
    neovim.lua(
        f"vim.api.nvim_buf_set_lines(0, 0, -1, false, vim.split({HEAD!r}, '\\n', {{ trimempty = true }}))"
    )
    neovim.keys("Gore")
    neovim.wait_for_ghost(REST)
    neovim.keys("<Tab>")
    neovim.wait_for_lines(WHOLE)
    neovim.keys("<C-\\><C-n>:set nomodified<CR>")


def test_a_file_that_is_read_only(neovim: Neovim) -> None:
    neovim.edit("locked.py", HEAD)
    neovim.lua("vim.bo.readonly = true")
    neovim.keys("Gore")
    neovim.wait_for_ghost(REST)
    neovim.keys("<Tab>")
    neovim.wait_for_lines(WHOLE)
    neovim.keys("<C-\\><C-n>:set noreadonly nomodified<CR>")
    neovim.lua("vim.bo.modifiable = false")
    neovim.keys(r"i<M-\><Tab>")
    neovim.wait_for_lines(WHOLE)


def test_twenty_thousand_lines(start_neovim: Start) -> None:
    long = "".join(f"value_{number} = {number}\n" for number in range(20_000)) + HEAD
    neovim = start_neovim(targets=[long + LINE], settings=PATIENT)
    neovim.edit("long.py", long)
    neovim.keys("Gore")
    neovim.wait_for_ghost(REST)
    assert neovim.lua(REFRESH_MS) < 5  # what each key costs; 20,000 lines are not read for it
    neovim.keys("<Tab>")
    wait_for(lambda: neovim.lua("return vim.api.nvim_get_current_line()") == LINE.rstrip(), "the line")


def test_a_killed_server_comes_back_and_suggests(start_neovim: Start) -> None:
    neovim = start_neovim(terminal={"size": (250, 30)})  # Neovim tells of the end in one long line
    neovim.edit("killed.py", BLOCK_HEAD)
    neovim.keys("Go")
    neovim.wait_for_ghost(BLOCK.strip())
    before = neovim.lua("return require('hef_lsp').client().id")
    neovim.kill_server()
    wait_for(lambda: neovim.ghost() is None, "the ghost text to go")
    neovim.keys("f")
    again = "local client = require('hef_lsp').client() return client and client.initialized and client.id"
    wait_for(lambda: (neovim.lua(again) or before) > before, "another server")
    neovim.keys("i")
    neovim.wait_for_ghost(BLOCK.splitlines()[0].strip().removeprefix("fi"))
    neovim.keys("<Tab>")
    neovim.wait_for_lines([*BLOCK_HEAD.splitlines(), BLOCK.splitlines()[0]])


def test_a_server_that_always_ends_is_given_up_with_a_word(neovim_program: str, tmp_path: Path) -> None:
    init = (
        "said = '' vim.notify = function(message) said = said .. message end\n"
        "vim.lsp.config('hef_lsp', { cmd = { 'false' } }) require('hef_lsp').setup()\n"
    )
    (tmp_path / "folder" / ".git").mkdir(parents=True)
    neovim = Neovim(neovim_program, tmp_path / "home", init, tmp_path / "folder")
    try:
        neovim.open("ended.py", HEAD)
        wait_for(lambda: "ends again and again; see :HefLog" in neovim.lua("return said"), "the message")
    finally:
        neovim.quit()
