"""From a cancel to a model thread that has nothing to do, in the middle of a prompt and in the middle of an answer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from lsp_server.coder import LoadedCoder
from lsp_server.loading import load_coder
from lsp_server.model_thread import ModelThread, Priority
from lsp_server.settings import Settings, override
from model.request import Completion, Request
from tests.benchmarks.completion import Cursor, cursors
from tests.benchmarks.measurement import Measurement, percentiles
from tests.benchmarks.subjects import Subject

N_PLACES = 24
N_TOKENS = 256  # of an answer that nothing else ends
MAX_WAIT = 60.0  # seconds for one answer


def cancelled(subject: Subject, model: str) -> Iterator[Measurement]:
    """The prompt is read from an empty cache; an answer goes on to N_TOKENS. Both are cancelled at a random moment."""
    settings = override(
        Settings(), (f"model.name={model}", f"model.maxTokens={N_TOKENS}", "drafts.enabled=false")
    )
    thread = ModelThread(lambda: load_coder(settings))
    thread.start()
    draw = random.Random(5)
    samples: dict[str, list[float]] = {"in the prompt": [], "in the answer": []}
    try:
        for cursor in cursors(subject, N_PLACES):
            seconds = _Run(thread, cursor).seconds_to_first_token()
            for case, moment in (("in the prompt", draw.random()), ("in the answer", 1 + 2 * draw.random())):
                run = _Run(thread, replace(cursor, prefix=f"# {case}\n{cursor.prefix}"))
                ms = run.cancel_after(moment * seconds)
                samples[case] += [] if ms is None else [ms]
    finally:
        thread.stop()
    for case, times in samples.items():
        if times:
            values = {**percentiles(times), "max_ms": max(times)}
            note = f"{len(times)} cancels"
            yield Measurement(
                "cancel to idle", subject.name, len(subject.files), case, values, "<= 50 ms", note
            )


class _Run:
    """One completion on the model thread, begun at once."""

    def __init__(self, thread: ModelThread[LoadedCoder], cursor: Cursor) -> None:
        self._cancelled, self._first = threading.Event(), threading.Event()
        self._began = time.perf_counter()
        request = Request(
            cursor.path,
            cursor.prefix,
            cursor.suffix,
            "none",
            max_tokens=N_TOKENS,
            deadline_ms=float("inf"),
            finished=self._written,
        )

        def work(engine: LoadedCoder) -> Completion:
            return engine.completer.complete(request, None, self._cancelled.is_set)

        self._running = thread.submit(Priority.COMPLETION, work)

    def seconds_to_first_token(self) -> float:
        self._first.wait(MAX_WAIT)
        seconds = time.perf_counter() - self._began
        self.cancel_after(0.0)
        return seconds

    def cancel_after(self, seconds: float) -> float | None:
        """Milliseconds until the thread is idle; None when it already was."""
        time.sleep(max(0.0, self._began + seconds - time.perf_counter()))
        start = time.perf_counter()
        self._cancelled.set()
        completion = self._running.result(MAX_WAIT)
        return (time.perf_counter() - start) * 1e3 if completion.stopped == "cancelled" else None

    def _written(self, text: str) -> bool:
        self._first.set()
        return False
