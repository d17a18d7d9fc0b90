"""Brought up to date step by step, an index equals one made from nothing: same tree, same answers."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer import Index, Query, RetrievalSettings
from tests.indexer.conftest import HashEmbedder
from tests.indexer.test_index import digests, function

NAMES = ["alpha", "beta", "gamma", "delta", "omega", "sigma"]
PATHS = ["a.py", "b.py", "pkg/a.py", "pkg/b.py", "pkg/sub/c.py", "notes.md", "pkg.py/odd.py"]
FUNCTIONS = st.lists(st.sampled_from(NAMES), max_size=5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(PATHS), FUNCTIONS),
        st.tuples(st.just("insert"), st.sampled_from(PATHS), st.integers(0, 40)),
        st.tuples(st.just("delete"), st.sampled_from([*PATHS, "pkg", "pkg/sub"]), st.none()),
        st.tuples(
            st.just("rename"), st.sampled_from([*PATHS, "pkg/sub"]), st.sampled_from([*PATHS, "moved"])
        ),
        st.tuples(
            st.just("ignore"),
            st.just(".gitignore"),
            st.sampled_from(["", "pkg/\n", "*.md\n", "!a.py\nb.py\n"]),
        ),
    ),
    max_size=8,
)


def do(root: Path, action: str, path: str, value: object) -> list[Path]:
    """One change on disk; the paths that a watcher would report."""
    target = root / path
    if action in ("write", "ignore"):
        if target.is_dir() or any(parent.is_file() for parent in target.parents if parent != root):
            return []
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(value if isinstance(value, str) else "\n\n".join(function(name) for name in value))
        return [target]
    if not target.exists():
        return []
    if action == "insert" and target.is_file():
        lines = target.read_text().splitlines(keepends=True)
        lines.insert(min(value, len(lines)), f"inserted_{value} = {value}\n")
        target.write_text("".join(lines))
    elif action == "delete":
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    elif action == "rename":
        new = root / str(value)
        if new.exists() or target in new.parents or any(parent.is_file() for parent in new.parents):
            return []
        new.parent.mkdir(parents=True, exist_ok=True)
        target.rename(new)
        return [target, new]
    return [target]


def answers(index: Index) -> list[tuple]:
    found = []
    for words in ("alpha(", "gamma_state = inserted_3", "omega sigma"):
        key = HashEmbedder().embed([function(words.split("(")[0].split(" ")[0])]).keys[0].astype(np.float32)
        for query in (Query("a.py", words, "", key, (1, 3)), Query("new.py", words, "", None)):
            found += [
                (h.path, h.first_line, h.last_line, h.level, round(h.score, 6), h.text, h.memory.tobytes())
                for h in index.search(query, 10)
            ]
    return found


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, whole=st.booleans())
def test_an_update_equals_a_fresh_index(steps, whole):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        for path in PATHS[:4]:
            do(root, "write", path, NAMES[: len(path) % 4 + 1])
        index = Index.open(root, HashEmbedder(), Path(folder) / "cache")
        index.update()
        for action, path, value in steps:
            changed = do(root, action, path, value)
            index.update(None if whole else changed)
        fresh = Index.open(root, HashEmbedder(), Path(folder) / "fresh")
        fresh.update()
        try:
            assert digests(index) == digests(fresh)
            assert answers(index) == answers(fresh)
            assert index.stats().pending == 0
        finally:
            index.close()
            fresh.close()


TIED = 80  # chunks that are equally good, more than are taken as candidates
CHUNKS_ONLY = RetrievalSettings(files=0, directories=0)


def tied(n: int, *, backwards: bool = False) -> str:
    """A function that eight of eighty define, with words of its own: they are equally good and not alike."""
    own = f"{chr(97 + n // 10)}{chr(97 + n % 10)}"
    lines = [f"    {word}{own} = 1\n" for word in ("one", "two", "six", "ten")]
    return f"def tied{chr(97 + n % 10)}():\n{''.join(lines[::-1] if backwards else lines)}"


def found_by_age(open_index, files: list[Path], query: Query, settings: RetrievalSettings) -> list[list]:
    """What is found where the first file was indexed first, and where the last was."""
    found = []
    for cache, order in (("old", files), ("new", files[::-1])):
        index = open_index(cache=cache)
        for file in order:
            index.update([file])
        index.overlay(files[7], files[7].read_text())
        found.append([(hit.path, hit.score) for hit in index.search(query, TIED, settings)])
    return found


@pytest.mark.parametrize("candidates", [8, 40])
@pytest.mark.parametrize("ranking", ["words", "symbols"])
def test_which_of_equals_are_found_does_not_depend_on_their_age(open_index, write, ranking, candidates):
    files = [write(f"m{n}.py", tied(n)) for n in range(TIED)]
    query = Query("m7.py", " ".join(f"tied{chr(97 + n)}" for n in range(10)), "", None, rankings=(ranking,))
    old, new = found_by_age(open_index, files, query, replace(CHUNKS_ONLY, candidates=candidates))
    assert len(old) >= candidates - 1
    assert old == new


def test_which_of_equal_keys_are_found_does_not_depend_on_their_age(open_index, write, embedder):
    """Words in another order have the same key here; the last candidate is the first of two."""
    files = [write(f"{'mw'[n % 2]}{n // 2}.py", tied(n // 2, backwards=n % 2 == 1)) for n in range(TIED)]
    key = embedder.embed([tied(3)]).keys[0].astype(np.float32)
    query = Query("new.py", "", "", key, rankings=("dense",))
    old, new = found_by_age(open_index, files, query, replace(CHUNKS_ONLY, candidates=9))
    assert len(old) == 5
    assert old == new
