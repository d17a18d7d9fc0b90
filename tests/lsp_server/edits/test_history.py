"""Changes of documents become edits: one for each place, however it was typed."""

from __future__ import annotations

import random

from lsp_server.edits.history import MOST_EDIT_CHARS, N_EDITS, changed_span
from tests.lsp_server.edits.documents import history_of

TEXT = "one = 1\ntwo = 2\nthree = 3\nfour = 4\nfive = 5\n"


def changed(*versions: str) -> list[tuple[str, str]]:
    return [edit.changed for edit in history_of(*versions).edits()]


def test_keystrokes_at_one_place_are_one_edit() -> None:
    typed = [TEXT.replace("two", "two"[:n] + "x" * n) for n in range(1, 4)]

    assert changed(TEXT, *typed) == [("two = 2", "twoxxx = 2")]


def test_a_change_elsewhere_begins_another_one() -> None:
    one = TEXT.replace("two", "zwei")
    two = one.replace("five", "fuenf")

    assert changed(TEXT, one, two) == [("five = 5", "fuenf = 5"), ("two = 2", "zwei = 2")]


def test_neighboring_lines_are_two_edits() -> None:
    one = TEXT.replace("two", "zwei")

    assert changed(TEXT, one, one.replace("three", "drei")) == [
        ("three = 3", "drei = 3"),
        ("two = 2", "zwei = 2"),
    ]


def test_a_block_that_is_typed_is_one_edit() -> None:
    typed = ["two = 2\n", "two = 2\nn", "two = 2\nnew", "two = 2\nnew\n", "two = 2\nnew\nline"]
    versions = [TEXT.replace("two = 2\n", f"{text}\n" if n else text) for n, text in enumerate(typed)]

    assert len(changed(*versions)) == 1


def test_an_edit_has_the_lines_around_it_and_its_place() -> None:
    (edit,) = history_of(TEXT, TEXT.replace("two", "zwei")).edits()

    assert edit.old == "one = 1\ntwo = 2\nthree = 3"
    assert edit.new == "one = 1\nzwei = 2\nthree = 3"
    assert edit.start == 0


def test_an_edit_moves_with_its_text() -> None:
    one = TEXT.replace("four", "vier")
    two = "zero = 0\n" + one
    edit = history_of(TEXT, one, two).edits()[1]

    assert two[edit.start : edit.start + len(edit.new)] == edit.new


def test_what_ends_as_it_began_is_no_edit() -> None:
    assert changed(TEXT, TEXT.replace("two", "zwei"), TEXT) == []


def test_a_paste_is_no_edit() -> None:
    assert changed(TEXT, TEXT + "word " * MOST_EDIT_CHARS) == []


def test_only_the_newest_are_remembered() -> None:
    text = "".join(f"name{n} = {n}\n" for n in range(3 * N_EDITS))
    versions = [text]
    for n in range(3 * N_EDITS):
        versions.append(versions[-1].replace(f"name{n} =", f"new{n} ="))

    assert len(changed(*versions)) == N_EDITS


def test_nothing_of_a_closed_document_stays() -> None:
    history = history_of(
        TEXT, TEXT.replace("two", "zwei"), TEXT.replace("two", "zwei").replace("five", "fuenf")
    )
    history.forget("file:///a.py")

    assert history.edits() == []


def test_a_span_is_what_differs() -> None:
    choose = random.Random(3)
    for _ in range(300):
        a, b = ("".join(choose.choices("ab", k=choose.randrange(12))) for _ in range(2))
        start, end_a, end_b = changed_span(a, b)
        assert a[:start] == b[:start]
        assert a[end_a:] == b[end_b:]
        assert start <= min(end_a, end_b)
        assert a == b or start == min(len(a), len(b)) or a[start] != b[start]


def test_the_lines_that_were_written_are_told_the_newest_first() -> None:
    one = TEXT.replace("two = 2", "zwei = 2\nzweieinhalb = 2.5")
    two = one.replace("five", "fuenf")

    assert [*history_of(TEXT, one, two).written()] == ["fuenf = 5", "zweieinhalb = 2.5", "zwei = 2"]


def test_a_line_that_only_moved_was_not_written() -> None:
    assert [*history_of(TEXT, TEXT.replace("two = 2", "    two = 2")).written()] == []


def test_what_the_server_adds_is_no_edit_and_moves_those_below() -> None:
    typed = TEXT.replace("two", "zwei")
    grown = "import sys\n" + typed
    history = history_of(TEXT, typed)
    uri = history.edits()[0].uri
    history.grown(uri, grown)
    history.changed(uri, "python", grown.replace("zwei", "deux"))

    (edit,) = history.edits()
    assert edit.changed == ("two = 2", "deux = 2")
    assert edit.start == grown.index("one")


def test_what_the_server_adds_below_ends_an_edit() -> None:
    typed = TEXT.replace("two", "zwei")
    history = history_of(TEXT, typed)
    uri = history.edits()[0].uri
    history.grown(uri, typed + "six = 6\n")

    assert [edit.changed for edit in history.edits()] == [("two = 2", "zwei = 2")]
