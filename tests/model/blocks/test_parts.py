from __future__ import annotations

import pytest

from model.blocks.block import SPAN
from model.blocks.parts import nearest_parts, splitting
from model.vocabulary import Vocabulary

FUNCTIONS = [f"def function_{n}(value):\n    return value + {n}\n" for n in range(40)]
MODULE = "import os\n\n\n" + "\n\n".join(FUNCTIONS)


def texts(vocabulary: Vocabulary, before: str, after: str, most: int = 10_000) -> list[str]:
    return [
        b"".join(map(vocabulary.token_bytes, ids)).decode()
        for ids in nearest_parts(splitting(vocabulary), before, after, most)
    ]


def test_all_parts_give_the_text_back(vocabulary: Vocabulary) -> None:
    assert "".join(reversed(texts(vocabulary, MODULE, ""))) == MODULE
    assert "".join(texts(vocabulary, "", MODULE)) == MODULE


def test_a_part_is_a_definition(vocabulary: Vocabulary) -> None:
    assert texts(vocabulary, MODULE, "")[0].strip() == FUNCTIONS[-1].strip()


def test_an_edit_changes_one_part(vocabulary: Vocabulary) -> None:
    before = nearest_parts(splitting(vocabulary), MODULE, "", 10_000)
    for edited in (MODULE.replace("value + 7\n", "value * 7\n"), MODULE.replace("value + 39", "0")):
        after = nearest_parts(splitting(vocabulary), edited, "", 10_000)
        assert len(set(before) ^ set(after)) == 2


def test_the_nearest_come_first_and_both_sides_get_their_share(vocabulary: Vocabulary) -> None:
    found = nearest_parts(splitting(vocabulary), MODULE, MODULE, 400)
    assert sum(map(len, found)) <= 400
    above, below = texts(vocabulary, MODULE, "", 200), texts(vocabulary, "", MODULE, 200)
    both = texts(vocabulary, MODULE, MODULE, 400)
    assert set(above[:3]) < set(both)
    assert set(below[:3]) < set(both)


def test_what_one_side_does_not_need_is_the_other_s(vocabulary: Vocabulary) -> None:
    found = nearest_parts(splitting(vocabulary), "x = 1\n", MODULE, 400)
    assert 300 < sum(map(len, found)) <= 400


LONG = {
    "one function": "def f():\n" + "".join(f"    value_{n} = {n}\n" for n in range(300)),
    "one line": "x = [" + ", ".join(map(str, range(2_000))) + "]",
    "no word at all": " " * 5_000,
    "blank lines": "\n" * 5_000,
    "emoji": "\U0001f469\u200d\U0001f680" * 500,
    "Windows": "def f():\r\n    pass\r\n\r\n\r\n" * 60,
    "nothing": "",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_no_part_is_longer_than_a_block_nor_all_than_asked(text: str, vocabulary: Vocabulary) -> None:
    for before, after in ((text, ""), ("", text), (text, text)):
        found = nearest_parts(splitting(vocabulary), before, after, 500)
        assert all(0 < len(ids) <= SPAN for ids in found)
        assert sum(map(len, found)) <= 500
        if text.strip():
            assert found


def test_a_long_function_is_cut_at_lines(vocabulary: Vocabulary) -> None:
    parts = texts(vocabulary, "", LONG["one function"])
    assert "".join(parts) == LONG["one function"]
    assert all(part.endswith("\n") for part in parts)
