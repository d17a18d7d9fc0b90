"""Parsing keeps nothing of what it read, whatever its length."""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
from pathlib import Path

import pytest
from tree_sitter import Parser

from indexer import parsing
from indexer.monotony import is_monotonous
from indexer.parsing import grammar_of, parse, parse_in_time

RANDOM = random.Random(5)
SOURCE = b"".join(b"value = total(items, %d)\n" % RANDOM.randrange(10**9) for _ in range(8_000))


@pytest.mark.parametrize("n_bytes", [0, 1, 4_096, 4_097, 20_000, 200_001])
def test_nothing_of_a_source_stays(n_bytes: int) -> None:
    source = SOURCE[:n_bytes]
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


@pytest.mark.parametrize("unit", [b"(a%d", b"\xff\x00%d", b"x%d\n", b"def f%d(:\n"])
def test_what_is_read_in_pieces_is_what_is_read_at_once(unit: bytes) -> None:
    source = b"".join(unit % RANDOM.randrange(10**9) for _ in range(2_000))
    at_once = Parser(grammar_of("python")).parse(source)
    assert str(parse(source, "python").root_node) == str(at_once.root_node)


# Each took the grammar seconds and gigabytes, in one call, at a tenth of this size.
UNFINISHED = {
    "/*\n": ("python", "typescript"),
    "a=>\n": ("java", "c"),
    "a<\n": ("java", "cpp"),
    "a<b,\n": ("typescript",),
    "a?.\n": ("c",),
}


@pytest.mark.parametrize(
    ("unit", "language"), [(unit, name) for unit in UNFINISHED for name in UNFINISHED[unit]]
)
def test_what_repeats_itself_takes_no_time_whatever_is_unfinished(unit: str, language: str) -> None:
    source = ("x = 1;\n" * 3 + unit * 30_000).encode()
    began = time.process_time()
    assert parse_in_time(source, language) is None
    assert parse(source, language).root_node.child_count == 0
    assert time.process_time() - began < 2.0


def test_code_is_not_taken_for_what_repeats_itself() -> None:
    sources = [path.read_bytes() for path in Path(parsing.__file__).parent.glob("*.py")]
    assert len(sources) > 50
    assert not any(map(is_monotonous, [*sources, b"", b"x", b"/*" * 2_000]))
    assert is_monotonous(b"x = 1\n" * 1_000)
    assert is_monotonous(b"".join(sources) + b"/*\n" * 3_000)
