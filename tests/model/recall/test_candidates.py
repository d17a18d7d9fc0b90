"""Lines that may be meant at a cursor: where they come from, in what order, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from model.recall import likeness
from model.recall.candidates import candidates
from model.recall.cursor import Cursor, TextLines
from model.recall.taken import NOTHING_TAKEN
from model.request import Lately


@dataclass(frozen=True)
class Place:
    path: str
    lines: TextLines
    row: int


def place(text: str, row: int) -> Place:
    return Place("other.py", TextLines.of(text.split("\n")), row)


def cursor_at(text: str) -> Cursor:
    prefix, suffix = text.split("|")
    return Cursor.of("here.py", prefix, suffix)


def test_a_cursor_knows_the_lines_around_it() -> None:
    cursor = cursor_at("a\n\n  b\n  c|)\nd\n")

    assert (cursor.before.texts, cursor.after.texts, cursor.start, cursor.rest) == (
        ("a", "b"),
        ("d",),
        "  c",
        ")",
    )
    assert (cursor.number, cursor.after.numbers, cursor.column_above) == (3, (4,), 2)


def test_the_line_between_the_same_lines_comes_first() -> None:
    cursor = cursor_at("setup()\n|\nteardown()\n")
    places = [place("setup()\nwrong()\nother()", 1), place("setup()\nright()\nteardown()", 1)]

    assert [c.text for c in candidates(cursor, places, 8)][:2] == ["right()", "wrong()"]


def test_equal_lines_are_one_candidate_that_counts_its_places() -> None:
    places = [place("setup()\nright()", 1), place("if x:\n    right()", 1)]
    first = candidates(cursor_at("right()\nsetup()\n|"), places, 8)[0]

    assert (first.text, first.n_places, first.n_own, first.likeness.same_before) == ("right()", 3, 1, 1)


def test_the_document_alone_has_candidates() -> None:
    cursor = cursor_at("a = f(1)\ncheck(a)\nb = 2\na = f(1)\n|")

    assert candidates(cursor, [], 8)[0].text == "check(a)"


def test_adapted_lines_follow_those_that_stand_somewhere() -> None:
    found = candidates(
        cursor_at("test = Loader(test_path)\n|"), [place("train = Loader(train_path)\nrun(train)", 1)], 8
    )

    assert ("run(test)", True) in [(c.text, c.adapted) for c in found]
    assert [c.adapted for c in found] == sorted(c.adapted for c in found)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("value = sel", ["f.load(path)"]),
        ("value = self.", ["load(path)"]),
        ("x = f(self.", ["load(path)"]),
        ("value = self.load(path)", []),  # nothing is left
    ],
)
def test_inside_a_line_the_rest_of_lines_with_the_same_words_is_meant(
    start: str, expected: list[str]
) -> None:
    found = candidates(cursor_at(f"first()\n{start}|\n"), [place("first()\nvalue = self.load(path)", 1)], 8)

    assert [c.text for c in found] == expected


def test_more_words_in_common_come_first_inside_a_line() -> None:
    places = [place("y = load(b)", 0), place("x = load(a)", 0)]

    assert [(c.text, c.seen.n_matched) for c in candidates(cursor_at("x = load(|"), places, 8)] == [
        ("a)", 4),
        ("b)", 3),
    ]


def test_at_most_so_many_lines_as_they_are() -> None:
    text = "\n".join(f"line_{n}()" for n in range(40))

    assert sum(not c.adapted for c in candidates(cursor_at(f"{text}\n|"), [], 10)) == 10


def test_of_a_large_document_only_so_many_lines_are_read() -> None:
    """Each line that is written looks anew: 10,000 short ones on either side took 80 ms."""
    text = "".join(f"x{n}\n" for n in range(10_000))
    cursor = Cursor.of("a.py", f"{text}value", f" = 1\n{text}")

    assert (cursor.start, cursor.rest, cursor.number) == ("value", " = 1", 10_000)
    assert len(cursor.before.texts) < 2_001 > len(cursor.after.texts)
    assert (cursor.above, cursor.before.numbers[-1]) == ("x9999", 9_999)
    assert (cursor.below, cursor.after.numbers[0]) == ("x0", 10_001)


def test_long_lines_are_not_kept_in_memory() -> None:
    before = likeness._words.cache_info().currsize, likeness._alike.cache_info().currsize
    assert likeness.alike("a " * 400, "a b " * 200) == 0.5
    after = likeness._words.cache_info().currsize, likeness._alike.cache_info().currsize
    assert after == before


def test_what_was_written_lately_is_near_wherever_it_stands() -> None:
    places = [place("setup()\nfirst()\nend()", 1), place("setup()\nsecond()\nend()", 1)]
    found = candidates(cursor_at("setup()\n|\nend()\n"), places, 8, Lately(written=("other()", "second()")))

    assert [(c.text, c.seen.distance) for c in found][:2] == [("second()", 1), ("first()", -1)]


def test_what_was_refused_is_no_candidate_at_the_start_of_a_line_and_inside_it() -> None:
    places, refused = [place("setup()\nx = make(one)", 1)], Lately(refused=frozenset({"x = make(one)"}))

    assert [c.text for c in candidates(cursor_at("setup()\n|\n"), places, 8, refused)] == ["setup()"]
    assert not candidates(cursor_at("setup()\nx = make(|\n"), places, 8, refused)
    assert candidates(cursor_at("setup()\nx = make(|\n"), places, 8)


def test_the_place_that_the_line_above_was_taken_from_comes_first() -> None:
    text = "setup(train)\nload(train)\nclose()"
    taken = NOTHING_TAKEN.then(cursor_at("setup(test)\n|"), place(text, 1))
    found = candidates(
        cursor_at("setup(test)\nload(test)\n|\nclose(all)\n"), [place(text, 2)], 8, taken=taken
    )

    assert (found[0].text, found[0].seen.in_a_row, found[0].likeness.run.length) == ("close()", 1, 2)


def test_a_line_whose_names_became_others_above_is_meant_with_these() -> None:
    found = candidates(
        cursor_at("setup(test)\nload(test)\n|"), [place("setup(train)\nload(train)\nrun(train)", 2)], 8
    )

    assert ("run(test)", True) in [(c.text, c.adapted) for c in found]
    assert "run(train)" not in [c.text for c in found]
