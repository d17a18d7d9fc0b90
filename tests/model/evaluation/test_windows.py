"""Windows of lines, their ranking, and the longest match."""

from __future__ import annotations

import random

import pytest

from model.evaluation.matching import continuation
from model.evaluation.windows import Windows


def _lines(first: int, last: int) -> str:
    return "\n".join(f"line number_{n}" for n in range(first, last))


def test_windows_cover_a_text_and_the_last_ends_with_it() -> None:
    found = Windows({"a": _lines(0, 25)}, 10, 5).jaccard("line", 100)
    assert sorted((w.first, w.last) for w in found) == [(0, 10), (5, 15), (10, 20), (15, 25)]
    assert [(w.first, w.last) for w in Windows({"a": "x\ny"}, 10, 5).jaccard("y", 5)] == [(0, 2)]


def test_jaccard_is_shared_words_over_all_words() -> None:
    windows = Windows({"a": "red green blue", "b": "red", "c": "grey"}, 10, 5)
    found = windows.jaccard("red blue red", 3)
    assert [(w.path, w.score) for w in found] == [("a", pytest.approx(2 / 3)), ("b", pytest.approx(1 / 2))]


def test_bm25_prefers_rare_words_and_short_texts() -> None:
    texts = {
        "common": "the the the",
        "rare": "the okapi",
        "long": "the okapi " + _lines(0, 9).replace("\n", " "),
    }
    texts |= {f"filler{n}": "the cat" for n in range(5)}
    found = Windows(texts, 10, 5).bm25("the okapi", 3)
    assert [w.path for w in found[:2]] == ["rare", "long"]


def test_a_file_can_be_left_out() -> None:
    windows = Windows({"a": "red", "b": "red green"}, 10, 5)
    assert [w.path for w in windows.jaccard("red", 5, "a")] == ["b"]
    assert [w.path for w in windows.bm25("red", 5, "b")] == ["a"]


@pytest.mark.parametrize("texts", [{}, {"a": ""}, {"a": "\n\n"}])
def test_nothing_is_found_in_nothing(texts: dict[str, str]) -> None:
    assert Windows(texts, 10, 5).jaccard("red", 5) == Windows(texts, 10, 5).bm25("red", 5) == []


@pytest.mark.parametrize(
    ("context", "texts", "expected"),
    [
        ("x = foo(", ["a = foo(1)", "x = foo(2)"], "2)"),
        ("x = foo(", ["y = foo(1)", "z = foo(2)"], "1)"),  # equally long: the first text's
        ("foo(1); foo(", ["foo(1); foo("], "1); foo("),  # of itself what stood before
        ("abc", ["abcd"], ""),  # too short to say anything
        ("nothing of it", ["something else"], ""),
        ("", ["text"], ""),
    ],
)
def test_what_follows_the_longest_match_is_copied(context: str, texts: list[str], expected: str) -> None:
    assert continuation(context, texts) == expected


def test_the_longest_match_is_found_as_by_trying_all_lengths() -> None:
    rng = random.Random(0)
    for _ in range(200):
        text, context = ("".join(rng.choices("ab", k=60)) for _ in range(2))
        lengths = [n for n in range(4, 60) if context[-n:] in text[:-1]]
        expected = text[text[:-1].rindex(context[-lengths[-1] :]) + lengths[-1] :] if lengths else ""
        assert continuation(context, [text]) == expected
