"""Parsing keeps nothing of what it read, whatever its length."""

from __future__ import annotations

import gc
import random
import time
import tracemalloc

import pytest
from tree_sitter import Parser, Tree

from indexer.parsing import grammar_of, parse

RANDOM = random.Random(5)
SOURCE = b"".join(b"value = total(items, %d)\n" % RANDOM.randrange(10**9) for _ in range(8_000))


def parsed(source: bytes, language: str) -> Tree:
    tree = parse(source, language)
    assert tree is not None
    return tree


@pytest.mark.parametrize("n_bytes", [0, 1, 4_096, 4_097, 20_000, 200_001])
def test_nothing_of_a_source_stays(n_bytes: int) -> None:
    source = SOURCE[:n_bytes]
    parsed(source, "python")
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(10):
            assert parsed(source, "python").root_node.end_byte == n_bytes
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000


@pytest.mark.parametrize("unit", [b"(a%d", b"\xff\x00%d", b"x%d\n", b"def f%d(:\n"])
def test_what_is_read_in_pieces_is_what_is_read_at_once(unit: bytes) -> None:
    source = b"".join(unit % RANDOM.randrange(10**9) for _ in range(2_000))
    at_once = Parser(grammar_of("python")).parse(source)
    assert str(parsed(source, "python").root_node) == str(at_once.root_node)


# Each took the grammar up to 6 s, though nothing of it was long.
OPERATORS = {"c": "&:-&&", "rust": "-^-", "python": "~^", "go": "|&<+", "javascript": "|!", "cpp": "&|+**"}


@pytest.mark.parametrize("language", OPERATORS)
def test_a_short_text_of_operators_takes_no_time(language: str) -> None:
    source = (OPERATORS[language] * 4_000)[:4_000].encode()
    began = time.process_time()
    assert parse(source, language) is None
    assert time.process_time() - began < 1.0
