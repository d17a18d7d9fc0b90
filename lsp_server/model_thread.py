"""One thread owns the loaded model. Others hand it work and get futures; completions go before indexing, and that
before what is for later.

The engine's libraries are imported by the first thing that the thread does, never by the event loop: that may
take seconds.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from queue import Empty, PriorityQueue
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from indexer import Vectors

Loaded = TypeVar("Loaded")
Result = TypeVar("Result")

LOADING_SECONDS = 0.2  # that a stop waits for a load
BATCH_SECONDS = 0.01  # indexing gives way to a completion about this often
MAX_BATCH = 64


class Priority(IntEnum):
    """Lower runs first."""

    STOP = 0
    COMPLETION = 1
    INDEXING = 2
    LATER = 3  # in steps, each of which asks whether something else waits


@dataclass(order=True, frozen=True)
class _Task:
    priority: Priority
    number: int  # first come, first served within a priority
    work: Callable[[Any], Any] = field(compare=False)
    future: Future[Any] = field(compare=False)


class NodeEncoder(Protocol):
    """The part of a loaded model that indexing needs (`model.encoder.Encoder`)."""

    @property
    def fingerprint(self) -> str: ...
    def embed(self, texts: Sequence[str]) -> Any: ...
    def fuse(self, groups: Sequence[np.ndarray]) -> Any: ...


class ModelThread(Generic[Loaded]):
    """Loads a model on its own thread and runs work on it, one piece at a time.

    Work that is handed in while the model loads waits for it. When loading fails, waiting and later work
    fails with the same exception; when the thread stops, it is canceled.
    """

    def __init__(self, load: Callable[[], Loaded], name: str = "hef-model") -> None:
        self.loaded: Future[Loaded] = Future()  # what work runs with now
        self._load = load
        self._jobs: PriorityQueue[_Task] = PriorityQueue()
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        # Daemon: a native call that never comes back must not keep the process alive after `exit`.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    @property
    def is_wanted(self) -> bool:
        """Whether anything waits for the thread; cheap, for work in hand that can wait itself."""
        return not self._jobs.empty() or self._stopping.is_set()

    def submit(self, priority: Priority, work: Callable[[Loaded], Result]) -> Future[Result]:
        """Run `work` with what was loaded. Canceling the future takes effect until the work begins."""
        future: Future[Result] = Future()
        self._jobs.put(_Task(priority, next(self._numbers), work, future))
        if self._stopping.is_set():
            self._cancel_queued()  # the thread may have emptied its queue just before
        return future

    def replace(self, loaded: Loaded) -> Future[None]:
        """From its turn on, work runs with this. What was handed in before, but for indexing and later, runs first.

        The other is let go of: what made this one on another thread must be done with it.
        """

        def take(_: Loaded) -> None:
            now: Future[Loaded] = Future()
            now.set_result(loaded)
            self.loaded = now

        return self.submit(Priority.COMPLETION, take)

    def stop(self, timeout: float = 5.0) -> bool:
        """Cancel what is queued and end after the work in hand. False when that took longer than `timeout`
        seconds.

        A load cannot be interrupted and nothing is lost by leaving it behind, so it is hardly waited for.
        """
        self._stopping.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout if self.loaded.done() else min(timeout, LOADING_SECONDS))
        self._cancel_queued()
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.loaded.set_result(self._load())
        except Exception as error:  # whatever went wrong, the server keeps answering and says why
            self._fail(error)
            return
        while not self._stopping.is_set():
            job = self._jobs.get()
            if not self._stopping.is_set() and job.future.set_running_or_notify_cancel():
                _settle(job, self.loaded.result())
            elif not job.future.done():
                job.future.cancel()
        self._cancel_queued()

    def _fail(self, error: Exception) -> None:
        self.loaded.set_exception(error)
        while not self._stopping.is_set():
            job = self._jobs.get()
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(error)
        self._cancel_queued()

    def _wake(self) -> None:
        """Have the thread see that it is to stop."""
        self._jobs.put(_Task(Priority.STOP, next(self._numbers), lambda _: None, Future()))

    def _cancel_queued(self) -> None:
        with suppress(Empty):
            while True:
                self._jobs.get_nowait().future.cancel()
        self._wake()  # it may not have seen the one that was just taken


def _settle(job: _Task, loaded: Any) -> None:
    try:
        job.future.set_result(job.work(loaded))
    except Exception as error:  # the asker's to handle; the thread lives on
        job.future.set_exception(error)


class ThreadEmbedder:
    """The indexer's `Embedder`: hands texts to the model thread in batches that take about BATCH_SECONDS
    each.

    Called on index threads only. Raises CancelledError when the model thread stops meanwhile.
    """

    def __init__(self, thread: ModelThread[Any], encoder: NodeEncoder) -> None:
        self._thread = thread
        self._encoder = encoder
        self._batch = 1  # adapts to the machine's speed; a race on it only costs a batch of another size

    @property
    def fingerprint(self) -> str:
        return self._encoder.fingerprint

    def embed(self, texts: Sequence[str]) -> Vectors:
        return self._in_batches(texts, self._encoder.embed)

    def fuse(self, groups: Sequence[np.ndarray]) -> Vectors:
        return self._in_batches(groups, self._encoder.fuse)

    def _in_batches(self, rows: Sequence[Any], run: Callable[[Sequence[Any]], Any]) -> Vectors:
        parts: list[Any] = []
        first = 0
        while first < len(rows) or not parts:
            batch = rows[first : first + self._batch]
            nodes, seconds = self._thread.submit(Priority.INDEXING, partial(_timed, run, batch)).result()
            parts.append(nodes)
            first += max(1, len(batch))
            if len(batch) == self._batch:
                wanted = int(self._batch * BATCH_SECONDS / max(seconds, 1e-6))
                self._batch = min(max(wanted, self._batch // 2, 1), self._batch * 2, MAX_BATCH)
        memories = np.concatenate([part.memories for part in parts])
        return Vectors(np.concatenate([part.keys for part in parts]), memories)


def _timed(run: Callable[[Sequence[Any]], Any], batch: Sequence[Any], loaded: object) -> tuple[Any, float]:
    start = time.perf_counter()
    return run(batch), time.perf_counter() - start
