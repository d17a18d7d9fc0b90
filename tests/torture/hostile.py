"""Hostile repositories: nothing hangs, nothing is planted outside of the cache, no secret gets into it or out of it."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from indexer import Gate, Index, Query
from indexer.installed import installed, site_packages
from indexer.package_cache import load_or_build
from tests.indexer.conftest import HashEmbedder
from tests.memory import peak_mb
from tests.torture.client import Client
from tests.torture.hostile_repositories import (
    FLIPS,
    REPOSITORIES,
    SECRET,
    SECRET_LINE,
    SECRET_NAMES,
    STRANGE_NAMES,
    TRAP,
    packages,
    strange_uris,
)
from tests.torture.indexes import CANARY, opened, vocabulary, write_repository
from tests.torture.processes import command_line
from tests.torture.runner import Form, Kind, Outcome

MAX_MB = 1_500  # resident, at any time
MAX_SECONDS = 20.0  # of processor time, with this process's own start
FLIPPED = ("flip.py", "draft")  # that a repository flips itself
WITHOUT_MODEL, WITH_COMMANDS = 1, 2  # sizes


def case(seed: int, size: int, scratch: Path) -> Outcome:
    """One repository; `size` 2: with the command line and a server as well."""
    rng, hostile = random.Random(seed), REPOSITORIES[seed % len(REPOSITORIES)]
    root, outside, cache = (scratch / name for name in ("root", "outside", "cache"))
    write_repository(root, 6, seed)
    _write_outside(outside)
    later = hostile(root, outside, rng)
    before, began = _tree(scratch), time.process_time()
    failures = _indexed(hostile, root, cache, later)
    if hostile is packages:
        failures += _packages(root, cache)
    seconds = time.process_time() - began
    if size >= WITH_COMMANDS:
        failures += _commands(root, cache)
    for thread in threading.enumerate():
        if thread.name == TRAP:
            thread.join()
    planted = sorted(path for path in _tree(scratch) - before if not path.endswith(FLIPPED))
    failures += [f"planted outside of the cache: {planted[:3]}"] if planted else []
    failures += _in_cache(cache)
    if (peak := peak_mb()) > MAX_MB:
        failures.append(f"{peak:.0f} MB of memory")
    if seconds > MAX_SECONDS:
        failures.append(f"{seconds:.0f} s of processor time")
    return Outcome([f"{hostile.__name__}: {failure}" for failure in failures], {"cpu_s": round(seconds, 2)})


def _write_outside(outside: Path) -> None:
    outside.mkdir()
    for name in ("secret.py", "rules", "__init__.py", "id_rsa"):
        (outside / name).write_text(SECRET_LINE * 3)


def _indexed(hostile: object, root: Path, cache: Path, later: Callable[[], None] | None) -> list[str]:
    """First index, buffers that are opened, the trap, and a second start."""
    failures = []
    with opened(root, cache) as index:
        index.update()
        _open_all(index, root)
        if hostile is strange_uris:
            for name in STRANGE_NAMES:
                index.overlay(root / name, "value = 1\n")
        failures += _told(index)
    for change in (later, None):  # the next start reads first what it knows of
        if change:
            change()
        with opened(root, cache) as index:
            index.update()
            failures += _told(index)
    gate = Gate()
    for path in (root / "m0.py", root / ("a" * 60), root / "a.py", *root.glob(".env*")):
        refusal = gate.refusal(root, path)
        if path.name.startswith(".env") and refusal is None:
            failures.append(f"{path.name} may be completed in")
    return failures


def _open_all(index: Index, root: Path) -> None:
    """Editors open what is clicked on, through links and secret or not, and send its text."""
    for path in sorted(root.iterdir()):
        if path.name == FLIPS:
            continue  # what an editor read of it through the link is its text when it is a file again
        if path.is_symlink() or path.name.startswith("."):
            leads_out = not Path(os.path.realpath(path)).is_relative_to(root)
            text = SECRET_LINE if leads_out or path.name in SECRET_NAMES else "value = 1\n"
            index.overlay(path, text)


def _told(index: Index) -> list[str]:
    """Whether any answer knows the secret."""
    key = HashEmbedder().embed([SECRET_LINE]).keys[0].astype(np.float32)
    hits = index.search(Query("new.py", f"password_of_customer = {SECRET}", "", key), 20)
    failures = [f"{hit.path} tells the secret" for hit in hits if SECRET in hit.text]
    ids = vocabulary().encode(SECRET)
    if index.tokens.find(ids[1:5], shortest=4).length:
        failures.append("drafts tell the secret")
    return failures


def _packages(root: Path, cache: Path) -> list[str]:
    """What `packages` would read on a thread of its own, without the standard library."""
    for package in installed(site_packages(root), ("evil", "linked_out", "piped", "ledger")).values():
        load_or_build(package, cache / "packages", vocabulary(), lambda: False)
    return []


def _commands(root: Path, cache: Path) -> list[str]:
    """The real command line, and a server that has to end when it is told to."""
    failures = []
    for arguments in (("--reindex", str(root)), ("--doctor",), ("--complete", f"{root / 'm0.py'}:3:1")):
        ended = command_line(cache, *arguments, cwd=root)
        failures += ended.failures(CANARY)
        if SECRET in ended.output or "\x1b]" in ended.output:
            failures.append(f"{arguments[0]} prints the secret or raw escapes")
    with Client.start(cache, scripted=True) as client:
        client.initialize(root)
        uri = (root / "m0.py").as_uri()
        client.open(uri, "value = \n")
        client.answer(client.ask(uri, 0, 8), 20)
        client.notify("hef/none", {})
        failures += ["the server ends badly"] if client.bye() else []
        failures += [f"on stderr: {client.errors[-200:]}"] if "Traceback" in client.errors else []
    return failures


def _tree(scratch: Path) -> set[str]:
    """Everything beside the cache, links not followed."""
    found = set()
    for folder, folders, names in os.walk(scratch):
        if folder == str(scratch):
            folders[:] = sorted(set(folders) - {"cache", "cache-stderr"})
            names = [name for name in names if name not in ("cache-stderr", "script.json")]
        if folder.endswith("/d/d/d"):
            folders.clear()  # a thousand of them
        found |= {os.path.join(folder, name) for name in (*folders, *names)}
    return found


def _in_cache(cache: Path) -> list[str]:
    """Whether any byte of the cache is of the secret, as text or as tokens."""
    ids = np.array(vocabulary().encode(SECRET)[1:-1], np.int32).tobytes()
    found = []
    for file in cache.rglob("*"):
        if file.is_file() and "graphs" not in file.parts:
            content = file.read_bytes()
            found += [f"the secret is in {file.name}"] if SECRET.encode() in content or ids in content else []
    return found


KIND = Kind(
    "hostile", case, short=Form(len(REPOSITORIES) - 1, 1), full=Form(10 * len(REPOSITORIES), 2),
    limit_seconds=lambda size: 120 if size == WITHOUT_MODEL else 300, max_bytes=16 << 30,
)  # fmt: skip
