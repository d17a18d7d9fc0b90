"""`python -m tests.editors.first_minutes OUT.png`: what Neovim shows while a model comes from a hub that is no good.

The real server with the package's tiny coder, a hub on loopback for each way in which one can be bad, and one still of
each: the suggestion that came meanwhile, and what `:HefStatus` says at a second that tells.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from tests.editors.conftest import REAL_FILE, REAL_LINE, real_repository
from tests.editors.neovim import ROOT, Neovim, find_neovims, wait_for
from tests.editors.terminal import CELL, FONT, INK, PAPER
from tests.servers.fake_hub import FakeHub, files_of, nobody_listens, serving
from tests.tiny_checkpoint import write_tiny_checkpoint

NAME = "example/coder"
SIZE = (100, 13)
N_COLORS = 16
WEIGHTS = 120_000_000  # bytes that the hub says it has; no case gets to the end of them
SILENT_SECONDS = 4  # that the hub may send nothing; ten by default
LOOK_SECONDS = 0.25
INIT = """
vim.o.number, vim.o.signcolumn, vim.o.showmode, vim.o.ruler, vim.o.fillchars = true, 'no', false, false, 'eob: '
vim.o.laststatus, vim.o.showcmd = 0, false
vim.api.nvim_set_hl(0, 'ComplHint', {{ fg = '#8a919e' }})
vim.lsp.config('hef_lsp', {{
  cmd = {{ '{python}', '-m', 'lsp_server', '--set', 'model.name={name}', '--set', 'model.offline=false' }},
  settings = {{ ['hef-lsp'] = {{ model = {{ deadlineMs = 10000 }}, completion = {{ minConfidence = 0 }} }} }},
}})
require('hef_lsp').setup({{ keymaps = true }})
"""


@dataclass(frozen=True)
class BadHub:
    """`title` of its picture; `words` that the status has at the second that tells, an expression; `wrong`: what is
    wrong from the start, None: nobody listens there; `later`: what goes wrong once bytes have come."""

    title: str
    words: re.Pattern[str]
    wrong: Callable[[FakeHub], None] | None
    later: Callable[[FakeHub], None] = lambda hub: None


def _slow(hub: FakeHub) -> None:
    hub.bytes_per_second = 3_000_000


def _silent(hub: FakeHub) -> None:
    hub.silent = True


def _cut_off(hub: FakeHub) -> None:
    hub.bytes_per_second, hub.cut_after = 12_000_000, 4_000_000


def _stays_cut_off(hub: FakeHub) -> None:
    """Once the connection was taken up again."""
    wait_for(lambda: any("bytes=" in line for line in hub.asked), "another try")
    hub.cut_after = 0


def _gated(hub: FakeHub) -> None:
    hub.gated = True


HUBS = {
    "slow": BadHub("The hub is slow", re.compile(r"fetching \d\d of 120 MB, [1-9]"), _slow),
    "silent": BadHub("The hub is silent", re.compile("nothing came for"), _silent),
    "cut off": BadHub(
        "The connection is cut off in the middle", re.compile("MB are kept"), _cut_off, _stays_cut_off
    ),
    "refusing": BadHub("The hub refuses the connection", re.compile("Connection refused"), None),
    "gated": BadHub("The model is gated", re.compile("is gated"), _gated),
}


@dataclass(frozen=True)
class Look:
    """What stood on the screen, so many seconds after the first suggestion."""

    seconds: float
    ghost: str
    lines: list[str]
    picture: Path

    @property
    def text(self) -> str:
        """Without blanks: lines are broken anywhere."""
        return "".join("".join(self.lines).split())


def look_at(program: str, bad: BadHub, home: Path) -> Look:
    """Open a file with a hub of this kind, type a line of it, and look when the status says the words."""
    home.mkdir()
    repository = home / "repository"
    (repository / ".git").mkdir(parents=True)
    real_repository(repository)
    with _hub(bad, home) as (endpoint, later):
        environment = {
            "HEF_CACHE_DIR": str(home / "cache"),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_ENDPOINT": endpoint,
            "HF_HUB_DOWNLOAD_TIMEOUT": str(SILENT_SECONDS),
            "HF_HUB_OFFLINE": "",
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }
        init = INIT.format(python=sys.executable, name=NAME)
        neovim = Neovim(program, home / "home", init, repository, environment, size=SIZE)
        try:
            neovim.edit(REAL_FILE, neovim.read(REAL_FILE))
            neovim.keys(f"Gzto0<C-d>{REAL_LINE}<CR>")
            ghost = wait_for(lambda: _suggested(neovim), "a suggestion", lambda: str(neovim.state()))
            suggested = time.monotonic()
            later()
            wait_for(lambda: bad.words.search(_said(neovim)), bad.words.pattern, lambda: _said(neovim))
            seconds = time.monotonic() - suggested
            neovim.keys("<Cmd>HefStatus<CR>")
            time.sleep(1)  # the answer, and the redraw
            neovim.terminal.picture(home / "look.png")
            return Look(seconds, ghost, neovim.terminal.lines(), home / "look.png")
        finally:
            neovim.quit()


@contextmanager
def _hub(bad: BadHub, home: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Its endpoint, and what to call when somebody has begun to use it."""
    if bad.wrong is None:
        with nobody_listens() as endpoint:
            yield endpoint, lambda: None
        return
    files = files_of(write_tiny_checkpoint(home / "coder", adapter=False))
    hub = FakeHub(NAME, files | {"model.safetensors": bytes(WEIGHTS)})
    bad.wrong(hub)
    with serving(hub):
        yield hub.endpoint, lambda: bad.later(hub)


def _suggested(neovim: Neovim) -> str | None:
    """The ghost text; asked for by its key where none comes by itself, as on a busy machine."""
    for _ in range(20):
        if ghost := neovim.ghost():
            return ghost
        time.sleep(LOOK_SECONDS)
    neovim.keys(r"<M-\>")
    return None


def _said(neovim: Neovim) -> str:
    """The status in one line. Not asked more often than somebody would see."""
    time.sleep(LOOK_SECONDS)
    status = neovim.lua("return require('hef_lsp').details()") or {}
    return " ".join([status.get("message", ""), *status.get("notes", [])])


def under_one_another(looks: dict[BadHub, Look], out: Path) -> None:
    """One picture of all, in few colors, each under its title."""
    width, height = SIZE[0] * CELL[0], SIZE[1] * CELL[1]
    bar = 2 * CELL[1]
    whole = Image.new("RGB", (width, len(looks) * (height + bar)), f"#{INK}")
    draw = ImageDraw.Draw(whole)
    for n, (bad, look) in enumerate(looks.items()):
        top = n * (height + bar)
        title = f"{bad.title}: {look.seconds:.0f} s after the first suggestion"
        draw.text((CELL[0], top + CELL[1] // 2), title, fill=f"#{PAPER}", font=FONT[True])
        with Image.open(look.picture) as picture:
            whole.paste(picture, (0, top + bar))
    whole.quantize(N_COLORS, dither=Image.Dither.NONE).save(out, optimize=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.editors.first_minutes", description=__doc__)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    program = list(find_neovims().values())[-1]
    looks = {}
    with tempfile.TemporaryDirectory() as name:
        for kind, bad in HUBS.items():
            looks[bad] = look_at(program, bad, Path(name) / kind.replace(" ", "-"))
            print(f"{bad.title}, {looks[bad].seconds:.0f} s:")
            print("\n".join(line for line in looks[bad].lines if line))
        under_one_another(looks, arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e3:.0f} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
