"""What was written of an answer so far, and where the last line of it was taken from: that place may go on here, too.

A place is known again by its number, which no line that is written changes: in the document, lines above the cursor are
counted from the top, those below it from the cursor.
"""

from __future__ import annotations

from dataclasses import dataclass

from model.recall.cursor import Cursor
from model.repository import LinePlace, Lines


@dataclass(frozen=True)
class Place:
    """The line `lines.texts[row]` of a file."""

    path: str
    lines: Lines
    row: int


@dataclass(frozen=True)
class Taken:
    """`n_lines` were written; the last `in_a_row` of them stand in a row in front of `place`, known by `mark`. None:
    the last one was written otherwise, or nothing stands behind it there."""

    n_lines: int = 0
    in_a_row: int = 0
    place: Place | None = None
    mark: int = 0

    def then(self, cursor: Cursor, place: LinePlace) -> Taken:
        """Behind one more line, which was written at `cursor` as it stands at `place`, or adapted."""
        follows = self.place is not None and self.place.path == place.path
        in_a_row = self.in_a_row + 1 if follows and self.mark == _mark(cursor, place) else 1
        if place.row + 1 == len(place.lines.texts):
            return Taken(self.n_lines + 1)
        behind = Place(place.path, place.lines, place.row + 1)
        return Taken(self.n_lines + 1, in_a_row, behind, _mark(cursor, behind))

    def otherwise(self) -> Taken:
        """Behind one more line, which was taken from nowhere."""
        return Taken(self.n_lines + 1)

    def before(self, cursor: Cursor, path: str, number: int) -> int:
        """How many of the last lines written stand right in front of a line of a file, `number`."""
        is_it = (
            self.place is not None and self.place.path == path and self.mark == _counted(cursor, path, number)
        )
        return self.in_a_row if is_it else 0


NOTHING_TAKEN = Taken()


def _mark(cursor: Cursor, place: LinePlace) -> int:
    return _counted(cursor, place.path, place.lines.numbers[place.row])


def _counted(cursor: Cursor, path: str, number: int) -> int:
    """0 and more from the top, less than 0 from the cursor down."""
    return cursor.number - number if path == cursor.path and number > cursor.number else number
