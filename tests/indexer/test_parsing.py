"""Parsing keeps nothing of what it read, whatever its length."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from indexer.parsing import parse_python

LINE = b"value = total(items, 1)\n"


@pytest.mark.parametrize("n_bytes", [0, 1, 20_000, 32_768, 32_769, 200_001])
def test_nothing_of_a_source_stays(n_bytes: int) -> None:
    source = (LINE * (n_bytes // len(LINE) + 1))[:n_bytes]
    parse_python(source)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(10):
            assert parse_python(source).root_node.end_byte == n_bytes
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000


@pytest.mark.parametrize(
    "source", [b"(" * 90_000, b"\xff\x00" * 40_000, b"x\n" * 50_000, b"def f(:\n" * 9_000]
)
def test_broken_sources_are_read_in_pieces_and_stay_whole(source: bytes) -> None:
    tree = parse_python(source)
    assert parse_python(bytes(source)).root_node.end_byte == tree.root_node.end_byte <= len(source)
