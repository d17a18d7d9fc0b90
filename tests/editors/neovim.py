"""A real Neovim in a terminal, driven over its own `--server` door: keys in, Lua values out."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from tests.editors.terminal import Terminal

ROOT = Path(__file__).absolute().parents[2]
PLUGIN = ROOT / "editors" / "nvim"
SCREENSHOTS = ROOT / "tests" / "editors" / "screenshots"
INSTALLED = ROOT / ".editors" / "neovim"
WAIT_SECONDS = 90.0  # a loaded machine starts a server in many seconds

Value = TypeVar("Value")

# -> the ghost text, with what Neovim 0.12 leaves out of it: what stands behind the cursor already
GHOST = """
local mark = vim.iter({ 'nvim.lsp.inline_completion', 'hef_lsp' }):map(function(name)
  local space = vim.api.nvim_create_namespace(name)
  return vim.api.nvim_buf_get_extmarks(0, space, 0, -1, { details = true })[1]
end):next()
if not mark then return vim.NIL end
local text = function(chunks)
  return vim.iter(chunks):filter(function(chunk) return chunk[2] == 'ComplHint' end)
    :map(function(chunk) return chunk[1] end):join('')
end
local lines = vim.list_extend({ mark[4].virt_text }, mark[4].virt_lines or {})
local row, col = unpack(vim.api.nvim_win_get_cursor(0))
local kept = mark[2] == row - 1 and vim.api.nvim_get_current_line():sub(col + 1, mark[3]) or ''
return kept .. vim.iter(lines):map(text):join('\\n')
"""


def find_neovims() -> dict[str, str]:
    """Version -> program: those of HEF_NVIM, else those that `make test-editors` installed, else `nvim` on PATH."""
    named = os.environ.get("HEF_NVIM")
    installed = sorted(str(program) for program in INSTALLED.glob("*/bin/nvim"))
    programs = named.split(os.pathsep) if named else installed or ["nvim"]
    versions = {version_of(found): found for program in programs if (found := shutil.which(program))}
    return {version: program for version, program in versions.items() if version >= "0.11"}


def version_of(program: str) -> str:
    """ "0.12" """
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=True)
    match = re.match(r"NVIM v(\d+\.\d+)", answer.stdout)
    return match[1] if match else ""


class Neovim:
    """One process with `plugin` on its runtime path and nothing of the user's."""

    def __init__(
        self,
        program: str,
        home: Path,
        init: str,
        folder: Path,
        environment: Mapping[str, str] = MappingProxyType({}),
        plugin: Path | None = PLUGIN,
        **terminal: Any,
    ) -> None:
        """`terminal`: what `Terminal` is told besides."""
        home.mkdir()
        config = home / "init.lua"
        prepend = f"vim.opt.runtimepath:prepend({json.dumps(str(plugin))})\n" if plugin else ""
        config.write_text(prepend + init, encoding="utf-8")
        self._program = program
        self._home = home
        self._folder = folder
        self._door = str(home / "door")
        self._environment = {**os.environ, **environment, "HOME": str(home)} | {
            f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "STATE", "DATA")
        }
        # ttyfast: it would ask for the terminal's color, and complain of one that is slow to answer.
        command = [
            program,
            "--cmd",
            "if has('nvim-0.12') | set nottyfast | endif",
            "-i",
            "NONE",
            "-n",
            "-u",
            str(config),
            "--listen",
            self._door,
        ]
        self.terminal = Terminal(command, self._environment, folder, **terminal)
        wait_for(Path(self._door).exists, "Neovim to listen")
        wait_for(lambda: self.lua("return vim.v.vim_did_enter") == 1, "the configuration to be read")

    def edit(self, name: str, text: str) -> None:
        """Write a file of the folder and open it, alone, in normal mode; wait for the client."""
        self.open(name, text)
        self.wait_for_client()

    def open(self, name: str, text: str) -> None:
        """As `edit`, where no client is to come."""
        file = self._folder / name
        file.write_bytes(text.encode("utf-8"))
        self.lua(f"vim.cmd('silent! only | edit! {name}')")

    def read(self, name: str) -> str:
        """A file of the folder."""
        return (self._folder / name).read_text(encoding="utf-8")

    def wait_for_client(self) -> None:
        attached = "local client = require('hef_lsp').client() return client ~= nil and client.initialized"
        wait_for(lambda: self.lua(attached), "the client", lambda: str(self.state()))

    def lua(self, body: str) -> Any:
        """What the Lua function with this body returns."""
        code = f"vim.json.encode({{ (function() {body} end)() }})"
        answer = self._remote("--remote-expr", "luaeval(" + vim_string(code) + ")")
        values = json.loads(answer)
        return values[0] if values else None

    def keys(self, keys: str) -> None:
        """Type, in Vim's notation (`<Tab>`, `<Esc>`)."""
        self._remote("--remote-send", keys)

    def ghost(self) -> str | None:
        """The ghost text on the screen, None when there is none."""
        text = self.lua(GHOST)
        return text if isinstance(text, str) and text else None

    def wait_for_ghost(self, text: str) -> None:
        wait_for(
            lambda: self.ghost() == text,
            f"the ghost text {text!r}",
            lambda: f"{self.ghost()!r}, {self.state()}",
        )

    def wait_for_lines(self, lines: list[str]) -> None:
        wait_for(
            lambda: self.lines() == lines, f"the lines {lines}", lambda: f"{self.lines()}, {self.state()}"
        )

    def lines(self) -> list[str]:
        lines: list[str] = self.lua("return vim.api.nvim_buf_get_lines(0, 0, -1, false)")
        return lines

    def state(self) -> Any:
        """For the message of a failed wait."""
        return self.lua(
            "return { vim.api.nvim_get_mode().mode, vim.api.nvim_get_current_line(), vim.fn.execute('messages') }"
        )

    @property
    def version(self) -> str:
        return version_of(self._program)

    def kill_server(self) -> None:
        """As a machine without memory does."""
        processes = [self.terminal.process.pid]
        for process in processes:
            for children in Path(f"/proc/{process}/task").glob("*/children"):
                processes += [int(child) for child in children.read_text().split()]
        is_server = [
            b"scripted_server" in Path(f"/proc/{process}/cmdline").read_bytes() for process in processes
        ]
        os.kill(processes[is_server.index(True)], signal.SIGKILL)

    def run(self, command: str) -> Any:
        """Send a server command and wait for its result."""
        return self.lua(
            "local client = require('hef_lsp').client()"
            f" local answer = client:request_sync('workspace/executeCommand', {{ command = '{command}' }}, 5000)"
            " return answer and answer.result"
        )

    def logged_errors(self) -> list[str]:
        """The error lines of the client's log, but for what the server itself wrote to stderr."""
        lines = [
            line for file in self._home.rglob("lsp.log") for line in file.read_text("utf-8").splitlines()
        ]
        return [line for line in lines if line.startswith("[ERROR]") and '"stderr"' not in line]

    def screenshot(self, name: str) -> None:
        """Leave a picture of the screen for people."""
        time.sleep(0.3)  # the last redraw is on its way
        self.terminal.picture(SCREENSHOTS / f"neovim-{self.version}-{name.replace(' ', '-')}.png")

    def quit(self) -> None:
        self.terminal.close()

    def _remote(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._program, "-i", "NONE", "--headless", "--server", self._door, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout or done.stderr


def vim_string(text: str) -> str:
    return "'" + text.replace("\n", " ").replace("'", "''") + "'"


def wait_for(
    ask: Callable[[], Value],
    what: str,
    explain: Callable[[], str] = lambda: "",
    seconds: float = WAIT_SECONDS,
) -> Value:
    """Ask until the answer is true. Raises AssertionError after so many seconds."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, f"waited in vain for {what}; {explain()}"
        time.sleep(0.05)
    return answer


def shown_within(ghost: Callable[[], str | None], seconds: float) -> bool:
    """Whether there is ghost text by then."""
    end = time.monotonic() + seconds
    while not ghost() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(ghost())
