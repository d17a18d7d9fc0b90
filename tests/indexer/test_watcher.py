"""Changes on disk are reported, our own reading is not, and a system without watches is explained."""

from __future__ import annotations

import errno
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer import Watcher
from indexer import watcher as module

SECONDS = 10.0


class Reports:
    """Collects what a watcher reports until all that is awaited has come."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Path] = queue.Queue()

    def put(self, paths) -> None:
        for path in paths:
            self._queue.put(path)

    def until(self, *wanted: Path) -> set[Path]:
        seen: set[Path] = set()
        deadline = time.monotonic() + SECONDS
        while not set(wanted) <= seen:
            seen.add(self._queue.get(timeout=max(0.01, deadline - time.monotonic())))
        return seen


@pytest.fixture
def reports(root):
    reports = Reports()
    watcher = Watcher(root, reports.put)
    watcher.start()
    yield reports
    assert watcher.stop()


def test_created_changed_deleted(reports, root, write):
    path = write("a.py", "x = 1\n")
    reports.until(path)
    write("a.py", "x = 2\n")
    reports.until(path)
    path.unlink()
    reports.until(path)


def test_atomic_save_reports_the_final_name(reports, root, write):
    write("a.py.tmp", "x = 1\n").rename(root / "a.py")
    reports.until(root / "a.py")


def test_a_moved_directory_reports_both_names(reports, root, write):
    path = write("old/a.py", "x = 1\n")
    reports.until(path)
    (root / "old").rename(root / "new")
    reports.until(root / "old", root / "new")


def test_reading_and_git_report_nothing(reports, root, write):
    write(".git/index", "x")
    write("a.py", "x = 1\n")
    reports.until(root / "a.py")
    (root / "a.py").read_bytes()
    write(".git/index.lock", "x")
    seen = reports.until(write("last.py", "x = 1\n"))
    assert seen <= {root / "a.py", root / "last.py"}


def test_nothing_is_reported_after_stop_and_no_thread_is_left(root, write):
    reports, before = Reports(), threading.active_count()
    watcher = Watcher(root, reports.put)
    watcher.start()
    assert watcher.stop()
    assert watcher.stop()
    write("a.py", "x = 1\n")
    assert threading.active_count() == before
    with pytest.raises(queue.Empty):
        reports._queue.get(timeout=0.1)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE])
def test_a_system_without_watches_says_what_to_do(root, monkeypatch, code):
    def refuse(self) -> None:
        raise OSError(code, "inotify watch limit reached")

    monkeypatch.setattr(module._Observer, "start", refuse)
    with pytest.raises(OSError, match=r"--reindex") as caught:
        Watcher(root, lambda paths: None).start()
    assert caught.value.errno == code


def test_folders_that_lie_too_deep_are_explained(root, monkeypatch):
    def recurse(self) -> None:
        raise RecursionError

    monkeypatch.setattr(module._Observer, "start", recurse)
    with pytest.raises(OSError, match=r"too deep.*--reindex"):
        Watcher(root, lambda paths: None).start()


def test_an_idle_watcher_costs_nothing(root: Path, write: Callable[..., Path]) -> None:
    write("a/b/c.py", "x = 1\n")
    watcher = Watcher(root, lambda paths: None)
    watcher.start()
    used, waited = time.process_time(), threading.Event()
    waited.wait(1.0)
    used = time.process_time() - used
    watcher.stop()
    assert used < 0.02
