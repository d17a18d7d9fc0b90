"""A cursor among the lines around it: what looks for places like it needs no syntax and no tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

TOKEN = re.compile(r"\w+|[^\w\s]")  # a word or a sign
NAME = re.compile(r"[^\W\d]\w*")
LONGEST_LINE = 1_000  # characters of a line that are looked at; a longer one is nothing to repeat
_NEAR_CHARS, _NEAR_LINES = 400_000, 2_000  # on each side of the cursor, whose lines are


@dataclass(frozen=True)
class TextLines:
    """`Lines` of a text at hand."""

    texts: tuple[str, ...]
    columns: tuple[int, ...]
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, lines: Sequence[str], first: int = 0) -> TextLines:
        """`first`: the number of the first line."""
        kept = [
            (bare[:LONGEST_LINE], len(line) - len(line.lstrip()), n)
            for n, line in enumerate(lines, first)
            if (bare := line.strip())
        ]
        return cls(tuple(k[0] for k in kept), tuple(k[1] for k in kept), tuple(k[2] for k in kept))


@dataclass(frozen=True)
class Cursor:
    """`start` stands before the cursor on its line, `rest` behind it; `before` and `after` are the other lines.

    Of a large document all of them are what is near, so that a look costs the same at any size.
    """

    path: str
    before: TextLines
    start: str
    rest: str
    after: TextLines
    number: int  # of the cursor's line

    @classmethod
    def of(cls, path: str, prefix: str, suffix: str) -> Cursor:
        """Between two whole texts; only so many lines and characters of them are looked at."""
        number = prefix.count("\n")
        *above, start = prefix[-_NEAR_CHARS:].rsplit("\n", _NEAR_LINES)
        if len(prefix) > _NEAR_CHARS or len(above) == _NEAR_LINES:
            del above[:1]  # the rest of a line, or all that is further away
        rest, *below = suffix[:_NEAR_CHARS].split("\n", _NEAR_LINES)
        del below[_NEAR_LINES - 1 :]
        before, after = TextLines.of(above, number - len(above)), TextLines.of(below, number + 1)
        return cls(path, before, start[-LONGEST_LINE:], rest[:LONGEST_LINE], after, number)

    @property
    def above(self) -> str:
        """The line before the cursor's, "" for none."""
        return self.before.texts[-1] if self.before.texts else ""

    @property
    def below(self) -> str:
        """The line behind the cursor's, "" for none."""
        return self.after.texts[0] if self.after.texts else ""

    @property
    def column_above(self) -> int:
        return self.before.columns[-1] if self.before.columns else 0
