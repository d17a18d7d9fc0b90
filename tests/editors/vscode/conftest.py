"""A small repository, a server whose model knows some texts by heart, and a real VS Code in front of both."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.editors.conftest import scripted_server
from tests.editors.vscode.workbench import HERE, ROOT, Workbench, build_extension, find_installation


@dataclass(frozen=True)
class Session:
    """A VS Code, the folder it shows, and what the editor and the server have said to each other."""

    vscode: Workbench
    folder: Path
    log: Path

    def messages(self) -> list[dict[str, Any]]:
        """[{"from": "editor" or "server", "message": ...}, ...]"""
        return [entry for entry in self._entries() if "message" in entry]

    def server_pids(self) -> list[int]:
        """Of all servers that were started, in order."""
        return [entry["pid"] for entry in self._entries() if "pid" in entry]

    def _entries(self) -> list[dict[str, Any]]:
        """A line that is being written is left out."""
        lines = self.log.read_text(encoding="utf-8").split("\n")[:-1] if self.log.exists() else []
        return [json.loads(line) for line in lines]


Start = Callable[..., Session]


@pytest.fixture(scope="session")
def installation() -> Path:
    prefix = find_installation()
    if prefix is None:
        pytest.skip("no VS Code: run tests/editors/install_vscode.sh PREFIX and name PREFIX in HEF_VSCODE")
    return prefix


@pytest.fixture(scope="session")
def package(installation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_extension(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def start_vscode(
    installation: Path, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Starts a VS Code in a repository of its own with one other file, `shapes.py`.

    `server` is another command than the scripted server's, whose script the other keywords change. `prepare` adds to
    the repository; `place` names the folder or workspace file in it that is opened.
    """
    started: list[Workbench] = []

    def start(
        *,
        server: list[str] | None = None,
        settings: dict[str, Any] | None = None,
        place: str = "",
        environment: dict[str, str] | None = None,
        extensions: tuple[Path, ...] = (),
        trust: bool = True,
        prepare: Callable[[Path], None] | None = None,
        **script: Any,
    ) -> Session:
        home = tmp_path_factory.mktemp("vscode")
        folder = new_repository(home / "repository")
        program = new_program(home, server or scripted_server(home, script))
        settings = {"hef-lsp.path": str(program)} | (settings or {})
        vscode = Workbench(
            installation, home, package, settings=settings, environment=environment or {}, trust=trust
        )
        started.append(vscode)
        if prepare is not None:
            prepare(folder)
        vscode.start(folder / place, extensions)
        return Session(vscode, folder, home / "messages.jsonl")

    yield start
    for vscode in started:
        vscode.quit()


def new_repository(folder: Path) -> Path:
    (folder / ".git").mkdir(parents=True)
    (folder / "shapes.py").write_text(
        "def area(width, height):\n    return width * height\n", encoding="utf-8"
    )
    return folder


def new_program(home: Path, server: list[str], name: str = "server") -> Path:
    """A program that runs a server and records what it and the editor say in HOME/messages.jsonl."""
    recorder = [sys.executable, str(HERE / "recorder.py"), str(home / "messages.jsonl")]
    environment = {"HEF_CACHE_DIR": str(home / "cache"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    exports = [f"export {variable}={shlex.quote(value)}" for variable, value in environment.items()]
    program = home / name
    doctor = f'case " $* " in *" --doctor "*) exec {shlex.join(server)} "$@" ;; esac'
    serve = f'exec {shlex.join([*recorder, *server])} "$@"'
    program.write_text("\n".join(["#!/bin/sh", *exports, doctor, serve, ""]), encoding="utf-8")
    program.chmod(0o755)
    return program
