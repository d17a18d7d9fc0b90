"""The same server in Helix: it has no inline completion, so the suggestion is an item of its menu."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.editors.conftest import BLOCK, BLOCK_HEAD, HEAD, LINE, scripted_server
from tests.editors.neovim import ROOT, SCREENSHOTS, wait_for
from tests.editors.terminal import Terminal

PROGRAM = shutil.which(
    os.environ.get("HEF_HELIX") or ROOT / ".editors" / "helix" / "bin" / "hx"
) or shutil.which("hx")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(200),
    pytest.mark.skipif(
        PROGRAM is None, reason="no Helix: `make test-editors` installs one, HEF_HELIX names another"
    ),
]

LANGUAGES = """
[language-server.hef-lsp]
command = {program}
args = {arguments}

[[language]]
name = "python"
language-servers = ["hef-lsp"]
"""
ESCAPE, ENTER, TAB, ASK = "\x1b", "\r", "\t", "\x18"


class Helix:
    """One process with one file in a repository, its cursor at the file's end, in insert mode."""

    def __init__(self, folder: Path, text: str) -> None:
        repository = folder / "repository"
        (repository / ".git").mkdir(parents=True)
        self.file = repository / "double.py"
        self.file.write_text(text)
        program, *arguments = scripted_server(folder, {})
        languages = folder / "helix" / "languages.toml"
        languages.parent.mkdir()
        languages.write_text(LANGUAGES.format(program=json.dumps(program), arguments=json.dumps(arguments)))
        places = {
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        server = {"HEF_CACHE_DIR": str(folder / "index"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        assert PROGRAM is not None
        self.terminal = Terminal([PROGRAM, str(self.file)], {**os.environ, **places, **server}, repository)
        self.wait_for("NOR")
        self.terminal.type("geA")
        self.wait_for("INS")

    def wait_for(self, part: str) -> None:
        wait_for(lambda: part in self.screen(), repr(part), self.screen)

    def wait_for_menu(self, part: str) -> None:
        """Ask until there is an item with `part`: the first answers are empty, while the server still starts."""
        wait_for(lambda: self._has_menu(part), repr(part), self.screen)

    def _has_menu(self, part: str) -> bool:
        self.leave_insert_mode()  # an open menu is not asked for again
        self.terminal.type(f"A{ASK}")
        time.sleep(1)
        return part in self.screen()

    def leave_insert_mode(self) -> None:
        self.terminal.type(ESCAPE)
        self.wait_for("NOR")

    def screen(self) -> str:
        return "\n".join(self.terminal.lines())

    def saved(self) -> str:
        self.leave_insert_mode()
        self.terminal.type(f":write{ENTER}")
        self.wait_for("written")
        return self.file.read_text()


@pytest.mark.parametrize(
    ("head", "typed", "item", "target"),
    [
        (HEAD, "re", "return area(width, height) * 2", HEAD + LINE),
        (BLOCK_HEAD, "", "first = area(width, height)", BLOCK_HEAD + BLOCK),
    ],
    ids=["line", "block"],
)
def test_a_suggestion_stands_in_the_menu_and_is_put_in(
    tmp_path: Path, head: str, typed: str, item: str, target: str
) -> None:
    helix = Helix(tmp_path, head + "    ")
    try:
        helix.terminal.type(typed)
        helix.wait_for_menu(item)
        helix.terminal.type(TAB)
        helix.wait_for("hef-lsp")  # what stands beside the item: who says so, and the text as it will be
        helix.terminal.picture(SCREENSHOTS / f"helix-{len(target.splitlines())}-lines.png")
        helix.terminal.type(ENTER)
        assert helix.saved() == target
    finally:
        helix.terminal.close()
