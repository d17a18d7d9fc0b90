"""The sorted index against a plain scan of the same files, fresh and after any sequence of changes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.suffix_index import MAX_CONTEXT, Match, SuffixIndex

WIDTH = 4
Files = Mapping[str, Sequence[int]]
Rows = Counter[tuple[int, ...]]

tokens = st.lists(st.integers(0, 3), max_size=30)
paths = st.sampled_from(["a", "b", "c", "d"])


def index_of(files: Files) -> SuffixIndex:
    index = SuffixIndex()
    index.update({path: np.array(ids, np.int32) for path, ids in files.items()})
    return index


def rows_of(match: Match) -> Rows:
    return Counter(tuple(int(token) for token in row) for row in match.continuations)


def scanned(files: Files, context: Sequence[int], length: int) -> Rows:
    """What follows each occurrence of the context's last `length` tokens, found by looking everywhere."""
    wanted, rows = tuple(context[-length:]), Rows()
    for ids in files.values():
        for end in range(length, len(ids)):
            if tuple(ids[end - length : end]) == wanted:
                rows[tuple([*ids[end : end + WIDTH], *[-1] * WIDTH][:WIDTH])] += 1
    return rows


def check(index: SuffixIndex, files: Files, context: Sequence[int]) -> None:
    lengths = range(min(MAX_CONTEXT, len(context)), 0, -1)
    expected = {length: rows for length in lengths if (rows := scanned(files, context, length))}
    longest = max(expected, default=0)
    found = index.find(context, shortest=1, width=WIDTH)
    assert (found.length, rows_of(found)) == (longest, expected.get(longest, Counter()))
    levels = list(index.matches(context, shortest=1, width=WIDTH))
    assert [(match.length, rows_of(match)) for match in levels] == [
        (length, rows) for length, rows in expected.items() if rows != expected.get(length + 1)
    ]


@settings(deadline=None)
@given(st.dictionaries(paths, tokens), tokens)
def test_it_finds_what_a_scan_finds(files: Files, context: list[int]) -> None:
    check(index_of(files), files, context)


@settings(deadline=None)
@given(st.lists(st.tuples(paths, st.none() | tokens), max_size=12), tokens)
def test_after_any_changes_it_finds_what_a_fresh_one_finds(
    changes: list[tuple[str, list[int] | None]], context: list[int]
) -> None:
    index, files = SuffixIndex(), dict[str, list[int]]()
    for path, ids in changes:
        index.update({path: None if ids is None else np.array(ids, np.int32)})
        files.pop(path, None)
        if ids is not None:
            files[path] = ids
    check(index, files, context)


@settings(deadline=None)
@given(st.dictionaries(paths, tokens), tokens, paths)
def test_a_path_can_be_left_out(files: Files, context: list[int], hidden: str) -> None:
    rest = {path: ids for path, ids in files.items() if path != hidden}
    expected = index_of(rest).find(context, width=WIDTH)
    found = index_of(files).find(context, width=WIDTH, without=hidden)
    assert (found.length, rows_of(found)) == (expected.length, rows_of(expected))


def test_a_context_is_matched_over_sixteen_tokens_and_no_more() -> None:
    index = index_of({"a": [9, *range(20), 50], "b": [8, *range(20), 60]})
    found = index.find([9, *range(20)])
    assert found.length == MAX_CONTEXT
    assert sorted(found.continuations[:, 0].tolist()) == [50, 60]
    with pytest.raises(ValueError, match="17 were asked for"):
        index.find([1], longest=17)


def test_many_places_are_sampled_over_all_of_them() -> None:
    index = index_of({"a": [token for n in range(1000) for token in (7, 8, n)]})
    found = index.find([7, 8], limit=10, width=1)
    assert len(found.continuations) == 10
    assert np.ptp(found.continuations) > 800


def test_a_file_that_is_edited_again_and_again_stays_one_file() -> None:
    index = index_of({"big": list(range(1000))})
    for n in range(50):
        index.update({"edited": np.arange(n, n + 20, dtype=np.int32)})
    assert len(index.find([1], shortest=1, limit=10_000).continuations) == 1  # only where "big" has it
    assert len(index.find([55, 56], shortest=1).continuations) == 2


def test_a_search_beside_changes_sees_one_state_or_the_other() -> None:
    index = index_of({"a": [1, 2, 3] * 50, "b": [5, 6] * 500})
    stop = threading.Event()

    def change() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            index.update({"a": np.array([1, 2, 3 + n % 2] * 50, np.int32)})

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            found = index.find([1, 2], width=1)
            assert len(found.continuations) == 50
            assert len(set(found.continuations[:, 0].tolist())) == 1
    finally:
        stop.set()
        thread.join()
