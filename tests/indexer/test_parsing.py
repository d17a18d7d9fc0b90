"""Parsing keeps nothing of what it read, whatever its length."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from tree_sitter import Parser

from indexer.parsing import grammar_of, parse

LINE = b"value = total(items, 1)\n"


@pytest.mark.parametrize("n_bytes", [0, 1, 4_096, 4_097, 20_000, 200_001])
def test_nothing_of_a_source_stays(n_bytes: int) -> None:
    source = (LINE * (n_bytes // len(LINE) + 1))[:n_bytes]
    parse(source, "python")
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(10):
            assert parse(source, "python").root_node.end_byte == n_bytes
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000


@pytest.mark.parametrize("source", [b"(" * 9_000, b"\xff\x00" * 8_000, b"x\n" * 9_000, b"def f(:\n" * 2_000])
def test_what_is_read_in_pieces_is_what_is_read_at_once(source: bytes) -> None:
    at_once = Parser(grammar_of("python")).parse(source)
    assert str(parse(source, "python").root_node) == str(at_once.root_node)
