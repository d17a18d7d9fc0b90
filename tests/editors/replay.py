"""Keys typed at random into a Neovim with suggestions and, the same ones, into another that knows nothing of them.

The second is told what an accepted suggestion puts in, and so is the reference for the buffer. For the screen the
reference is what the server answered: an observer inside the first Neovim writes down each answer with the place that
it was asked for, and the terminal's frames are kept in which there is ghost text.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyte

from tests.editors.neovim import Neovim

GHOST_COLOR = "ff00ff"
SIZE = (
    400,
    120,
)  # of the terminal: all of the document is on the screen, and that a server has ended, in one line

# place() -> the text before the cursor and the text after it
PLACE = """
local function place()
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  local before = vim.api.nvim_buf_get_text(0, 0, 0, row - 1, col, {})
  local after = vim.api.nvim_buf_get_text(0, row - 1, col, -1, -1, {})
  return table.concat(before, '\\n'), table.concat(after, '\\n')
end
"""
OBSERVER = f"""
{PLACE}
_G.answers, _G.seen = {{}}, {{}}
vim.api.nvim_create_autocmd('LspAttach', {{ callback = function(args)
  local rpc = vim.lsp.get_client_by_id(args.data.client_id).rpc
  local request = rpc.request
  rpc.request = function(method, params, callback, ...)
    if method ~= 'textDocument/inlineCompletion' then return request(method, params, callback, ...) end
    local before, after = place()
    return request(method, params, function(err, result)
      for _, item in ipairs(result and result.items or {{}}) do
        local width = item.range['end'].character - item.range.start.character
        table.insert(_G.answers, {{ before, after, (item.insertText:gsub('\\r', '')), width }})
      end
      callback(err, result)
    end, ...)
  end
end }})
vim.api.nvim_set_hl(0, 'ComplHint', {{ fg = '#{GHOST_COLOR}' }})
vim.o.wrap, vim.o.fillchars, vim.o.laststatus, vim.o.showmode, vim.o.ruler = false, 'eob: ', 0, false, false
"""
# The reference puts in `g:part`, over the next `g:width` bytes, as an undo step of its own.
REFERENCE = """
vim.keymap.set('i', '<F5>', '<C-g>u<Cmd>lua Part()<CR>')
function Part()
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  local lines = vim.split(vim.g.part, '\\n', { plain = true })
  vim.api.nvim_buf_set_text(0, row - 1, col, row - 1, col + vim.g.width, lines)
  vim.api.nvim_win_set_cursor(0, { row + #lines - 1, (#lines == 1 and col or 0) + #lines[#lines] })
end
"""
TYPED = [*'abw_0(). =:,[]"#', "é", "🦉", "<CR>", "<lt>"]
DELETED = ["<BS>", "<BS>", "<BS>", "<Del>", "<C-w>", "<C-u>"]
MOVES = ["<Left>", "<Right>", "<Up>", "<Down>", "<Home>", "<End>", "<C-o>b", "<C-o>w", "<C-g>u"]
LEFT = ["<Esc>ua", "<Esc>u<C-r>A", "<Esc>o", "<Esc>ddO", "<Esc>jA", "<Esc>xi", "<Esc>yypA"]
ACCEPTS = ["<Tab>", "<C-Right>", "<C-Down>"]
PAUSES = [0.0, 0.0, 0.0, 0.05, 0.3]


@dataclass(frozen=True)
class Key:
    """A key in Vim's notation, and the seconds that the typist waits behind it. "along": what the ghost text says."""

    name: str
    pause: float


def keys(seed: int, count: int) -> Iterator[Key]:
    """A typist who inserts, deletes, moves, undoes and, where there is something, types along and accepts."""
    chance = random.Random(seed)
    kinds = [TYPED] * 6 + [DELETED] * 3 + [MOVES] * 2 + [LEFT] + [ACCEPTS] * 4 + [["along"]] * 5 + [["<C-]>"]]
    for _ in range(count):
        yield Key(chance.choice(chance.choice(kinds)), chance.choice(PAUSES))


@dataclass(frozen=True)
class Answer:
    """What the server suggested between `before` and `after`, over the first `width` bytes of `after`."""

    before: str
    after: str
    text: str
    width: int

    def rest(self, before: str, after: str) -> str | None:
        """What is left of it at another place, None where it has no say."""
        typed = before[len(self.before) :]
        holds = after == self.after and before.startswith(self.before) and self.text.startswith(typed)
        return self.text[len(typed) :] if holds else None


@dataclass(frozen=True)
class Frame:
    """What a person saw. Spaces at line ends do not show, but for those before the cursor."""

    before: str  # the document up to the cursor
    ghost: str  # from the cursor on
    behind: str  # the rest of the cursor's line
    below: str  # the lines below
    elsewhere: bool  # there is ghost text in another place

    def agrees(self, answer: Answer) -> bool:
        """Whether this is what is left of `answer`, where it has a say."""
        behind, _, below = shown(answer.after).partition("\n")
        if (
            self.elsewhere
            or self.below != below.rstrip()
            or (answer.width == 0 and self.behind != behind.rstrip())
        ):
            return False
        is_begun = self.before.startswith(shown(answer.before).rstrip(" "))
        return is_begun and shown(self.before + self.ghost) == shown(answer.before + answer.text)


class Frames:
    """All frames in which there is ghost text, once each."""

    def __init__(self) -> None:
        self.seen: dict[Frame, None] = {}

    def look(self, screen: pyte.Screen) -> None:
        if any(cell.fg == GHOST_COLOR for row in screen.buffer.values() for cell in row.values()):
            rows = [[screen.buffer[y][x] for x in range(SIZE[0])] for y in range(SIZE[1])]
            self.seen[frame(rows, screen.cursor.x, screen.cursor.y)] = None


def frame(rows: list[list[pyte.screens.Char]], x: int, y: int) -> Frame:
    """The frame with the cursor at `x`, `y`. What stands behind the cursor already, Neovim 0.12 does not draw again; it
    is part of the ghost text all the same."""
    ghosts = ["".join(cell.data for cell in row if cell.fg == GHOST_COLOR) for row in rows]
    end = next((row for row in range(y + 1, len(rows)) if not ghosts[row]), len(rows))
    start = next((column for column, cell in enumerate(rows[y]) if cell.fg == GHOST_COLOR), x)
    width = sum(cell.fg == GHOST_COLOR for cell in rows[y])
    texts = ["".join(cell.data for cell in row).rstrip() for row in rows]
    kept = "".join(cell.data for cell in rows[y][x:start])
    return Frame(
        before="\n".join([*texts[:y], "".join(cell.data for cell in rows[y][:x])]),
        ghost=kept + "\n".join(ghosts[y:end]),
        behind="".join(cell.data for cell in rows[y][start + width :]).rstrip(),
        below="\n".join(texts[end:-1]).rstrip(),
        elsewhere=start < x or any(ghosts[:y] + ghosts[end:]),
    )


def shown(text: str) -> str:
    """`text` without the spaces at line ends."""
    return re.sub(r" +(?=\n)", "", text)


def answers(neovim: Neovim) -> list[Answer]:
    return [Answer(*line) for line in neovim.lua("return _G.answers")]


def vim_text(text: str) -> str:
    """A Lua expression for any text."""
    return f"vim.json.decode({json.dumps(json.dumps(text), ensure_ascii=False)})"
