"""Damaged bytes in every kind of cache file: afterward all is as in a fresh index, and nothing wrong was ever said."""

from __future__ import annotations

import io
import logging
import random
import shutil
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path

import numpy as np

from indexer import Index, Query
from indexer.installed import Package
from indexer.package_cache import load_or_build
from model.engines.onnx.graph_cache import graph_folder
from tests.indexer.conftest import HashEmbedder
from tests.torture.indexes import CANARY, differences, edit, opened, vocabulary, write_repository
from tests.torture.processes import command_line
from tests.torture.runner import Form, Kind, Outcome

PAGE = 4_096
APPROXIMATE_FROM = 20  # nodes: so that there is a file of hnswlib
COMMAND_LINE_EVERY = 25  # cases of which one goes through a process of its own


def flip(rng: random.Random, content: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 1, 4, 30))):
        content[rng.randrange(len(content))] ^= rng.randrange(1, 256)


def bad_text(rng: random.Random, content: bytearray) -> None:
    """One byte of a source text that is in it becomes invalid UTF-8."""
    place = content.find(CANARY.encode(), rng.randrange(len(content)))
    content[place if place >= 0 else rng.randrange(len(content))] = 0xFF


def zeros(rng: random.Random, content: bytearray) -> None:
    start = rng.randrange(len(content))
    run = content[start : start + rng.randrange(1, 2 * PAGE)]
    content[start : start + len(run)] = bytes(len(run))


def cut(rng: random.Random, content: bytearray) -> None:
    del content[rng.randrange(len(content)) :]


def swap_pages(rng: random.Random, content: bytearray) -> None:
    a, b = (PAGE * rng.randrange(max(1, len(content) // PAGE)) for _ in range(2))
    content[a : a + PAGE], content[b : b + PAGE] = content[b : b + PAGE], content[a : a + PAGE]


def append(rng: random.Random, content: bytearray) -> None:
    content += rng.randbytes(rng.randrange(1, 3 * PAGE))


DAMAGES = (flip, flip, bad_text, zeros, cut, swap_pages, append)


def case(seed: int, size: int, scratch: Path) -> Outcome:
    """`size`: files of the repository."""
    rng = random.Random(seed)
    kinds = [_store, _store, _package, _graph]
    kind = (
        partial(_process, seed) if seed % COMMAND_LINE_EVERY == COMMAND_LINE_EVERY - 1 else rng.choice(kinds)
    )
    errors, log = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        with redirect_stderr(errors):
            failures = kind(rng, size, scratch)
    finally:
        logging.getLogger().removeHandler(handler)
    said = errors.getvalue() + log.getvalue()
    if "Traceback" in said:
        failures.append(f"a traceback: {said[-300:]}")
    if CANARY in said:
        failures.append(f"source text in the log: {said[-300:]}")
    return Outcome(failures)


def _damaged(rng: random.Random, folder: Path) -> str:
    """Damage one file below a folder; what was done to which."""
    files = sorted(
        file for file in folder.rglob("*") if file.is_file() and file.stat().st_size and _counts(file)
    )
    file, damage = rng.choice(files), rng.choice(DAMAGES)
    content = bytearray(file.read_bytes())
    damage(rng, content)
    file.write_bytes(content)
    return f"{damage.__name__} in {file.name}"


def _counts(file: Path) -> bool:
    return not file.name.endswith("-shm")


def _store(rng: random.Random, size: int, scratch: Path) -> list[str]:
    """The store, its log, the tokens and the graph of neighbours."""
    root = write_repository(scratch / "root", size, rng.randrange(4))
    with opened(root, scratch / "cache", exact_below=APPROXIMATE_FROM) as index:
        index.update()
        if rng.random() < 0.4:  # a killed process leaves its log
            edit(rng, root)
            index.update()
            shutil.copytree(scratch / "cache", scratch / "killed")
    cache = scratch / ("killed" if (scratch / "killed").exists() else "cache")
    done = _damaged(rng, cache)
    if rng.random() < 0.5:
        edit(rng, root)
    with opened(root, cache, exact_below=APPROXIMATE_FROM) as index:
        failures = _quoted(index, root)
        index.overlay(root / "open.py", f"opened_{CANARY} = 1\n")
        index.overlay(root / "open.py", None)
        index.update()
        failures += _quoted(index, root)
        _read_through(index)
        failures += differences(index, root, scratch, exact_below=APPROXIMATE_FROM)
    return [f"{done}: {failure}" for failure in failures]


def _read_through(index: Index) -> None:
    """What a server does when nobody types: damage that nothing has read until then is found, and mended."""
    if not index.verify():
        index.update()


def _quoted(index: Index, root: Path) -> list[str]:
    """Whether hits quote what is, or lately was, in the repository."""
    key = HashEmbedder().embed(["ledger balance total"]).keys[0].astype(np.float32)
    hits = index.search(Query("new.py", "ledger_total = balance(", "", key), 12)
    strange = [hit.text for hit in hits for line in hit.text.split("\n") if "\ufffd" in line or "\0" in line]
    return [f"a hit with a text that nobody wrote: {strange[0][:200]!r}"] if strange else []


def _package(rng: random.Random, size: int, scratch: Path) -> list[str]:
    """An installed package's tokens and their order."""
    place = write_repository(scratch / "site" / "thing", size)
    package, cache = Package("thing", "1", place), scratch / "cache"

    def load() -> np.ndarray | None:
        segment = load_or_build(package, cache, vocabulary(), lambda: False)
        if segment is None:
            return None
        followed = [
            segment.narrow(ids, 8) for ids in (segment.tokens[5:9].tolist(), segment.tokens[40:43].tolist())
        ]
        places = [segment.following(found[0], 20, 8, "") for found in followed if found]
        return np.concatenate(
            [np.array(segment.tokens), np.array(segment.order), *(p.ravel() for p in places)]
        )

    whole = load()
    done = _damaged(rng, cache)
    found = load()
    if found is None:
        found = load()  # thrown away, and built anew the next time
    if found is None or whole is None or not np.array_equal(found, whole):
        return [f"{done}: the package's tokens are not what they were"]
    return []


def _graph(rng: random.Random, size: int, scratch: Path) -> list[str]:
    """A graph that was prepared for ONNX Runtime."""
    key = f"torture-{rng.randrange(1 << 60)}"

    def build(folder: Path) -> None:
        for name in ("decoder.onnx", "decoder.data"):
            (folder / name).write_bytes(random.Random(name).randbytes(40_000))

    def contents() -> dict[str, bytes]:
        with graph_folder(key, build) as folder:
            home.append(folder)
            return {name: (folder / name).read_bytes() for name in ("decoder.onnx", "decoder.data")}

    home: list[Path] = []
    whole = contents()
    done = _damaged(rng, home[0])
    try:
        return [] if contents() == whole else [f"{done}: the graph is not what was built"]
    finally:
        shutil.rmtree(home[0], ignore_errors=True)


def _process(seed: int, rng: random.Random, size: int, scratch: Path) -> list[str]:
    """The real command line over a damaged cache: a sentence at most, and works."""
    root = write_repository(scratch / "root", size)
    cache = scratch / "cache"
    first = command_line(cache, "--reindex", str(root), "--json")
    graphs = cache / "graphs"
    done = _damaged(rng, rng.choice([folder for folder in cache.iterdir() if folder != graphs]))
    file = next(iter(sorted(root.rglob("*.py"))))
    failures = first.failures(CANARY)
    for arguments in (("--doctor",), ("--complete", f"{file}:2:1"), ("--reindex", str(root), "--json")):
        ended = command_line(cache, *arguments, cwd=root)
        failures += ended.failures(CANARY)
    again = command_line(cache, "--reindex", str(root), "--json")
    if again.json().get("chunks") != first.json().get("chunks"):
        failures.append(f"{again.output[:200]} and not {first.output[:200]}")
    return [f"{done}: {failure}" for failure in failures]


KIND = Kind("damage", case, short=Form(12, 12), full=Form(1_000, 12), limit_seconds=lambda size: 120)
