"""Text that says the same over and over: nothing that a syntax tree would tell of it is worth what the tree costs.

tree-sitter recovers from an error, or from the end of the text, at the cost of the square of what is unfinished
there, in memory too, in one call that holds the interpreter and asks no callback: 12 KB of `/*` lines take Python's
grammar 20 s and 5 GB, as many `a=>` Java's. Such a text has thousands of unfinished pieces, which code has not, and
unless somebody takes pains they are alike.
"""

from __future__ import annotations

import zlib

# Bytes that are looked at together, and how many times smaller than themselves they become: 2 of 16,596 files of
# Python's library, packages beside it and seven repositories have such a stretch; a generator wrote both.
_STRETCH, _TIMES = 4_096, 25
_FASTEST = 1


def is_monotonous(source: bytes) -> bool:
    """Whether a stretch of this text repeats itself. 50 ns a byte; other threads run meanwhile."""
    starts = range(0, len(source) - _STRETCH + 1, _STRETCH // 2)
    return any(
        len(zlib.compress(source[start : start + _STRETCH], _FASTEST)) * _TIMES < _STRETCH for start in starts
    )
