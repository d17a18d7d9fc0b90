"""Lines by their neighbors: what is found between two lines, and that a changed index answers as a fresh one."""

from __future__ import annotations

import random

import pytest

from indexer.line_index import LineIndex, LinePlace, lines_of

LOADER = "def load(path):\n    with open(path) as file:\n        return json.load(file)\n"


def index_of(texts: dict[str, str]) -> LineIndex:
    index = LineIndex()
    index.update(texts)
    return index


def found(places: list[LinePlace]) -> list[tuple[str, str]]:
    return [(place.path, place.lines.texts[place.row]) for place in places]


def test_lines_are_stripped_and_blank_ones_left_out_with_their_columns_and_numbers_kept() -> None:
    lines = lines_of("a\n\n    b \n")

    assert (lines.texts, lines.columns, lines.numbers) == (("a", "b"), (0, 4), (0, 2))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["with open(path) as file:"], []),
        (["x = 1", "with open(path) as file:"], ["y = 2"]),
        ([], ["return json.load(file)"]),
    ],
)
def test_a_place_is_found_by_the_line_before_it_or_the_line_behind_it(
    before: list[str], after: list[str]
) -> None:
    index = index_of({"a.py": LOADER, "b.py": "unrelated = True\nsame = False\n"})

    assert {path for path, _ in found(index.between(before, after))} == {"a.py"}


def test_more_neighbors_in_common_come_first() -> None:
    index = index_of({"a.py": "one\nshared\nfirst\n", "b.py": "two\nshared\nsecond\n"})

    assert found(index.between(["two", "shared"], [])) == [("b.py", "second"), ("a.py", "first")]


def test_a_path_can_be_left_out() -> None:
    index = index_of({"a.py": "shared\nfirst\n", "b.py": "shared\nsecond\n"})

    assert found(index.between(["shared"], [], without="a.py")) == [("b.py", "second")]


def test_the_end_of_a_file_is_followed_by_nothing() -> None:
    index = index_of({"a.py": "one\nlast\n", "b.py": "first\ntwo\n"})

    assert index.between(["last"], []) == []
    assert index.between([], ["first"]) == []


def test_a_removed_file_is_not_found_any_more() -> None:
    index = index_of({"a.py": "shared\nfirst\n", "b.py": "shared\nsecond\n"})
    index.update({"b.py": None})

    assert found(index.between(["shared"], ["second"])) == [("a.py", "first")]
    assert index.between(["shared"], [], without="a.py") == []


@pytest.mark.parametrize("seed", range(5))
def test_an_index_brought_up_to_date_finds_what_a_fresh_one_finds(seed: int) -> None:
    rng = random.Random(seed)
    kept: dict[str, str] = {}
    index = LineIndex()
    for _ in range(30):
        path = f"{rng.randrange(6)}.py"
        text = None if rng.random() < 0.2 else "\n".join(rng.choices("abcdef", k=rng.randrange(1, 12)))
        kept = {name: old for name, old in kept.items() if name != path} | (
            {} if text is None else {path: text}
        )
        index.update({path: text})
        before, after = rng.choices("abcdef", k=3), rng.choices("abcdef", k=3)

        assert found(index.between(before, after)) == found(index_of(kept).between(before, after))


def test_lines_with_the_longest_of_several_pieces_come_first() -> None:
    index = LineIndex()
    index.update({
        "a.py": "x = get(one)\nget(two)\n\n    y = get(three); get(four)\nset()",
        "b.py": "nothing = 1\n",
        "c.py": "z = set(get(five))\nother.get(six)",
    })  # fmt: skip
    paths = ["a.py", "b.py", "absent.py", "c.py"]

    def found(*tails: str, limit: int = 64) -> list[tuple[str, int]]:
        return [(place.path, place.row) for place in index.containing(tails, paths, limit=limit)]

    everywhere = [("a.py", 0), ("a.py", 1), ("a.py", 2), ("c.py", 0), ("c.py", 1)]
    assert found("= get(", "get(") == [("a.py", 0), ("a.py", 2), ("a.py", 1), ("c.py", 0), ("c.py", 1)]
    assert found("= get(", "get(", limit=3) == [("a.py", 0), ("a.py", 2), ("a.py", 1)]
    assert found("x = get(", "= get(", "get(", limit=4) == [
        ("a.py", 0), ("a.py", 2), ("a.py", 1), ("c.py", 0),
    ]  # fmt: skip
    assert found("get(", limit=2) == everywhere[:2]
    assert found("never") == found() == []


MIXED = {
    "a.py": "shared\nof Python",
    "b.ts": "shared\nof TypeScript",
    "c.jsx": "shared\nof JSX",
    "d.h": "shared\nof a header",
    "e.cc": "shared\nof C++",
    "f.md": "shared\nof a text",
    "g.go": "shared\nof Go",
}


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("x.py", ["of Python", "of a text"]),
        ("x.tsx", ["of TypeScript", "of JSX", "of a text"]),
        ("x.js", ["of TypeScript", "of JSX", "of a text"]),
        ("x.c", ["of a header", "of C++", "of a text"]),
        ("x.rs", ["of a text"]),
    ],
)
def test_a_document_is_told_of_its_own_kin_first_and_of_plain_text(path: str, lines: list[str]) -> None:
    index = index_of(MIXED)
    assert [place.lines.texts[place.row] for place in index.between(["shared"], [], without=path)] == lines
    inside = index.containing(["of "], [*MIXED], beside=path)
    assert sorted(place.lines.texts[place.row] for place in inside) == sorted(lines)


def test_what_is_no_language_of_ours_is_told_of_all() -> None:
    index = index_of(MIXED)
    assert len(index.between(["shared"], [], without="notebook.ipynb")) == len(MIXED)
    assert len(index.containing(["of "], [*MIXED], beside="x.vue")) == len(MIXED)


def test_a_common_line_of_other_languages_takes_no_place_of_ones_own() -> None:
    """Only so many places are looked at, and every one of them would be Python's."""
    others = {f"{n}.py": "\n".join(f"}}\nother {n} {i}" for i in range(50)) for n in range(20)}
    index = index_of({**others, "own.ts": "}\nmine"})
    assert found(index.between(["}"], [], without="x.ts")) == [("own.ts", "mine")]
