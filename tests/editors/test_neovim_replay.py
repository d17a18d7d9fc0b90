"""220 keys at random: never a stale, duplicated or misplaced letter, on the screen or in the buffer, whether or not the
server is killed between them."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.editors import replay
from tests.editors.conftest import Start
from tests.editors.neovim import Neovim, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(550)]

N_KEYS = 440  # what is typed over stays away for a while: of fewer, too few are taken
TEXT = "import shapes\n\n\ndef area(first, second):\n    return first * second\n\n\nclass Box:\n    pass\n"
STATE = """
local text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\\n')
return { vim.api.nvim_get_mode().mode, text, vim.api.nvim_win_get_cursor(0) }
"""


class Pair:
    """A Neovim with suggestions and its reference."""

    def __init__(self, neovim: Neovim, reference: Neovim) -> None:
        self.neovim = neovim
        self.reference = reference
        self.history: list[str] = []
        self.n_accepted = 0

    def press(self, key: replay.Key) -> None:
        name = key.name
        ghost = self.neovim.ghost() if name == "along" or name in replay.ACCEPTS else None
        if name == "along" and ghost:
            name = {"\n": "<CR>", "<": "<lt>"}.get(ghost[0], ghost[0])
        elif name == "along" or (name in replay.ACCEPTS and not ghost):  # one may come up before the key does
            name = "x"
        self.history.append(name)
        if name in replay.ACCEPTS:
            assert ghost
            self.n_accepted += 1
            self._insert(part(name, ghost), ghost)
            self._send(self.reference, "<F5>")
        else:
            self._send(self.reference, name)
        self._send(self.neovim, name)
        time.sleep(key.pause)
        expected: Any = self.reference.lua(STATE)
        found: Any = self.neovim.lua(STATE)
        assert found == expected, self.history[-12:]

    def _insert(self, text: str, ghost: str) -> None:
        """Tell the reference what its next <F5> puts in."""
        width = self._width(ghost) if text == ghost else 0
        self.reference.lua(f"vim.g.part, vim.g.width = {replay.vim_text(text)}, {width}")

    def _width(self, ghost: str) -> int:
        before, after = self.neovim.lua(f"{replay.PLACE} return {{ place() }}")
        known = [answer for answer in replay.answers(self.neovim) if answer.rest(before, after) == ghost]
        assert known, f"{ghost!r} between {before!r} and {after!r} behind {self.history[-12:]}"
        return known[-1].width

    def _send(self, neovim: Neovim, name: str) -> None:
        """Type and wait until it is done with it."""
        neovim.keys(name)
        neovim.keys(f"<Cmd>let g:done = {len(self.history)}<CR>")
        wait_for(lambda: neovim.lua("return vim.g.done") == len(self.history), f"the key {name}")


def part(key: str, ghost: str) -> str:
    """What of the ghost text an accepting key puts in."""
    patterns = {"<Tab>": r"[\s\S]*", "<C-Right>": r"\s*(?:[^\W]+|[^\w\s]+)", "<C-Down>": r"\n*[^\n]*"}
    match = re.match(patterns[key], ghost)
    return match[0] if match else ghost


@pytest.mark.parametrize(("seed", "is_killed"), [(1, False), (2, False), (3, True)])
def test_no_key_ever_leaves_a_stale_duplicated_or_misplaced_letter(
    start_neovim: Start, neovim_program: str, tmp_path: Path, seed: int, is_killed: bool
) -> None:
    frames = replay.Frames()
    terminal = {"size": replay.SIZE, "on_frame": frames.look}
    neovim = start_neovim(
        otherwise=None, targets=[], token_seconds=0.002, init=replay.OBSERVER, terminal=terminal
    )
    (tmp_path / "folder").mkdir()
    reference = Neovim(neovim_program, tmp_path / "home", replay.REFERENCE, tmp_path / "folder")
    try:
        pair = Pair(neovim, reference)
        neovim.edit("replayed.py", TEXT)
        reference.open("replayed.py", TEXT)
        pair.press(replay.Key("5GA", 0.3))
        for number, key in enumerate(replay.keys(seed, N_KEYS)):
            if is_killed and number == N_KEYS // 2:
                n_before = len(replay.answers(neovim))
                neovim.kill_server()
            pair.press(key)
        seen = list(
            frames.seen
        )  # the terminal draws on; what it draws from here on may show answers that came later
        known = replay.answers(neovim)
        assert [frame for frame in seen if not any(map(frame.agrees, known))] == []
        assert pair.n_accepted > 5
        assert len(seen) > 20
        assert not is_killed or len(known) > n_before + 10  # another server has come and suggested
        assert neovim.lua("return vim.v.errmsg") == ""
        assert neovim.logged_errors() == []
    finally:
        reference.quit()
