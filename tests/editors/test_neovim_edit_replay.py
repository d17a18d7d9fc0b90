"""Fifty edits in a real Neovim: what is offered of them is made where the server said, and undone in one step."""

from __future__ import annotations

import pytest

from tests.editors.conftest import Start
from tests.editors.edits import N_EDITS, TypedEdit, applied, edits
from tests.editors.neovim import Neovim, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# answered() -> the newest answer to a request for next edits, nil while one is on its way
OBSERVER = """
_G.n_asked, _G.n_answered = 0, 0
local rpc = require('hef_lsp').client().rpc
local request = rpc.request
rpc.request = function(method, params, callback, ...)
  if method ~= 'textDocument/copilotInlineEdit' then return request(method, params, callback, ...) end
  _G.n_asked = _G.n_asked + 1
  return request(method, params, function(err, result)
    _G.n_answered, _G.answer = _G.n_answered + 1, result
    callback(err, result)
  end, ...)
end
"""
ANSWER = "return _G.n_asked > _G.n_before and _G.n_answered == _G.n_asked and _G.answer or vim.NIL"
ENCODING = "return require('hef_lsp').client().offset_encoding"


def test_fifty_edits_are_made_where_they_belong(start_neovim: Start) -> None:
    neovim = start_neovim(settings={"edits": {"minConfidence": 0.0}})
    neovim.edit("first.py", "")
    neovim.lua(OBSERVER)
    encoding = neovim.lua(ENCODING)
    made = [played(neovim, edit, encoding) for edit in edits()]
    assert made == [True] * N_EDITS


def played(neovim: Neovim, edit: TypedEdit, encoding: str) -> bool:
    """Whether another place was offered, and changed."""
    neovim.edit(edit.name, edit.text)
    line = edit.before.count("\n") + 1
    column = len(edit.before.rpartition("\n")[2].encode())
    neovim.lua(f"_G.n_before = _G.n_asked vim.api.nvim_win_set_cursor(0, {{ {line}, {column} }})")
    neovim.keys(f"i{edit.typed}<Esc>")
    typed = (edit.before + edit.typed + edit.after).replace("\r\n", "\n")
    neovim.wait_for_lines(typed.splitlines())
    answer = wait_for(lambda: neovim.lua(ANSWER), "an answer", lambda: f"{edit} {neovim.state()}")
    found = answer["edits"] if answer else []
    here = [one for one in found if one["textDocument"]["uri"].endswith(f"/{edit.name}")]
    if not here:
        return False
    neovim.keys("<Tab>")
    wait_for(
        lambda: (
            neovim.lua("return vim.fn.line('.')") == here[0]["range"]["start"]["line"] + 1
            or neovim.lines() != typed.splitlines()
        ),
        "the place",
    )
    if neovim.lines() == typed.splitlines():  # it was not in the line of the cursor
        neovim.keys("<Tab>")
    wanted = applied(typed, here, encoding)
    neovim.wait_for_lines(wanted.splitlines())
    neovim.keys("u")
    neovim.wait_for_lines(typed.splitlines())
    return True
