"""Which folders are indexed, and when changes are handed to the index thread."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from indexer import CacheError, Hit, Index, IndexStats, Progress, Query, UpdateReport
from lsp_server.configuration import outermost
from lsp_server.pending import LIMIT_SECONDS, QUIET_SECONDS, REST, REST_SECONDS, Pending, Work
from lsp_server.workspace import NICE, Events, Workspace

A, B = Path("a.py"), Path("b.py")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("folders", "kept"),
    [
        (["/a", "/b"], ["/a", "/b"]),
        (["/a", "/a/b", "/a/b/c"], ["/a"]),
        (["/a", "/ab"], ["/a", "/ab"]),
        (["/a", "/a"], ["/a"]),
        ([], []),
    ],
)
def test_nested_folders_are_indexed_once_by_the_outer_one(folders: list[str], kept: list[str]) -> None:
    assert outermost(map(Path, folders)) == set(map(Path, kept))


def test_a_burst_is_taken_as_one_when_it_is_quiet() -> None:
    clock = Clock()
    pending = Pending(clock)
    pending.changed([A])
    pending.edited(A, "one")
    pending.changed([B, A])
    pending.edited(A, "two")
    pending.rescan()
    clock.now += QUIET_SECONDS
    work = pending.take()

    assert work is not None
    assert (work.overlays, work.rescan, work.paths) == ({A: "two"}, True, {A, B})


def test_a_stream_of_changes_is_not_waited_for_longer_than_the_limit() -> None:
    clock = Clock()
    pending = Pending(clock)
    for _ in range(30):
        pending.changed([A])
        clock.now += QUIET_SECONDS / 2
    assert clock.now > 100 + LIMIT_SECONDS

    work = pending.take()  # would wait for quiet otherwise
    assert work is not None
    assert work.paths == {A}


def test_open_documents_are_handed_over_during_a_scan_when_quiet() -> None:
    clock = Clock()
    pending = Pending(clock)
    pending.edited(A, "text")

    assert pending.take_overlays() == {}
    clock.now += QUIET_SECONDS
    assert pending.take_overlays() == {A: "text"}
    assert pending.take_overlays() == {}


def test_after_a_large_document_there_is_a_rest_in_proportion() -> None:
    clock = Clock()
    pending = Pending(clock)
    pending.rest(0.5)
    pending.edited(A, "text")
    clock.now += REST * 0.5 - 0.01
    assert pending.take_overlays() == {}
    clock.now += 0.02
    assert pending.take_overlays() == {A: "text"}

    pending.rest(100)
    pending.edited(A, "text")
    clock.now += REST_SECONDS
    work = pending.take()
    assert work is not None
    assert work.overlays == {A: "text"}


def test_a_pause_keeps_changes_and_a_stop_ends_the_wait() -> None:
    clock = Clock()
    pending = Pending(clock)
    pending.pause(True)
    pending.changed([A])
    clock.now += LIMIT_SECONDS
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.extend([pending.take(), pending.take()]))
    thread.start()
    thread.join(0.1)
    assert taken == []
    pending.pause(False)
    pending.stop()
    thread.join(10)

    assert not thread.is_alive()
    assert taken[-1] is None


class SlowIndex:
    """An index whose first whole update embeds until it is broken off; what it was asked for is in `asked`."""

    def __init__(self) -> None:
        self.asked: list[Collection[Path] | None] = []
        self.embeds = threading.Event()

    def update(
        self,
        paths: Collection[Path] | None,
        *,
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> UpdateReport:
        self.asked.append(paths)
        deadline = time.monotonic() + 10
        while paths is None and not cancelled() and time.monotonic() < deadline:
            progress(Progress(1, 2, "", "embedding"))
            self.embeds.set()
            time.sleep(0.01)
        return UpdateReport(0, 0, 0, 0, 0.0, cancelled=cancelled())

    def overlay(self, path: Path, text: str | None) -> UpdateReport:
        return UpdateReport(0, 0, 0, 0, 0.0)

    def stats(self) -> IndexStats:
        return cast(IndexStats, SimpleNamespace(files=0))

    is_damaged = has_traces = False

    def verify(self) -> bool:
        return True

    def close(self) -> None:
        pass


@pytest.fixture
def told() -> list[int]:
    """How many updates had been asked for at each time that the folder was said to be up to date."""
    return []


@pytest.fixture
def slow(told: list[int]) -> Iterator[tuple[Workspace, SlowIndex]]:
    index = SlowIndex()
    events = Events(*(lambda *_: None,) * 4)
    events = replace(events, updated=lambda *_: told.append(len(index.asked)))
    workspace = Workspace(Path("/folder"), lambda _: cast(Index, index), None, events)
    yield workspace, index
    workspace.stop()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_file_that_changes_while_others_are_embedded_comes_first(
    slow: tuple[Workspace, SlowIndex], told: list[int]
) -> None:
    workspace, index = slow
    workspace.start()
    assert index.embeds.wait(10)
    workspace.pending.changed([A])
    wait_until(lambda: bool(told))
    assert index.asked == [None, {A}]
    assert told == [2]  # not while vectors were still missing


def test_a_first_index_begins_beside_open_documents_and_is_ready_when_all_is_done(
    slow: tuple[Workspace, SlowIndex], told: list[int]
) -> None:
    workspace, index = slow
    workspace.pending.edited(Path("/folder/deep/open.py"), "x = 1\n")
    workspace.start()
    assert index.embeds.wait(10)
    assert index.asked == [{Path("/folder/deep")}, None]
    assert told == []


class Troubled:
    """An index whose calls fail as they are told to; what it was asked for is in `asked`."""

    def __init__(self) -> None:
        self.asked: list[Collection[Path] | None] = []
        self.shown: list[Path] = []
        self.failures: list[Exception] = []
        self.is_damaged = self.has_traces = False
        self.is_sound = True

    def update(self, paths: Collection[Path] | None, **_: object) -> UpdateReport:
        self.asked.append(paths)
        if self.failures:
            raise self.failures.pop()
        self.is_damaged = False
        return UpdateReport(0, 0, 0, 0, 0.0)

    def overlay(self, path: Path, text: str | None) -> UpdateReport:
        if "\0" in str(path) or "\udcff" in str(path):
            raise ValueError("embedded null byte")
        self.shown.append(path)
        return UpdateReport(1, 1, 0, 0, 0.0)

    def search(self, query: Query) -> list[Hit]:
        self.is_damaged = True
        return []

    def verify(self) -> bool:
        self.is_damaged = not self.is_sound
        return self.is_sound

    def stats(self) -> IndexStats:
        return cast(IndexStats, SimpleNamespace(files=1))

    def close(self) -> None:
        pass


@pytest.fixture
def troubled() -> Iterator[tuple[Workspace, Troubled]]:
    index = Troubled()
    workspace = Workspace(
        Path("/folder"), lambda _: cast(Index, index), None, Events(*(lambda *_: None,) * 4)
    )
    yield workspace, index
    workspace.stop()


def test_a_document_that_cannot_be_taken_in_costs_neither_the_others_nor_the_first_scan(
    troubled: tuple[Workspace, Troubled],
) -> None:
    workspace, index = troubled
    for name in ("nul\0.py", "surrogate\udcff.py", "good.py"):
        workspace.pending.edited(Path("/folder") / name, "x = 1\n")
    workspace.start()
    wait_until(lambda: bool(index.asked))
    assert index.asked == [None]
    assert index.shown == [Path("/folder/good.py")]
    assert workspace.error is None


def test_a_scan_that_fails_is_made_again(
    troubled: tuple[Workspace, Troubled], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsp_server.workspace.FIRST_RETRY_SECONDS", 0.1)
    workspace, index = troubled
    index.failures = [OSError("no room"), RuntimeError("odd")]
    workspace.start()
    wait_until(lambda: len(index.asked) == 3)
    assert index.asked == [None, None, None]
    wait_until(lambda: workspace.error is None)
    time.sleep(0.5)
    assert len(index.asked) == 3  # and no more once it went


def test_damage_that_a_search_meets_is_rebuilt_without_a_change_on_disk(
    troubled: tuple[Workspace, Troubled],
) -> None:
    workspace, index = troubled
    workspace.start()
    wait_until(lambda: len(index.asked) == 1)
    assert workspace.search(cast(Query, None)) == []
    wait_until(lambda: len(index.asked) == 2)
    assert index.asked == [None, None]
    assert not index.is_damaged


def test_damage_that_is_found_once_all_is_read_is_rebuilt(troubled: tuple[Workspace, Troubled]) -> None:
    workspace, index = troubled
    index.is_sound = False
    workspace.start()
    wait_until(lambda: len(index.asked) == 2)
    time.sleep(0.5)
    assert index.asked == [None, None]


def test_a_cache_that_cannot_be_opened_is_tried_again_with_the_open_documents_kept() -> None:
    index, failures, failed = Troubled(), [CacheError("It is locked.", "Wait.")] * 2, []

    def open_index(_: Path) -> Index:
        if failures:
            raise failures.pop()
        return cast(Index, index)

    events = Events(*(lambda *_: None,) * 4)
    workspace = Workspace(
        Path("/folder"), open_index, None, replace(events, failed=lambda _, error: failed.append(str(error)))
    )
    workspace._retry_seconds = 0.1
    workspace.pending.edited(Path("/folder/a.py"), "x = 1\n")
    workspace.start()
    wait_until(lambda: bool(index.asked))
    assert failed == ["It is locked. Wait."] * 2
    assert index.shown == [Path("/folder/a.py")]
    workspace.stop()


def test_waiting_for_room_ends_at_once_when_the_session_does() -> None:
    def full(_: Path) -> Index:
        raise OSError("no room")

    workspace = Workspace(Path("/folder"), full, None, Events(*(lambda *_: None,) * 4))
    workspace.start()
    wait_until(lambda: workspace.error is not None)
    began = time.monotonic()
    workspace.stop()
    assert time.monotonic() - began < 3


def test_no_work_is_handed_over_when_it_is_time_for_something_else() -> None:
    clock = Clock()
    pending = Pending(clock)
    assert pending.take(clock.now) == Work()
    pending.changed([A])
    clock.now += QUIET_SECONDS
    work = pending.take(clock.now - 1)
    assert work is not None
    assert work.paths == {A}


def test_an_errand_waits_for_neither_quiet_nor_the_end_of_a_pause_and_is_canceled_by_a_stop() -> None:
    pending, run = Pending(Clock()), list[str]()
    pending.pause(True)
    pending.changed([A])
    first = pending.ask(lambda: run.append("first"))
    work = pending.take()
    assert work is not None
    assert (work.paths, len(work.errands)) == (frozenset(), 1)
    assert not pending.errands_wait
    second = pending.ask(lambda: run.append("second"))
    pending.stop()
    third = pending.ask(lambda: run.append("third"))
    assert pending.take() is None
    assert (first.cancelled(), second.cancelled(), third.cancelled()) == (False, True, True)
    assert run == []


def test_an_errand_comes_before_what_is_left_to_embed_and_costs_none_of_it(
    slow: tuple[Workspace, SlowIndex], told: list[int]
) -> None:
    workspace, index = slow
    done: list[int] = []
    workspace.start()
    assert index.embeds.wait(10)
    workspace.pending.ask(lambda: done.append(len(index.asked)))
    wait_until(lambda: len(index.asked) == 2)
    assert done == [1]
    assert index.asked == [None, None]
    assert told == []  # not while vectors are still missing


def test_an_errand_that_fails_stops_nothing(troubled: tuple[Workspace, Troubled]) -> None:
    workspace, index = troubled
    workspace.start()
    failed = workspace.pending.ask(lambda: index.failures[0] and None)
    with pytest.raises(IndexError):
        failed.result(10)
    wait_until(lambda: index.asked == [None])


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux")
def test_the_index_thread_gives_way_and_no_other_does() -> None:
    def own() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before, seen = own(), list[int]()

    def opened(_: Path) -> Index:
        seen.append(own())
        return cast(Index, Troubled())

    workspace = Workspace(Path("/folder"), opened, None, Events(*(lambda *_: None,) * 4))
    workspace.start()
    wait_until(lambda: bool(seen))
    workspace.stop()
    assert (seen, own()) == ([min(before + NICE, 19)], before)
