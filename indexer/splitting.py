"""Cutting a file's lines into pieces whose borders survive edits elsewhere; pure and the same for every language.

A greedy cut counted from the top would move every border below an inserted line. Here a piece that is too large
is cut at its best border, where "best" depends only on the border itself (indentation, blank lines above, a hash of the
line), never on where it stands in the file. The pieces are the leaves of a treap: an insertion changes the piece
it falls in, and splits that piece when it overflows, and leaves all others alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate, pairwise
from zlib import crc32

# Cuts within one another: lines in the order of their ranks would peel off one by one, at n * n steps.
_MAX_CUTS = 100


@dataclass(frozen=True)
class ChunkLimits:
    """Largest piece, in lines and in characters."""

    lines: int = 64
    chars: int = 1_600


DEFAULT_LIMITS = ChunkLimits()


class MeasuredLines:
    """The lines of a text with their ends kept, and how large any run of them is."""

    def __init__(self, text: str) -> None:
        parts = text.split(
            "\n"
        )  # not splitlines(): it also breaks at form feeds, which count no line in an editor
        self.rows = [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
        self._ends = [0, *accumulate(map(len, self.rows))]
        self._blank = [not row.strip() for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def text(self, first: int, end: int) -> str:
        return "".join(self.rows[first:end])

    def fits(self, first: int, end: int, limits: ChunkLimits) -> bool:
        return end - first <= limits.lines and self._ends[end] - self._ends[first] <= limits.chars

    def is_blank(self, row: int) -> bool:
        return self._blank[row]

    @cached_property
    def indents(self) -> list[int]:
        """Of each row, in characters."""
        return [len(row) - len(row.lstrip(" \t\f")) for row in self.rows]

    def rank(self, row: int, column: int) -> tuple[int, int, int]:
        """How good a border the beginning of `row` is, smaller is better: less indentation first, then more blank lines
        above, then a hash of two lines."""
        blanks = 0
        while blanks < 3 and row - blanks > 0 and self._blank[row - blanks - 1]:
            blanks += 1
        words = self.text(row, row + 2).encode("utf-8", "replace")
        return column, -blanks, crc32(words)


def split(
    lines: MeasuredLines, forced: Iterable[int], borders: Iterable[int], limits: ChunkLimits
) -> list[tuple[int, int]]:
    """Runs of rows [first, end) that cover all lines in order, each within the limits where `borders` allow: the rows
    (0-based) at which a piece may begin. Where a run has none of them, any row may.

    A forced row always begins a piece. A single line above the limit stays one piece.
    """
    cuts = sorted({0, len(lines), *forced})
    pieces: list[tuple[int, int]] = []
    rows = sorted(borders)
    # A nested cut asks again for what the one around it has asked for.
    rank = cache(lambda row: lines.rank(row, lines.indents[row]))
    plain = cache(lambda row: lines.rank(row, 0))
    for first, end in pairwise(cuts):
        waiting = [(first, end, 0)]
        while waiting:
            start, stop, n_cuts = waiting.pop()
            if stop - start == 1 or lines.fits(start, stop, limits):
                pieces.append((start, stop))
                continue
            inside = rows[bisect_left(rows, start + 1) : bisect_left(rows, stop)]
            middle = (start + stop) // 2
            if n_cuts < _MAX_CUTS:
                cut = _best(inside, rank, middle) if inside else _best(range(start + 1, stop), plain, middle)
            else:
                cut = inside[len(inside) // 2] if inside else middle
            waiting += [(cut, stop, n_cuts + 1), (start, cut, n_cuts + 1)]
    return pieces


def _best(rows: Iterable[int], rank: Callable[[int], tuple[int, int, int]], middle: int) -> int:
    # Equal borders (a file of one line repeated) would peel off single lines: of those the middle one is taken.
    return min(rows, key=lambda row: (rank(row), abs(row - middle)))
