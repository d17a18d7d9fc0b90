"""What counts as right, against values worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.evaluation.metrics import (
    answer,
    edit_similarity,
    exact_match,
    first_line_match,
    identifier_f1,
    identifier_match,
    identifiers,
    token_match,
)
from tests.model.evaluation.holes import a_task


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("", "abc", 3),
        ("abc", "", 3),
        ("kitten", "sitting", 3),  # the textbook's: k/s, e/i, +g
        ("flaw", "lawn", 2),
        ("saturday", "sunday", 3),
        ("ab", "ba", 2),  # no transposition
        ("🙂a", "🙂b", 1),  # one character each, whatever their bytes
        ("intention", "execution", 5),
    ],
)
def test_edit_distance_is_levenshteins(first: str, second: str, distance: int) -> None:
    similarity = 1 - distance / max(len(first), len(second))
    assert edit_similarity(first, second) == edit_similarity(second, first) == pytest.approx(similarity)


def by_hand(first: str, second: str) -> int:
    """Wagner and Fischer's table, row by row."""
    row = list(range(len(second) + 1))
    for n_read, character in enumerate(first, 1):
        above, row = row, [n_read]
        for n, other in enumerate(second):
            row.append(min(above[n + 1] + 1, row[n] + 1, above[n] + (character != other)))
    return row[-1]


@settings(deadline=None)
@given(*[st.text("abü🙂_(", min_size=1, max_size=40)] * 2)
def test_edit_similarity_is_that_of_the_table_by_hand(first: str, second: str) -> None:
    assert edit_similarity(first, second) == 1 - by_hand(first, second) / max(len(first), len(second))


@pytest.mark.parametrize(
    ("text", "target", "similarity"),
    [
        ("abcd", "abcd", 1.0),
        ("  abcd \n", "abcd", 1.0),
        ("abcd", "abcx", 0.75),
        ("", "abcd", 0.0),
        ("kitten", "sitting", 1 - 3 / 7),
        ("", "  ", 1.0),
    ],
)
def test_edit_similarity_is_relative_to_the_longer_stripped_text(
    text: str, target: str, similarity: float
) -> None:
    assert edit_similarity(text, target) == pytest.approx(similarity)


@pytest.mark.parametrize(
    ("text", "target", "whole", "first_line"),
    [
        ("x = 1", "    x = 1", True, True),
        ("x = 1  \n", "x = 1", True, True),
        ("a\n    b", "  a\nb", True, True),
        ("a\n\nb", "a\nb", True, True),
        ("a\nc", "a\nb", False, True),
        ("a", "a\nb", False, True),
        ("x = 1", "x  = 1", False, False),
        ("X = 1", "x = 1", False, False),
        ("", "x", False, False),
    ],
)
def test_exact_match_ignores_only_white_space_around_lines(
    text: str, target: str, whole: bool, first_line: bool
) -> None:
    assert exact_match(text, target) is whole
    assert first_line_match(text, target) is first_line


@pytest.mark.parametrize(
    ("text", "target", "equal"),
    [
        ("x=1", "x = 1", True),
        ("f('a')", 'f("a")', True),
        ("getName()", "get Name()", True),
        ("a\n    b", "a b", True),
        ("get_name()", "getName()", False),
        ("x = 1", "x = 2", False),
    ],
)
def test_llavacodes_match_looks_at_tokens(text: str, target: str, equal: bool) -> None:
    assert token_match(text, target) is equal


def test_identifiers_are_names_outside_strings_and_comments() -> None:
    line = """return self.price(item, "not me", 'nor "me"') + x2  # nor me"""
    assert identifiers(line) == ["self", "price", "item", "x2"]


@pytest.mark.parametrize(
    ("language", "line", "names"),
    [
        ("typescript", "const f = async (x: string) => `not ${me}` // nor me", ["f", "x"]),
        ("javascriptreact", "return <A b={c} /> /* not me", ["A", "b", "c"]),
        ("javascript", "x = y.replace(/not me/g, '')", ["x", "y", "replace"]),
        ("go", "func (s *Store) Get(k string) { return None } // no", ["s", "Store", "Get", "k", "string", "None"]),
        ("rust", "pub fn get<'a>(&'a self, c: char) -> bool { c == 'x' }", ["get", "c", "char", "bool", "c"]),
        ("java", 'private final String print = "not me";', ["String", "print"]),
        ("cpp", "#include <vector>", ["vector"]),
        ("c", "static int lambda = NULL; /* no */ def();", ["lambda", "NULL", "def"]),
        ("text", "lambda x: y  # no", ["x", "y"]),
    ],
)  # fmt: skip
def test_identifiers_are_told_by_the_words_of_their_language(
    language: str, line: str, names: list[str]
) -> None:
    assert identifiers(line, language) == names


@pytest.mark.parametrize(
    ("text", "target", "equal", "f1"),
    [
        ("a.b(c)", "a.b( c )", True, 1.0),
        ("b.a(c)", "a.b(c)", False, 1.0),  # F1 is of sets
        ("a.b(d)", "a.b(c)", False, 2 / 3),
        ("a", "a.b.c", False, 0.5),
        ("x", "y", False, 0.0),
        ("", "y", False, 0.0),
        (")", "1)", True, 1.0),
    ],
)
def test_identifiers_are_compared_as_a_list_and_as_sets(
    text: str, target: str, equal: bool, f1: float
) -> None:
    assert identifier_match(text, target) is equal
    assert identifier_f1(text, target) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("kind", "target", "text", "scored"),
    [
        ("line", "x = 1", "x = 1\ny = 2\n", "x = 1"),
        ("line", "x = 1", "\n\n  x = 1\ny", "\n\n  x = 1"),
        ("line", "x = 1", "x = 1", "x = 1"),
        ("crossfile", "run()", "run()\n", "run()"),
        ("crossfile", "run()", "", ""),
        ("api", "call(\n    a,\n)", "call(\n\n    b,\n)\nmore()\n", "call(\n\n    b,\n)"),
        ("api", "call(\n    a,\n)", "call()\n", "call()\n"),
        ("api", "one()", "one()\ntwo()", "one()"),
        ("function", "    return 1", "    return 1\n\n\ndef g():\n", "    return 1\n\n\n"),
        (
            "function",
            "    return 1",
            "    if x:\n        y()\n    z()\n# end\n",
            "    if x:\n        y()\n    z()\n",
        ),
        ("function", "    return 1", "\n    a\n  b\n", "\n    a\n"),
        ("function", "    return 1", "\ta\n\t\tb\nc", "\ta\n\t\tb\n"),
        ("function", "    return 1", "    return 1\n   ", "    return 1\n   "),
    ],
)
def test_an_answer_is_cut_by_the_rule_of_its_kind(kind: str, target: str, text: str, scored: str) -> None:
    assert answer(a_task(kind=kind, target=target), text) == scored
