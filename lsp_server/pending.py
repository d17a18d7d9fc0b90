"""Changes on their way to an index thread: brought together while they come thick, handed over when they go
quiet."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

QUIET_SECONDS = 0.2  # a burst of edits is over after this long without one ...
LIMIT_SECONDS = 2.0  # ... and is not waited for longer than this
REST = 4  # times as long as a document took, nothing more is taken: a large one must not keep a core busy ...
REST_SECONDS = 5.0  # ... but never longer than this


@dataclass(frozen=True)
class Work:
    """What the index thread does next, in this order."""

    overlays: dict[Path, str | None] = field(default_factory=dict)
    rescan: bool = False
    paths: frozenset[Path] = frozenset()
    errands: tuple[Errand, ...] = ()


@dataclass(frozen=True, eq=False)
class Errand:
    """Something else that the index thread is to do, which waits neither for quiet nor for the end of a pause."""

    run: Callable[[], None]
    done: Future[None] = field(default_factory=Future)


class Pending:
    """Changes that wait for the index thread, brought together until they go quiet. Any thread may add."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._overlays: dict[Path, str | None] = {}
        self._paths: set[Path] = set()
        self._rescan = False
        self._errands: list[Errand] = []
        self._first: float | None = None
        self._last = 0.0
        self._rest_until = 0.0
        self._paused = False
        self._stopped = False

    def changed(self, paths: Iterable[Path]) -> None:
        """These files may have changed on disk."""
        with self._condition:
            self._paths.update(paths)
            self._touch()

    def edited(self, path: Path, text: str | None) -> None:
        """An open document has this text now; None: it was closed and the disk counts again."""
        with self._condition:
            self._overlays[path] = text
            self._touch()

    def rescan(self) -> None:
        """Compare the whole folder with the index."""
        with self._condition:
            self._rescan = True
            self._touch()

    def ask(self, run: Callable[[], None]) -> Future[None]:
        """Have something else done; what it raises is the future's. Canceled when that never comes."""
        errand = Errand(run)
        with self._condition:
            if self._stopped:
                errand.done.cancel()
            else:
                self._errands.append(errand)
                self._condition.notify_all()
        return errand.done

    def rest(self, seconds: float) -> None:
        """Taking in an open document has cost so many seconds."""
        with self._condition:
            self._rest_until = self._clock() + min(REST * seconds, REST_SECONDS)

    def pause(self, paused: bool) -> None:
        """While paused, changes are kept and nothing is done about them."""
        with self._condition:
            self._paused = paused
            self._condition.notify_all()

    def stop(self) -> None:
        with self._condition:
            self._stopped = True
            for errand in self._errands:
                errand.done.cancel()
            self._condition.notify_all()

    @property
    def stopped(self) -> bool:
        return self._stopped

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def errands_wait(self) -> bool:
        return bool(self._errands)

    @property
    def files_wait(self) -> bool:
        """Whether files changed on disk and have gone quiet."""
        with self._condition:
            wait = self._seconds_to_quiet()
            return bool(self._paths) and wait is not None and wait <= 0

    def take(self, until: float = math.inf) -> Work | None:
        """Wait for changes to go quiet and take them; None when stopped. Costs nothing while there are none.

        No work, when it is `until` (seconds of the clock) and nothing was to be done.
        """
        with self._condition:
            while not self._stopped:
                if self._errands:
                    errands, self._errands = tuple(self._errands), []
                    return Work(errands=errands)
                quiet, left = self._seconds_to_quiet(), until - self._clock()
                if quiet is not None and quiet <= 0:
                    return self._taken()
                if left <= 0 and not self._paused:
                    return Work()
                waits = [seconds for seconds in (quiet, left) if seconds not in (None, math.inf)]
                self._condition.wait(min(waits, default=None))
        return None

    def doze(self, seconds: float) -> None:
        """Let so much time pass, unless it is stopped, paused or something else is to be done."""
        with self._condition:
            self._condition.wait_for(lambda: self._stopped or self._paused or bool(self._errands), seconds)

    def wait_until(self, until: float) -> None:
        """Let changes gather until it is `until`, or it is stopped."""
        with self._condition:
            while not self._stopped and (left := until - self._clock()) > 0:
                self._condition.wait(left)

    def take_overlays(self) -> dict[Path, str | None]:
        """The open documents that changed, when they have gone quiet; never waits."""
        with self._condition:
            if not self._overlays or self._clock() < max(self._last + QUIET_SECONDS, self._rest_until):
                return {}
            overlays, self._overlays = self._overlays, {}
            return overlays

    def _touch(self) -> None:
        self._last = self._clock()
        self._first = self._last if self._first is None else self._first
        self._condition.notify_all()

    def _seconds_to_quiet(self) -> float | None:
        if self._first is None or self._paused:
            return None
        quiet = min(self._last + QUIET_SECONDS, self._first + LIMIT_SECONDS)
        return max(quiet, self._rest_until) - self._clock()

    def _taken(self) -> Work:
        work = Work(self._overlays, self._rescan, frozenset(self._paths))
        self._overlays, self._rescan, self._paths, self._first = {}, False, set(), None
        return work
