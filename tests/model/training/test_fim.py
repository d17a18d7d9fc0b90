from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from model.training.fim import cut_at
from tests.model.training.conftest import module_text

TEXT = module_text("lion")


@given(st.text(alphabet="ab(). \n\t漢", max_size=200), st.integers(0, 200), st.integers(0, 2**32))
def test_the_three_parts_are_the_text(text: str, near: int, seed: int) -> None:
    cut = cut_at(text, min(near, len(text)), random.Random(seed))
    assert cut is None or (cut.prefix + cut.middle + cut.suffix == text and cut.middle.strip())


def middles(kind: str) -> set[str]:
    near = TEXT.index("        total +=") + 12
    cuts = (cut_at(TEXT, near, random.Random(seed), kind) for seed in range(60))
    return {cut.middle for cut in cuts if cut}


def test_a_line_is_the_whole_line_without_its_newline() -> None:
    assert middles("line") == {"        total += shared_0(step) if step else lion"}


def test_the_rest_of_a_line_ends_with_it_and_begins_at_many_places() -> None:
    found = middles("rest")
    assert all("total += shared_0(step) if step else lion".endswith(m) for m in found)
    assert len(found) > 10
    assert "step) if step else lion" in found  # right behind a bracket


def test_a_block_ends_where_the_indentation_does() -> None:
    near = TEXT.index("    total = ")
    cut = cut_at(TEXT, near, random.Random(0), "block")
    assert cut is not None
    assert cut.middle.startswith("    total = value")
    assert cut.middle.endswith("    return total")


def test_lines_stay_within_eight() -> None:
    assert {m.count("\n") + 1 for m in middles("lines")} <= set(range(2, 9))


def test_nothing_is_asked_for_where_nothing_stands() -> None:
    assert cut_at("a\n\n\nb\n", 2, random.Random(0), "line") is None
