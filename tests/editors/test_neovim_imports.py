"""A suggestion that is taken in a real Neovim brings its imports; one undo takes both back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.editors.conftest import Start
from tests.editors.neovim import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HEAD = "import sys\n\n\ndef f():\n"
LINE = "    return Path(sys.argv[0])\n"
IMPORT = "from pathlib import Path"


def test_the_import_comes_with_the_line_and_the_cursor_stays_behind_it(start_neovim: Start) -> None:
    neovim = start_neovim(prepare=with_import, targets=[HEAD + LINE], tokenized=True)
    neovim.edit("new.py", HEAD)
    neovim.keys("Gore")
    neovim.wait_for_ghost(LINE.strip()[2:])
    neovim.keys("<Tab>")
    taken = ["import sys", IMPORT, *(HEAD + LINE).splitlines()[1:]]
    neovim.wait_for_lines(taken)
    assert neovim.lua("return vim.api.nvim_win_get_cursor(0)") == [6, len(LINE) - 1]
    neovim.keys("  # all")
    neovim.wait_for_lines([*taken[:-1], LINE.rstrip() + "  # all"])
    neovim.keys("<Esc>u")
    wait_for(
        lambda: neovim.lines() == [*HEAD.splitlines(), "    re"], "one undo", lambda: str(neovim.lines())
    )


def with_import(repository: Path) -> None:
    (repository / "other.py").write_text(f"{IMPORT}\n\nx = Path\n")
