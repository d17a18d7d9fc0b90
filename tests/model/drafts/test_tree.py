"""Tries, acceptance and draft size: pure functions, against slow and obvious ones."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.drafts.tree import NO_DRAFT, ROOT, Draft, accepted, n_worthwhile, tree_behind, weighted_trie

sequences = st.lists(st.lists(st.integers(0, 3), max_size=5), max_size=12)


def paths(draft: Draft) -> list[tuple[int, ...]]:
    """The tokens from the root to each row."""
    found: list[tuple[int, ...]] = []
    for token, parent in zip(draft.tokens, draft.parents, strict=True):
        found.append((*(found[parent] if parent != ROOT else ()), token))
    return found


@settings(deadline=None)
@given(sequences, st.integers(1, 80))
def test_the_trie_has_the_heaviest_beginnings(rows: list[list[int]], n_rows: int) -> None:
    counts = Counter(tuple(row[: n + 1]) for row in rows for n in range(len(row)))
    draft = weighted_trie([(row, [1.0] * len(row)) for row in rows], n_rows)
    assert len(draft) == min(n_rows, len(counts))
    assert dict(zip(paths(draft), draft.chances, strict=True)).items() <= counts.items()
    assert list(draft.chances) == sorted(counts.values(), reverse=True)[:n_rows]


@settings(deadline=None)
@given(sequences, st.integers(0, 80))
def test_every_beginning_of_a_draft_is_a_tree(rows: list[list[int]], n: int) -> None:
    draft = weighted_trie([(row, [0.5**depth for depth in range(len(row))]) for row in rows], 64).first(n)
    assert all(ROOT <= parent < row for row, parent in enumerate(draft.parents))
    assert len(set(paths(draft))) == len(draft)


def test_a_sequence_ends_with_its_padding() -> None:
    assert weighted_trie([([5, 6, -1, 7], [1.0, 0.5, 0.25, 0.1])], 64) == Draft((5, 6), (ROOT, 0), (1.0, 0.5))


@settings(deadline=None)
@given(sequences, st.lists(st.integers(0, 3), max_size=7))
def test_accepted_is_the_longest_path_that_agrees(rows: list[list[int]], greedy: list[int]) -> None:
    draft = weighted_trie([(row, [1.0] * len(row)) for row in rows], 64)
    asked: list[int] = []

    def choose(row: int) -> int | None:
        asked.append(row)
        return greedy[len(asked) - 1] if len(asked) <= len(greedy) else None

    path = accepted(draft, choose)
    by_path = dict(zip(paths(draft), range(len(draft)), strict=True))
    agreeing = [n for n in range(1, len(greedy) + 1) if tuple(greedy[:n]) in by_path]
    assert path == [by_path[tuple(greedy[:n])] for n in agreeing]
    assert asked == [ROOT, *path]


def test_a_chain_stands_before_the_draft() -> None:
    draft = Draft((7, 8, 9), (ROOT, ROOT, 0), (1.0, 0.5, 0.5))
    assert tree_behind(1, draft) == [-1, 0, 0, 1]
    assert tree_behind(3, draft) == [-1, 0, 1, 2, 2, 3]
    assert tree_behind(2, NO_DRAFT) == [-1, 0]


@pytest.mark.parametrize(
    ("chances", "per_row", "expected"),
    [
        ((), 0.1, 0),
        ((0.9, 0.8, 0.05), 0.1, 2),  # the third row costs more than it may bring
        ((0.9, 0.8, 0.05), 0.0, 3),
        ((0.05, 0.05), 0.1, 0),
        ((0.05, *[0.04] * 9), 0.01, 10),  # many small chances on a device where rows are nearly free
    ],
)
def test_as_many_rows_as_bring_more_than_they_cost(
    chances: tuple[float, ...], per_row: float, expected: int
) -> None:
    assert n_worthwhile(chances, lambda n: 1 + per_row * n) == expected
