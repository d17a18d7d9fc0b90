"""A cache that cannot be written, read or had: sentences and exit codes, no traceback, and afterward it works again."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tests.torture.client import Client
from tests.torture.indexes import CANARY, edit, write_repository
from tests.torture.processes import Ended, command_line
from tests.torture.runner import Form, Kind, Outcome

NOBODY = 65_534
WITH_ALL = 2  # size
SMALL_BYTES = 24 << 20  # less than what is prepared for the embedded model


class ImpossibleError(Exception):
    """Why this cannot be tried here."""


@contextmanager
def full(cache: Path) -> Iterator[None]:
    """No byte is left."""
    filling = cache / "filling"
    with suppress(OSError), filling.open("wb") as file:
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    yield
    filling.unlink()


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Another process is writing, and does not end."""
    with closing(sqlite3.connect(_store(cache), isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def read_only(cache: Path) -> Iterator[None]:
    """Everything may be read and nothing written."""
    with _modes(cache, lambda mode: mode & ~0o222):
        yield


@contextmanager
def foreign(cache: Path) -> Iterator[None]:
    """Everything is another user's, for that one alone."""
    if os.geteuid() != 0:
        raise ImpossibleError("needs root")
    places = (cache, *cache.rglob("*"))
    for path in places:
        os.chown(path, NOBODY, NOBODY)
    with _modes(cache, lambda mode: mode & ~0o077):
        yield
    for path in places:
        if path.exists():
            os.chown(path, 0, 0)


@contextmanager
def _modes(cache: Path, changed: Callable[[int], int]) -> Iterator[None]:
    before = {path: stat.S_IMODE(path.stat().st_mode) for path in (cache, *cache.rglob("*"))}
    for path, mode in reversed(before.items()):
        path.chmod(changed(mode))
    yield
    for path, mode in before.items():
        if path.exists():
            path.chmod(mode)


TROUBLES = {"full": full, "read-only": read_only, "another user's": foreign, "locked": locked}


def case(seed: int, size: int, scratch: Path) -> Outcome:
    """One trouble; `size` 1: reindex and doctor only, 2: all commands and a server."""
    name = list(TROUBLES)[seed % len(TROUBLES)]
    root, cache = write_repository(scratch / "root", 8, seed), scratch / "cache"
    cache.mkdir()
    try:
        with _place(name, cache):
            return Outcome(_tried(name, root, cache, size))
    except ImpossibleError as reason:
        return Outcome(skipped=f"{name}: {reason}")


def _tried(name: str, root: Path, cache: Path, size: int) -> list[str]:
    failures = command_line(cache, "--reindex", str(root)).failures(
        CANARY, codes=(0,) if name != "full" else (0, 1)
    )
    file = next(iter(sorted(root.rglob("*.py"))))
    with TROUBLES[name](cache):
        _another(root)
        commands = (("--reindex", str(root)), ("--doctor",), ("--complete", f"{file}:3:1"))
        for arguments in commands if size >= WITH_ALL else commands[:2]:
            ended = command_line(cache, *arguments, cwd=root, bound=True)
            failures += [f"{name}: {problem}" for problem in ended.failures(CANARY)]
            failures += _no_sentence(name, ended)
        if size >= WITH_ALL:
            failures += _served(root, cache, file)
    _another(root)
    again = command_line(cache, "--reindex", str(root))
    return failures + [f"after {name}: {problem}" for problem in again.failures(CANARY, codes=(0,))]


def _no_sentence(name: str, ended: Ended) -> list[str]:
    """An exit code of 1 has to say why; doctor has to see what the other commands stumble over."""
    if ended.code == 1 and not (ended.output + ended.errors).strip():
        return [f"{name}: {ended.arguments[0]} ends with 1 and says nothing"]
    if ended.arguments[0] == "--doctor" and ended.code == 0:
        return [f"{name}: doctor says that all is well"]
    return []


def _served(root: Path, cache: Path, file: Path) -> list[str]:
    """A server answers all the same, and ends."""
    with Client.start(cache) as client:
        client.initialize(root)
        client.open(file.as_uri(), f"value_{CANARY} = ")
        for _ in range(3):
            client.answer(client.ask(file.as_uri(), 0, 8))
        code = client.bye()
        strange = "Traceback" in client.errors or CANARY in client.errors
        failures = [f"serve: exit code {code}"] if code else []
        return failures + ([f"serve: {client.errors[-300:]}"] if strange else [])


@contextmanager
def _place(name: str, cache: Path) -> Iterator[None]:
    """A small disk of its own, for what has to be full."""
    if name != "full":
        yield
        return
    if os.geteuid() != 0 or shutil.which("mount") is None:
        raise ImpossibleError("needs root and mount")
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "tmpfs", str(cache)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise ImpossibleError("no tmpfs can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(cache)], check=False)


def _another(root: Path) -> None:
    """Something to be done: a file has changed."""
    edit(random.Random(len(list(root.rglob("*")))), root)


def _store(cache: Path) -> Path:
    return next(path for path in cache.glob("root-*/v*/store.sqlite"))


KIND = Kind("disk", case, short=Form(1, 1), full=Form(5 * len(TROUBLES), 2), limit_seconds=lambda size: 400)
