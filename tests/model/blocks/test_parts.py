from __future__ import annotations

import pytest

from model.blocks.block import SPAN
from model.blocks.parts import nearest_parts, splitting
from model.vocabulary import Vocabulary

FUNCTIONS = [f"def function_{n}(value):\n    return value + {n}\n" for n in range(40)]
MODULE = "import os\n\n\n" + "\n\n".join(FUNCTIONS)


def around(vocabulary: Vocabulary, before: str, after: str, most: int = 10_000) -> list[tuple[int, ...]]:
    """Parts of two texts between which the cursor stands, without a window."""
    return nearest_parts(splitting(vocabulary), before + after, len(before), len(before), len(before), most)


def texts(vocabulary: Vocabulary, before: str, after: str, most: int = 10_000) -> list[str]:
    return [
        b"".join(map(vocabulary.token_bytes, ids)).decode() for ids in around(vocabulary, before, after, most)
    ]


def test_all_parts_give_the_text_back(vocabulary: Vocabulary) -> None:
    assert "".join(reversed(texts(vocabulary, MODULE, ""))) == MODULE
    assert "".join(texts(vocabulary, "", MODULE)) == MODULE


def test_a_part_is_a_definition(vocabulary: Vocabulary) -> None:
    assert texts(vocabulary, MODULE, "")[0].strip() == FUNCTIONS[-1].strip()


def test_an_edit_changes_one_part(vocabulary: Vocabulary) -> None:
    before = around(vocabulary, MODULE, "")
    for edited in (MODULE.replace("value + 7\n", "value * 7\n"), MODULE.replace("value + 39", "0")):
        after = around(vocabulary, edited, "")
        assert len(set(before) ^ set(after)) == 2


def test_the_nearest_come_first_and_both_sides_get_their_share(vocabulary: Vocabulary) -> None:
    found = around(vocabulary, MODULE, "\n" + MODULE, 400)
    assert sum(map(len, found)) <= 400
    above, below = texts(vocabulary, MODULE, "", 200), texts(vocabulary, "", MODULE, 200)
    both = texts(vocabulary, MODULE, "\n" + MODULE, 400)
    shared = {text.strip() for text in both}
    assert {text.strip() for text in above[:3]} < shared
    assert {text.strip() for text in below[:3]} < shared


def test_what_one_side_does_not_need_is_the_other_s(vocabulary: Vocabulary) -> None:
    found = around(vocabulary, "x = 1\n\n", MODULE, 400)
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
        found = around(vocabulary, before, after, 500)
        assert all(0 < len(ids) <= SPAN for ids in found)
        assert sum(map(len, found)) <= 500
        if text.strip():
            assert found


def test_a_long_function_is_cut_at_lines(vocabulary: Vocabulary) -> None:
    parts = texts(vocabulary, "", LONG["one function"])
    assert "".join(parts) == LONG["one function"]
    assert all(part.endswith("\n") for part in parts)


CLASS = "class Sail:\n" + "\n".join(
    f"    def area_{n}(self, width):\n        wide = width * {n}\n        return wide * self.height\n"
    for n in range(60)
)
TABS = CLASS.replace("    ", "\t")
NESTED = "def outer():\n" + "\n".join(f"    {line}" if line else line for line in CLASS.split("\n"))


@pytest.mark.parametrize("text", [MODULE, CLASS, TABS, NESTED], ids=["functions", "class", "tabs", "nested"])
def test_a_part_is_the_same_wherever_the_window_lies(text: str, vocabulary: Vocabulary) -> None:
    split = splitting(vocabulary)
    everything = set(nearest_parts(split, text, 0, 0, 0, 100_000))
    for start in range(0, len(text), 331):
        found = nearest_parts(split, text, start, start, min(len(text), start + 700), 500)
        assert set(found) <= everything
        assert len(found) >= 3


@pytest.mark.parametrize("text", [MODULE, CLASS], ids=["functions", "class"])
def test_with_the_window_the_parts_are_the_whole_document(text: str, vocabulary: Vocabulary) -> None:
    start, end = len(text) // 2, len(text) // 2 + 300
    found = nearest_parts(splitting(vocabulary), text, start, start, end, 100_000)
    read = [b"".join(map(vocabulary.token_bytes, ids)).decode() for ids in found]
    for line in {*text[:start].splitlines()[:-1], *text[end:].splitlines()[1:]}:
        assert not line.strip() or any(line in part for part in read)


def test_a_method_s_edit_changes_one_part(vocabulary: Vocabulary) -> None:
    before = set(around(vocabulary, CLASS, ""))
    after = set(around(vocabulary, CLASS.replace("width * 7\n", "width * 7 + 11\n"), ""))
    assert len(before ^ after) == 2
