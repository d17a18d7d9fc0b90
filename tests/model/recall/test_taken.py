"""The place that a line was taken from is known again at the next line, wherever lines were written meanwhile."""

from __future__ import annotations

from model.recall.cursor import Cursor, TextLines
from model.recall.taken import NOTHING_TAKEN, Place

ELSEWHERE = TextLines.of(["a()", "b()", "", "c()"])


def test_lines_in_a_row_are_counted() -> None:
    first = NOTHING_TAKEN.then(Cursor.of("here.py", "", ""), Place("other.py", ELSEWHERE, 0))
    second = first.then(Cursor.of("here.py", "a()\n", ""), Place("other.py", ELSEWHERE, 1))
    cursor = Cursor.of("here.py", "a()\nb()\n", "")

    assert (first.n_lines, first.in_a_row, second.n_lines, second.in_a_row) == (1, 1, 2, 2)
    assert second.before(cursor, "other.py", 3) == 2  # behind a blank line
    assert second.before(cursor, "other.py", 2) == second.before(cursor, "third.py", 3) == 0


def test_another_place_begins_anew() -> None:
    first = NOTHING_TAKEN.then(Cursor.of("here.py", "", ""), Place("other.py", ELSEWHERE, 0))
    second = first.then(Cursor.of("here.py", "a()\n", ""), Place("third.py", ELSEWHERE, 1))

    assert (second.n_lines, second.in_a_row) == (2, 1)


def test_behind_the_last_line_of_a_file_and_a_line_from_nowhere_comes_no_place() -> None:
    last = NOTHING_TAKEN.then(Cursor.of("here.py", "", ""), Place("other.py", ELSEWHERE, 2))
    first = NOTHING_TAKEN.then(Cursor.of("here.py", "", ""), Place("other.py", ELSEWHERE, 0))

    assert last.place is None
    assert first.otherwise().place is None
    assert first.otherwise().n_lines == 2


def test_in_the_document_itself_the_place_is_known_above_and_below() -> None:
    """What stands below moves down with each line that is written."""
    prefix, suffix = "a()\nb()\n", "\n\nc()\nd()\ne()\n"
    cursor = Cursor.of("here.py", prefix, suffix)
    above = NOTHING_TAKEN.then(cursor, Place("here.py", cursor.before, 0))
    below = NOTHING_TAKEN.then(cursor, Place("here.py", cursor.after, 0))
    later = Cursor.of("here.py", f"{prefix}c()\n", suffix)

    assert [above.before(later, "here.py", n) for n in later.before.numbers] == [0, 1, 0]
    assert [below.before(later, "here.py", n) for n in later.after.numbers] == [0, 1, 0]
    assert not any(above.before(later, "here.py", n) for n in later.after.numbers)
