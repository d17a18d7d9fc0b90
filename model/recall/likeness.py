"""How like a cursor's surroundings those of another line are: equal lines, equal but for names, words in common.

Pure functions of text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from model.recall.cursor import Cursor
from model.recall.renaming import Parallel, parallel_of, tokens
from model.repository import Lines

_COMPARED = 64  # neighboring lines that are compared for equality
_FADE = 0.6  # what each further line counts of those that are compared word by word
LINES_BEFORE, LINES_AFTER = 4, 3  # so many
_KEPT_CHARS = 500  # of longer lines nothing is kept in memory: there may be many


@dataclass(frozen=True)
class Likeness:
    """How like the cursor a place is: equal lines in a row on either side, lines above it that are equal but for names,
    words in common with the next line (0 to 1), and with several, fading."""

    same_before: int
    same_after: int
    run: Parallel
    next_before: float
    next_after: float
    like_before: float
    like_after: float

    @property
    def score(self) -> float:
        before = _weight(max(self.same_before, self.run.length))
        return before + _weight(self.same_after) + 2 * (self.like_before + self.like_after)


def _weight(n_same: int) -> float:
    """The first few equal lines say most."""
    return n_same if n_same <= 4 else 4 + math.log2(n_same / 4)


def likeness(cursor: Cursor, lines: Lines, row: int) -> Likeness:
    """Of the line at `row` among its lines."""
    before, after = around(lines, row, _COMPARED)
    mine_before, mine_after = cursor.before.texts[: -_COMPARED - 1 : -1], cursor.after.texts[:_COMPARED]
    return Likeness(
        same_before=n_same(mine_before, before),
        same_after=n_same(mine_after, after),
        run=parallel_of(before, mine_before),
        next_before=_fading(mine_before, before, 1),
        next_after=_fading(mine_after, after, 1),
        like_before=_fading(mine_before, before, LINES_BEFORE),
        like_after=_fading(mine_after, after, LINES_AFTER),
    )


def around(lines: Lines, row: int, n: int) -> tuple[Sequence[str], Sequence[str]]:
    """The lines before a row and those behind it, nearest first."""
    return lines.texts[max(0, row - n) : row][::-1], lines.texts[row + 1 : row + 1 + n]


def n_same(mine: Sequence[str], theirs: Sequence[str]) -> int:
    """How many lines are equal from the first on."""
    n = 0
    for a, b in zip(mine, theirs, strict=False):
        if a != b:
            break
        n += 1
    return n


def _fading(mine: Sequence[str], theirs: Sequence[str], n: int) -> float:
    return sum(_FADE**i * alike(a, b) for i, (a, b) in enumerate(zip(mine[:n], theirs[:n], strict=False)))


def words(line: str) -> frozenset[str]:
    """The words and signs of a line."""
    return _words(line) if len(line) <= _KEPT_CHARS else _words.__wrapped__(line)


def alike(a: str, b: str) -> float:
    """Jaccard's similarity of the words and signs of two lines."""
    return _alike(a, b) if len(a) + len(b) <= _KEPT_CHARS else _alike.__wrapped__(a, b)


@lru_cache(maxsize=4_096)  # a kilobyte each
def _words(line: str) -> frozenset[str]:
    return frozenset(tokens(line))


@lru_cache(maxsize=8_192)
def _alike(a: str, b: str) -> float:
    mine, theirs = words(a), words(b)
    return len(mine & theirs) / max(1, len(mine | theirs))
