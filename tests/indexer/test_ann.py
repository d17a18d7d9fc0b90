"""Approximate search finds what exact search finds, survives every trap of hnswlib, and is never trusted blindly."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from indexer.ann import Ann
from indexer.exact import ExactKeys

WIDTH = 64


def keys_of(count: int, seed: int = 0) -> np.ndarray:
    """Unit vectors around a few centers, as code's are."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((32, WIDTH))
    keys = centers[rng.integers(0, 32, count)] + 0.7 * rng.standard_normal((count, WIDTH))
    return (keys / np.linalg.norm(keys, axis=1, keepdims=True)).astype(np.float16)


def graph(path: Path, count: int = 3_000) -> tuple[Ann, np.ndarray]:
    ann = Ann(path, exact_below=100)
    keys = keys_of(count)
    ann.replace(range(count), keys, [])
    ann.tidy("store")
    assert ann.kind == "hnsw"
    return ann, keys


def exact(keys: np.ndarray, query: np.ndarray, k: int) -> list[int]:
    return np.argsort(-(keys.astype(np.float32) @ query), kind="stable")[:k].tolist()


def test_recall_against_exact_search(tmp_path):
    ann, keys = graph(tmp_path / "chunk.hnsw")
    queries = keys_of(200, seed=1).astype(np.float32)
    found = [{id for id, _ in ann.search(query, 10)} for query in queries]
    true = [set(exact(keys, query, 10)) for query in queries]
    assert np.mean([len(a & b) / 10 for a, b in zip(found, true, strict=True)]) >= 0.95


@pytest.mark.parametrize("exact_below", [100, 10_000], ids=["hnsw", "exact"])
def test_replacing_and_removing(tmp_path, exact_below):
    ann = Ann(tmp_path / "chunk.hnsw", exact_below)
    keys = keys_of(500)
    ann.replace(range(500), keys, [])
    ann.tidy("store")
    assert ann.search(keys[7], 1)[0][0] == 7
    ann.replace([7], keys[8:9], [8])  # 7 moves to where 8 was, 8 goes
    assert ann.search(keys[8], 1)[0][0] == 7
    ann.replace([8], keys[8:9], [])  # and comes back, as on switching a branch
    assert {id for id, _ in ann.search(keys[8], 2)} == {7, 8}
    ann.replace([], keys[:0], list(range(10, 500)))
    assert {id for id, _ in ann.search(keys[100], 50)} == set(range(10))  # asked for more than there are
    assert len(ann) == 10


def test_an_empty_index_finds_nothing(tmp_path):
    assert Ann(tmp_path / "chunk.hnsw", 100).search(np.ones(WIDTH, np.float32), 5) == []


def test_exact_keys_move_the_last_into_the_gap():
    exact_keys, keys = ExactKeys(), keys_of(300)
    exact_keys.add(range(300), keys)
    exact_keys.remove([0, 299, 150, 150, 999])
    ids, _ = exact_keys.search(keys[298].astype(np.float32), 300)
    assert set(ids.tolist()) == set(range(1, 299)) - {150}
    assert ids[0] == 298


def test_saved_and_loaded_it_answers_the_same(tmp_path):
    ann, keys = graph(tmp_path / "chunk.hnsw")
    ann.replace([], keys[:0], [5, 6])
    ann.save("store")
    loaded = Ann(tmp_path / "chunk.hnsw", 100)
    loaded.load("store", WIDTH)
    assert loaded.kind == "hnsw"
    assert len(loaded) == 2_998
    for query in keys_of(20, seed=2).astype(np.float32):
        assert [id for id, _ in loaded.search(query, 10)] == [id for id, _ in ann.search(query, 10)]
    loaded.replace([9_000], keys[5:6], [])  # not full: it was loaded with room
    assert loaded.search(keys[5], 1)[0][0] == 9_000
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def flip_bits(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    path.write_bytes(content)


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1_000]),
    "flipped bits": flip_bits,
    "empty": lambda path: path.write_bytes(b""),
    "sidecar gone": lambda path: path.with_suffix(".json").unlink(),
    "sidecar cut": lambda path: path.with_suffix(".json").write_text('{"store": "sto'),
    "sidecar is a list": lambda path: path.with_suffix(".json").write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_refused_with_one_line(tmp_path, caplog, damage):
    graph(tmp_path / "chunk.hnsw")
    damage(tmp_path / "chunk.hnsw")
    ann = Ann(tmp_path / "chunk.hnsw", 100)
    with caplog.at_level(logging.WARNING):
        ann.load("store", WIDTH)
    assert len(ann) == 0
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("store", "width"), [("another", WIDTH), ("store", WIDTH + 1)])
def test_a_foreign_file_is_refused(tmp_path, store, width):
    graph(tmp_path / "chunk.hnsw")
    ann = Ann(tmp_path / "chunk.hnsw", 100)
    ann.load(store, width)
    assert len(ann) == 0


def test_without_any_library_search_stays_exact(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    ann = Ann(tmp_path / "chunk.hnsw", 100)
    keys = keys_of(500)
    ann.replace(range(500), keys, [])
    ann.tidy("store")
    ann.save("store")
    ann.load("store", WIDTH)
    assert ann.kind == "exact"
    assert [id for id, _ in ann.search(keys[3], 5)] == exact(keys, keys[3].astype(np.float32), 5)


def test_building_a_graph_can_be_stopped_and_looks_around_meanwhile(tmp_path):
    ann, keys = Ann(tmp_path / "chunk.hnsw", 100), keys_of(1_200)
    ann.replace(range(1_200), keys, [])
    seen = []

    def goes_on(done: int, total: int, path: str) -> bool:
        seen.append((done, total, ann.search(keys[7], 1)[0][0]))
        return done < 1_000

    ann.tidy("store", goes_on)
    assert seen == [(0, 1_200, 7), (500, 1_200, 7), (1_000, 1_200, 7)]
    assert ann.kind == "exact"
    ann.tidy("store")
    assert ann.kind == "hnsw"
    assert len(ann) == 1_200


def test_much_waste_is_cleared(tmp_path):
    ann, keys = graph(tmp_path / "chunk.hnsw")
    ann.replace([], keys[:0], list(range(2_000)))
    ann.tidy("store")
    assert len(ann) == 1_000
    assert {id for id, _ in ann.search(keys[2_500], 1_000)} == set(range(2_000, 3_000))


def test_search_beside_replace_does_not_crash(tmp_path):
    ann, keys = graph(tmp_path / "chunk.hnsw", 1_000)
    done = threading.Event()
    failures: list[BaseException] = []

    def search() -> None:
        try:
            while not done.is_set():
                ann.search(keys[1], 10)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    for start in range(1_000, 2_500, 100):
        ann.replace(range(start, start + 100), keys_of(100, start), list(range(start - 500, start - 450)))
    ann.tidy("store")
    ann.save("store")
    done.set()
    thread.join(10)
    assert not failures
