"""The model thread: priorities, failures, and a stop that leaves nobody waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from types import SimpleNamespace

import numpy as np
import pytest

from lsp_server.model_thread import ModelThread, Priority, ThreadEmbedder

SECONDS = 10.0


class CountingEncoder:
    """Vectors that say which text they belong to; `texts` are those of each batch."""

    fingerprint = "counting"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def embed(self, texts: Sequence[str]) -> SimpleNamespace:
        self.batches.append(len(texts))
        keys = np.array([[len(text)] for text in texts], np.float16).reshape(-1, 1)
        return SimpleNamespace(keys=keys, memories=keys[:, None, :])

    def fuse(self, groups: Sequence[np.ndarray]) -> SimpleNamespace:
        return self.embed(["x" * len(group) for group in groups])


@pytest.fixture
def thread() -> Iterator[ModelThread[str]]:
    thread = ModelThread(lambda: "engine")
    thread.start()
    yield thread
    assert thread.stop(SECONDS)


def test_work_runs_with_the_engine_and_its_errors_are_the_askers(thread: ModelThread[str]) -> None:
    assert thread.submit(Priority.COMPLETION, str.upper).result(SECONDS) == "ENGINE"
    with pytest.raises(ZeroDivisionError):
        thread.submit(Priority.COMPLETION, lambda _: 1 / 0).result(SECONDS)
    assert thread.submit(Priority.COMPLETION, len).result(SECONDS) == 6


def test_completions_go_before_indexing_and_first_come_first_served(thread: ModelThread[str]) -> None:
    gate, order = threading.Event(), list[str]()
    thread.submit(Priority.INDEXING, lambda _: gate.wait(SECONDS))
    for name, priority in [("i1", Priority.INDEXING), ("i2", Priority.INDEXING), ("c1", Priority.COMPLETION)]:
        last = thread.submit(priority, lambda _, name=name: order.append(name))
    gate.set()
    thread.submit(Priority.INDEXING, lambda _: None).result(SECONDS)

    assert last.done()
    assert order == ["c1", "i1", "i2"]


def test_what_is_for_later_runs_behind_all_else_and_hears_what_waits(thread: ModelThread[str]) -> None:
    begun, waits, order = threading.Event(), threading.Event(), list[str]()

    def later(_: str) -> None:
        begun.set()
        order.append(f"wanted {thread.is_wanted}")
        waits.wait(SECONDS)
        order.append(f"wanted {thread.is_wanted}")

    thread.submit(Priority.LATER, later)
    assert begun.wait(SECONDS)
    last = thread.submit(Priority.LATER, lambda _: order.append("later"))
    thread.submit(Priority.INDEXING, lambda _: order.append("indexing"))
    waits.set()
    last.result(SECONDS)
    assert order == ["wanted False", "wanted True", "indexing", "later"]


def test_a_canceled_job_never_runs(thread: ModelThread[str]) -> None:
    gate, ran = threading.Event(), list[str]()
    thread.submit(Priority.COMPLETION, lambda _: gate.wait(SECONDS))
    queued = thread.submit(Priority.COMPLETION, lambda _: ran.append("queued"))
    queued.cancel()
    gate.set()
    thread.submit(Priority.COMPLETION, lambda _: None).result(SECONDS)

    assert ran == []


def test_work_waits_for_the_engine_and_fails_with_it() -> None:
    gate = threading.Event()

    def load() -> str:
        gate.wait(SECONDS)
        raise OSError("no weights")

    thread = ModelThread(load)
    thread.start()
    waiting = thread.submit(Priority.COMPLETION, len)
    gate.set()
    with pytest.raises(OSError, match="no weights"):
        waiting.result(SECONDS)
    with pytest.raises(OSError, match="no weights"):
        thread.submit(Priority.INDEXING, len).result(SECONDS)
    assert thread.stop(SECONDS)


def test_stopping_lets_an_index_thread_go_that_waits_for_a_batch() -> None:
    thread = ModelThread(lambda: "engine")
    thread.start()
    gate, outcome = threading.Event(), list[BaseException]()
    thread.submit(Priority.COMPLETION, lambda _: gate.wait(SECONDS))
    embedder = ThreadEmbedder(thread, CountingEncoder())

    def index() -> None:
        try:
            embedder.embed(["text"] * 100)
        except CancelledError as error:
            outcome.append(error)

    indexing = threading.Thread(target=index)
    indexing.start()
    threading.Timer(0.2, gate.set).start()

    assert thread.stop(SECONDS)
    indexing.join(SECONDS)
    assert len(outcome) == 1
    with pytest.raises(CancelledError):
        thread.submit(Priority.INDEXING, len).result(SECONDS)


def test_a_stop_that_takes_too_long_says_so() -> None:
    gate = threading.Event()
    thread = ModelThread(lambda: gate.wait(SECONDS))
    thread.start()

    assert not thread.stop(SECONDS)  # a load is hardly waited for
    gate.set()
    thread.loaded.result(SECONDS)
    assert thread.stop(SECONDS)


def test_the_embedder_batches_keeps_the_order_and_takes_nothing_for_nothing(thread: ModelThread[str]) -> None:
    encoder = CountingEncoder()
    embedder = ThreadEmbedder(thread, encoder)
    vectors = embedder.embed(["x" * n for n in range(100)])
    groups = [np.zeros((n, 2, 3), np.float16) for n in (3, 1)]

    assert vectors.keys[:, 0].tolist() == list(range(100))
    assert vectors.memories.shape == (100, 1, 1)
    assert max(encoder.batches) <= 64
    assert len(encoder.batches) > 2
    assert embedder.fuse(groups).keys[:, 0].tolist() == [3, 1]
    assert embedder.embed([]).keys.shape == (0, 1)
    assert embedder.fingerprint == "counting"


def alive(name: str) -> int:
    """How many threads of a name there are; it is waited until there are none."""
    deadline = time.monotonic() + SECONDS
    while (n := sum(thread.name == name for thread in threading.enumerate())) and time.monotonic() < deadline:
        time.sleep(0.01)
    return n


@pytest.mark.parametrize("late", [False, True])
def test_a_stop_that_waits_for_nothing_ends_the_thread_all_the_same(late: bool) -> None:
    """Before: what wakes the thread was canceled with what was queued, and the thread kept its model for ever."""
    name = f"test-stop-{late}"
    for _ in range(50):
        thread = ModelThread[str](lambda: "engine", name)
        thread.start()
        thread.loaded.result(SECONDS)
        thread.stop(0)
        if late:
            assert thread.submit(Priority.COMPLETION, len).cancelled()
    assert alive(name) == 0
