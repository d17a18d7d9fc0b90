"""`python -m tests.editors.recording FOLDER OUT.png`: a moving picture of the real Neovim, server and model at work.

Types a file of FOLDER anew from a given line on, as a patient person does: a suggestion that is what the file goes on
with is taken by Tab, everything else is typed. FOLDER is copied; nothing in it is changed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from tests.editors.neovim import Neovim, find_neovims, wait_for

SIZE = (88, 22)
KEY_MS, LOOK_MS, LAST_MS = 70, 900, 2500  # how long a typed key, a suggestion and the end stay on the screen
WAIT_SECONDS = (
    1.2  # for a suggestion, at the places where the typist looks up: a word's end, a line's beginning
)
N_COLORS = 16
INIT = """
vim.opt.cmdheight = 0
vim.opt.laststatus = 0
vim.opt.number = true
vim.opt.swapfile = false
vim.lsp.config('hef_lsp', {{ cmd = {{ '{python}', '-m', 'lsp_server' }} }})
require('hef_lsp').setup({{ keymaps = true }})
"""


class Recorder:
    """Pictures of one terminal, and how long each stays."""

    def __init__(self, editor: Neovim, folder: Path) -> None:
        self._editor = editor
        self._folder = folder
        self._frames: list[tuple[Path, int]] = []

    def take(self, milliseconds: int) -> None:
        file = self._folder / f"{len(self._frames):05}.png"
        time.sleep(0.08)  # the redraw is on its way
        self._editor.terminal.picture(file)
        self._frames.append((file, milliseconds))

    def save(self, out: Path) -> None:
        """An animated PNG in few colors, which every second typed key is enough for."""
        shown = [self._frames[-1]]
        for file, milliseconds in reversed(self._frames[:-1]):
            if milliseconds == shown[0][1] == KEY_MS:
                shown[0] = (file, 2 * KEY_MS)
            else:
                shown.insert(0, (file, milliseconds))
        images = [Image.open(file).convert("RGB") for file, _ in shown]
        palette = images[len(images) // 2].quantize(N_COLORS)
        first, *others = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
        durations = [milliseconds for _, milliseconds in shown]
        first.save(out, save_all=True, append_images=others, duration=durations, loop=0, optimize=True)


def main() -> int:
    arguments = _parser().parse_args()
    program = list(find_neovims().values())[-1]
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        repository = home / arguments.folder.resolve().name
        shutil.copytree(arguments.folder, repository, symlinks=True)
        lines = (repository / arguments.file).read_text("utf-8").split("\n")
        first, last = arguments.lines
        (repository / arguments.file).write_text("\n".join([*lines[: first - 1], "", *lines[last:]]), "utf-8")
        environment = {"HEF_CACHE_DIR": str(home / "cache"), "PYTHONPATH": os.getcwd()}
        reindex = [sys.executable, "-m", "lsp_server", "--reindex", str(repository)]
        subprocess.run(reindex, env={**os.environ, **environment}, check=True)
        init = INIT.format(python=sys.executable)
        editor = Neovim(program, home / "home", init, repository, environment, size=SIZE)
        try:
            _open(editor, arguments.file, first)
            recorder = Recorder(editor, home)
            taken = _type(editor, recorder, lines[first - 1 : last])
            recorder.save(arguments.out)
        finally:
            editor.quit()
    print(
        f"{taken} of {sum(map(len, lines[first - 1 : last]))} characters came from suggestions; {arguments.out}"
    )
    return 0


def _open(editor: Neovim, file: str, line: int) -> None:
    """The file, its cursor on a line that waits to be written, when the whole repository is indexed."""
    editor.lua(f"vim.cmd('edit {file}')")
    editor.wait_for_client()
    ready = "local s = require('hef_lsp').details() return s ~= nil and s.state == 'ready'"
    wait_for(lambda: editor.lua(ready), "the index", lambda: str(editor.state()))
    editor.keys(f"{line}Gzz0i")


def _type(editor: Neovim, recorder: Recorder, lines: list[str]) -> int:
    """Write the lines; how many characters came from suggestions."""
    text, done, taken = "\n".join(lines), 0, 0
    recorder.take(LOOK_MS)
    while done < len(text):
        looks = done == 0 or not text[done - 1].isalnum()
        ghost = _suggestion(editor, text[done:]) if looks else editor.ghost()
        if ghost and text[done:].startswith(ghost) and len(ghost.strip()) > 3:
            recorder.take(LOOK_MS)
            editor.keys("<Tab>")
            done += len(ghost)
            taken += len(ghost)
            recorder.take(3 * KEY_MS)
            continue
        done += _key(editor, text, done)
        recorder.take(KEY_MS)
    recorder.take(LAST_MS)
    return taken


def _key(editor: Neovim, text: str, done: int) -> int:
    """Type one character, or Enter and the indentation that the editor does not give by itself; how many that were."""
    if text[done] != "\n":
        editor.keys("<lt>" if text[done] == "<" else text[done])
        return 1
    indent = len(text[done + 1 :]) - len(text[done + 1 :].lstrip(" "))
    editor.keys("<CR><C-u>" + " " * indent)
    return 1 + indent


def _suggestion(editor: Neovim, rest: str) -> str | None:
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        ghost = editor.ghost()
        if ghost and rest.startswith(ghost):
            return ghost
        time.sleep(0.1)
    return editor.ghost()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.editors.recording", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--file", required=True, help="of the folder")
    parser.add_argument("--lines", type=int, nargs=2, required=True, metavar=("FIRST", "LAST"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
