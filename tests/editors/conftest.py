"""A small repository, a server whose model knows some texts by heart, and a real Neovim in front of both."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import pygls
import pytest

from model.checkpoint.opening import has_large
from model.settings import EMBEDDED_LARGE
from tests import tiny_coder
from tests.editors.neovim import ROOT, Neovim, find_neovims, wait_for

SCRIPTED_SERVER = ROOT / "tests" / "servers" / "scripted_server.py"
DEFAULT_SERVER = [sys.executable, "-m", "lsp_server"]
EMBEDDED_SERVER = [*DEFAULT_SERVER, *tiny_coder.ARGUMENTS]
HEAD = "from shapes import area\n\n\ndef double(width, height):\n"
LINE = "    return area(width, height) * 2\n"
BLOCK = "    first = area(width, height)\n    second = first * 2\n    return second\n"
BLOCK_HEAD = "# block\n" + HEAD
WIDE_HEAD = "# 🦉 é\n" + HEAD
CRLF_HEAD = "# dos\r\n" + HEAD.replace("\n", "\r\n")
TARGETS = [
    HEAD + LINE,
    BLOCK_HEAD + BLOCK,
    WIDE_HEAD + "    # 🦉 first\n" + BLOCK,
    (CRLF_HEAD + BLOCK).replace("\r\n", "\n"),
]

# What the pictures show: a method as another class of the repository has it, the cursor where its body begins.
REAL_FILE = "model/engines/torch/decoder.py"
REAL_LINE = "    def rewind(self, length: int) -> None:"
FOREIGN_FILE = "workspace/workspace.py"
FOREIGN_LINE = "    def remove_text_document(self, doc_uri: str):"
PATIENT: dict[str, dict[str, Any]] = {"model": {"deadlineMs": 10_000}}  # a busy machine takes its time
# Reading them takes minutes on a busy machine, and the status says so.
WITHOUT_PACKAGES: dict[str, dict[str, Any]] = {"drafts": {"packages": False}}
LARGE: dict[str, dict[str, Any]] = {"model": {**PATIENT["model"], "name": EMBEDDED_LARGE}, **WITHOUT_PACKAGES}
TAKEOVER_SECONDS = 300.0
# Only for people: a screen as in a README, and what a user has in a configuration.
LOOKS: dict[str, Any] = {
    "terminal": {"size": (92, 20)},
    "init": """
vim.o.number, vim.o.signcolumn, vim.o.showmode, vim.o.ruler, vim.o.fillchars = true, 'no', false, false, 'eob: '
vim.api.nvim_set_hl(0, 'ComplHint', { fg = '#8a919e' })
vim.o.statusline = " %f %m%= %{v:lua.require'hef_lsp'.status()} "
""",
}

Start = Callable[..., Neovim]
Test = TypeVar("Test", bound=Callable[..., None])


def needs_large(test: Test) -> Test:
    """It is loaded and takes over first."""
    is_there = pytest.mark.skipif(not has_large(), reason="this checkout has no large coder")
    return pytest.mark.timeout(2 * TAKEOVER_SECONDS)(is_there(test))


@pytest.fixture(scope="session", params=find_neovims().values() or [None], ids=find_neovims() or ["none"])
def neovim_program(request: pytest.FixtureRequest) -> str:
    if request.param is None:
        pytest.skip("no Neovim 0.11 or later: `make test-editors` installs some, HEF_NVIM names others")
    program: str = request.param
    return program


@pytest.fixture(scope="module")
def start_neovim(neovim_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a Neovim, set up as the help says, in a repository of its own with one other file, `shapes.py`.

    Waits until the server says `state`, if any. `command` is another server than the scripted one, whose script the
    other keywords change; `init` is more of the user's configuration, `terminal` what `Terminal` is told. `prepare`
        adds to the repository.
    """
    started: list[Neovim] = []

    def start(
        *,
        command: list[str] | None = None,
        settings: dict[str, Any] | None = None,
        state: str | None = "ready",
        init: str = "",
        terminal: Mapping[str, Any] = MappingProxyType({}),
        prepare: Callable[[Path], object] = lambda repository: None,
        **script: Any,
    ) -> Neovim:
        folder = tmp_path_factory.mktemp("neovim")
        repository = folder / "repository"
        (repository / ".git").mkdir(parents=True)
        (repository / "shapes.py").write_text("def area(width, height):\n    return width * height\n")
        prepare(repository)
        config = {
            "cmd": command or scripted_server(folder, script),
            "settings": {"hef-lsp": settings} if settings else {},
        }
        init = (
            f"vim.lsp.config('hef_lsp', vim.json.decode({json.dumps(json.dumps(config))}))\n"
            f"require('hef_lsp').setup({{ keymaps = true }})\n{init}"
        )
        environment = {
            "HEF_CACHE_DIR": str(folder / "cache"),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }
        neovim = Neovim(neovim_program, folder / "home", init, repository, environment, **terminal)
        started.append(neovim)
        if state is None:
            return neovim
        neovim.edit("first.py", "")
        status = "local status = require('hef_lsp').details() return status and status.state"
        wait_for(lambda: neovim.lua(status) == state, f"the state {state!r}", lambda: str(neovim.state()))
        return neovim

    yield start
    for neovim in started:
        neovim.quit()


@pytest.fixture(scope="module")
def shared_neovim(start_neovim: Start) -> Neovim:
    return start_neovim()


@pytest.fixture
def neovim(shared_neovim: Neovim) -> Iterator[Neovim]:
    """A Neovim with the scripted server, shared by tests that leave it as they found it."""
    shared_neovim.keys("<C-\\><C-n>")
    yield shared_neovim
    shared_neovim.keys("<C-\\><C-n>:cclose<CR>")


def real_repository(folder: Path) -> str:
    """Put part of our own code into `folder`; the text of REAL_FILE, which ends where REAL_LINE is to come."""
    for pattern in ("engines/**/*.py", "*cache*.py"):
        for file in (ROOT / "model").glob(pattern):
            copy = folder / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
    before = (folder / REAL_FILE).read_text(encoding="utf-8").partition(REAL_LINE)[0]
    (folder / REAL_FILE).write_text(before, encoding="utf-8")
    return before


def foreign_repository(folder: Path) -> str:
    """Put the installed pygls into `folder`, which is in no corpus of ours; FOREIGN_FILE ends where FOREIGN_LINE
    is to come. Returns its text."""
    installed = Path(str(pygls.__file__)).parent
    shutil.copytree(installed, folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    before = (folder / FOREIGN_FILE).read_text(encoding="utf-8").partition(FOREIGN_LINE)[0]
    (folder / FOREIGN_FILE).write_text(before, encoding="utf-8")
    return before


def scripted_server(folder: Path, changes: dict[str, Any]) -> list[str]:
    script = {
        "targets": TARGETS,
        "otherwise": "",
        "token_seconds": 0.001,
        "load_seconds": 0.0,
        "load_error": "",
        "calls": str(folder / "calls.jsonl"),
    }
    file = folder / "script.json"
    file.write_text(json.dumps(script | changes), encoding="utf-8")
    return [sys.executable, str(SCRIPTED_SERVER), str(file)]
