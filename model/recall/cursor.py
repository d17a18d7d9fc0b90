"""A cursor among the lines around it: what looks for places like it needs no syntax and no tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Lines(Protocol):
    """The lines of a text that are not blank, with column and number (0-based) of each; `indexer.Lines` is one."""

    @property
    def texts(self) -> Sequence[str]:
        """Stripped."""

    @property
    def columns(self) -> Sequence[int]: ...
    @property
    def numbers(self) -> Sequence[int]: ...


class LinePlace(Protocol):
    """The line `lines.texts[row]` of a file; `indexer.LinePlace` is one."""

    @property
    def path(self) -> str: ...
    @property
    def lines(self) -> Lines: ...
    @property
    def row(self) -> int: ...


class LineStore(Protocol):
    """The lines of a repository; `indexer.LineIndex` is one."""

    def between(
        self, before: Sequence[str], after: Sequence[str], *, limit: int = ..., without: str = ...
    ) -> Sequence[LinePlace]:
        """Lines behind the last of `before` or in front of the first of `after`, at most `limit` each; none of the
        path `without`."""


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
