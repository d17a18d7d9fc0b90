"""Which folders are indexed, and when changes are handed to the index thread."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lsp_server.pending import LIMIT_SECONDS, QUIET_SECONDS, REST, REST_SECONDS, Pending
from lsp_server.workspace import outermost

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
