"""Lookups in short stores against looking everywhere, and what they remember."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.drafts.stores import LIMIT, LONGEST, WIDTH, DocumentTokens, Scanned, SessionTokens, scan

tokens = st.lists(st.integers(-1, 3), max_size=40)
contexts = st.lists(st.integers(0, 3), min_size=1, max_size=20)


def rows_of(match: Scanned) -> list[list[int]]:
    return [row[: row.index(-1)] if -1 in row else row for row in match.continuations.tolist()]


def slow_scan(ids: Sequence[int], context: Sequence[int]) -> tuple[int, list[list[int]]]:
    for length in range(min(LONGEST, len(context)), 0, -1):
        ends = [
            end
            for end in range(length, len(ids))
            if list(ids[end - length : end]) == context[-length:] and ids[end] >= 0
        ]
        if ends:
            copied = [list(ids[end:]) * WIDTH for end in ends[-LIMIT:]]  # at the end it goes on with the copy
            return length, [
                row[: row.index(-1)] if -1 in row else row for row in (row[:WIDTH] for row in copied)
            ]
    return 0, []


@settings(deadline=None)
@given(tokens, contexts)
def test_a_scan_finds_the_longest_end_and_what_followed_it(ids: list[int], context: list[int]) -> None:
    found = scan(np.array(ids, np.int32), context)
    assert (found.length, rows_of(found)) == slow_scan(ids, context)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=20), st.lists(st.integers(0, 3), max_size=20), contexts)
def test_a_document_is_both_sides_and_what_was_written_so_far(
    before: list[int], after: list[int], written: list[int]
) -> None:
    document = DocumentTokens(before, after, len(written))
    for n in range(len(written) + 1):
        context = [*before, *written[:n]]
        if context:
            found = document.find(context)
            assert (found.length, rows_of(found)) == slow_scan([*after, -1, *context], context)


def test_a_session_remembers_across_sequences_and_forgets_the_least_recent() -> None:
    session = SessionTokens(max_tokens=12)
    session.learn([1, 2, 3])
    session.learn([4, 5, 6])
    assert rows_of(session.find([1, 2])) == [[3]]
    session.learn([1, 2, 3])  # again: now it is the most recent
    session.learn([7, 8, 9])
    session.learn([10, 11, 12])
    assert session.find([4]).length == 0
    assert [session.find([first]).length for first in (1, 7, 10)] == [1, 1, 1]


def test_a_match_does_not_reach_from_one_sequence_into_the_next() -> None:
    session = SessionTokens()
    session.learn([1, 2])
    session.learn([3, 4])
    assert session.find([2]).length == 0
    assert rows_of(session.find([1])) == [[2]]


def test_a_sequence_longer_than_the_memory_leaves_its_end() -> None:
    session = SessionTokens(max_tokens=4)
    session.learn(range(10))
    assert session.find([8]).length == 1
    assert session.find([3]).length == 0
