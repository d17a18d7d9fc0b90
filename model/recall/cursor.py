"""A cursor among the lines around it: what looks for places like it needs no syntax and no tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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
            (line.strip(), len(line) - len(line.lstrip()), n) for n, line in enumerate(lines, first) if line.strip()
        ]
        return cls(tuple(k[0] for k in kept), tuple(k[1] for k in kept), tuple(k[2] for k in kept))


@dataclass(frozen=True)
class Cursor:
    """`start` stands before the cursor on its line, `rest` behind it; `before` and `after` are the other lines."""

    path: str
    before: TextLines
    start: str
    rest: str
    after: TextLines
    number: int  # of the cursor's line

    @classmethod
    def of(cls, path: str, prefix: str, suffix: str) -> Cursor:
        *above, start = prefix.split("\n")
        rest, *below = suffix.split("\n")
        after = TextLines.of(below, len(above) + 1)
        return cls(path, TextLines.of(above), start, rest, after, len(above))

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
