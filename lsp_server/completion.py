"""textDocument/inlineCompletion: snapshot -> job -> answer. Lives on the event loop; the model works elsewhere.

At most one job runs per document, because not every editor cancels what it no longer wants (Neovim does not). A newer
request either is answered from the suggestion it types along, or joins the running job while what was typed
agrees with the text so far, or supersedes it; the older request is answered empty at once, and the superseded
job's model work stops within one step. All three rest on one rule: a suggestion belongs to one document, one
text before the cursor and one text after it, exactly.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from lsp_server.presentation import ONE_LINE, StopRule, Suggestion, present
from lsp_server.snapshot import Snapshot
from model.completer import Completion

log = logging.getLogger(__name__)

GRACE_SECONDS = 0.5  # beyond the deadline that the generator itself keeps; then the answer is empty


class Run(Protocol):
    """Starts one completion on the model thread."""

    def __call__(self, job: Job) -> Future[Completion | None]: ...


@dataclass(frozen=True)
class Offer:
    """A suggestion for exactly this place, and how it came about."""

    number: int
    uri: str
    prefix: str
    suffix: str
    suggestion: Suggestion
    completion: Completion

    def rest(self, snapshot: Snapshot) -> Suggestion | None:
        """What is left of the suggestion where its beginning was typed, None elsewhere. Also after a backspace."""
        typed = _typed(self, snapshot)
        if typed is None or not self.suggestion.text.startswith(typed):
            return None
        text = self.suggestion.text[len(typed) :]
        return Suggestion(text, self.suggestion.replace) if text.strip() else None


@dataclass(eq=False)
class Job:
    """One run of the model. The loop owns it; the model thread writes `rule` and `text`, and reads the rest."""

    snapshot: Snapshot
    waiter: asyncio.Future[bool]  # of the newest request that waits: True = done, False = superseded
    created: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)
    rule: StopRule = ONE_LINE
    text: str = ""  # what the model has written so far
    typed: str = ""  # what the user typed since the snapshot
    running: Future[Completion | None] | None = None

    def finished(self, text: str) -> bool:
        """Asked by the generator after each token."""
        self.text = text
        return self.rule.finished(text) or not _agree(text, self.typed)

    def joins(self, snapshot: Snapshot) -> str | None:
        """What was typed since this job's snapshot, when it agrees with the text so far."""
        typed = _typed(self.snapshot, snapshot)
        return typed if typed is not None and _agree(self.text, typed) else None

    def hand_over(self, waiter: asyncio.Future[bool], typed: str) -> None:
        """From now on `waiter` gets the answer; the request that waited is answered empty."""
        self._answer(False)
        self.waiter, self.typed = waiter, typed

    def done(self) -> None:
        self._answer(True)

    def stop(self) -> None:
        self.cancelled.set()
        if self.running is not None:
            self.running.cancel()
        self._answer(False)

    def _answer(self, done: bool) -> None:
        if not self.waiter.done():
            self.waiter.set_result(done)


class Completions:
    """Answers requests. `run` starts a job on the model thread; `patience` is how many seconds an answer may take."""

    def __init__(self, run: Run, patience: Callable[[], float]) -> None:
        self.last: Offer | None = None
        self.n_accepted = 0
        self._run = run
        self._patience = patience
        self._jobs: dict[str, Job] = {}
        self._offers: dict[str, Offer] = {}
        self._numbers = itertools.count(1)

    @property
    def n_offers(self) -> int:
        return self.last.number if self.last else 0

    async def suggest(self, snapshot: Snapshot) -> Suggestion | None:
        """The suggestion for `snapshot`, None for none. Raises CancelledError when the client cancels."""
        typed_along = self._typed_along(snapshot)
        if typed_along is not None:
            self.supersede(snapshot.uri)
            return typed_along
        job = self._join(snapshot)
        if job is not None and await self._wait(job):
            suggestion = self._typed_along(snapshot)
            if suggestion is not None or _typed(job.snapshot, snapshot) == "":
                return suggestion
            job = None  # the two parted ways: begin anew
        elif job is not None:
            return None
        return self._typed_along(snapshot) if await self._wait(self._start(snapshot)) else None

    def supersede(self, uri: str) -> None:
        """Stop the document's running job; its request is answered empty."""
        if job := self._jobs.pop(uri, None):
            job.stop()

    def forget(self, uri: str) -> None:
        """The document was closed."""
        self.supersede(uri)
        self._offers.pop(uri, None)

    def accepted(self, number: int) -> None:
        """The client's signal that an offer was taken."""
        if 1 <= number <= self.n_offers:
            self.n_accepted += 1

    def stop(self) -> None:
        for uri in list(self._jobs):
            self.forget(uri)

    def _typed_along(self, snapshot: Snapshot) -> Suggestion | None:
        offer = self._offers.get(snapshot.uri)
        return offer.rest(snapshot) if offer else None

    def _join(self, snapshot: Snapshot) -> Job | None:
        job = self._jobs.get(snapshot.uri)
        typed = job.joins(snapshot) if job else None
        if job is None or typed is None:
            return None
        job.hand_over(asyncio.get_running_loop().create_future(), typed)
        return job

    def _start(self, snapshot: Snapshot) -> Job:
        self.supersede(snapshot.uri)
        loop = asyncio.get_running_loop()
        job = Job(snapshot, loop.create_future())
        self._jobs[snapshot.uri] = job
        job.running = self._run(job)
        job.running.add_done_callback(lambda running: _on_loop(loop, self._finish, job, running))
        return job

    async def _wait(self, job: Job) -> bool:
        """True when the job is done, False when this request lost its claim on it."""
        waiter = job.waiter
        try:
            return await asyncio.wait_for(asyncio.shield(waiter), self._patience() + GRACE_SECONDS)
        except TimeoutError:
            self._abandon(job, waiter)
            return False
        except asyncio.CancelledError:
            self._abandon(job, waiter)
            raise

    def _abandon(self, job: Job, waiter: asyncio.Future[bool]) -> None:
        """Stop the job unless a newer request has joined it."""
        if job.waiter is waiter:
            if self._jobs.get(job.snapshot.uri) is job:
                del self._jobs[job.snapshot.uri]
            job.stop()

    def _finish(self, job: Job, running: Future[Completion | None]) -> None:
        if self._jobs.get(job.snapshot.uri) is job:
            del self._jobs[job.snapshot.uri]
            completion = _result(running)
            if completion is not None:
                self._remember(job, completion)
        job.done()

    def _remember(self, job: Job, completion: Completion) -> None:
        snapshot = job.snapshot
        whole = completion.stopped == "end"
        suggestion = present(completion.text, snapshot, job.rule, whole=whole)
        if suggestion is None:
            self._offers.pop(snapshot.uri, None)
            return
        self.last = Offer(next(self._numbers), snapshot.uri, snapshot.prefix, snapshot.suffix, suggestion, completion)
        self._offers[snapshot.uri] = self.last


class _Place(Protocol):
    @property
    def uri(self) -> str: ...
    @property
    def prefix(self) -> str: ...
    @property
    def suffix(self) -> str: ...


def _typed(before: _Place, now: Snapshot) -> str | None:
    """What was typed at the cursor from `before` to `now`, None when anything else changed."""
    same = before.uri == now.uri and before.suffix == now.suffix and now.prefix.startswith(before.prefix)
    return now.prefix[len(before.prefix) :] if same else None


def _agree(text: str, typed: str) -> bool:
    return text.startswith(typed) or typed.startswith(text)


def _result(running: Future[Completion | None]) -> Completion | None:
    try:
        return running.result()
    except CancelledError:
        return None
    except Exception as error:
        # Only the kind of error: its text and its frames may quote the document.
        log.error("A completion failed: %s", type(error).__name__)
        return None


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: object) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(call, *arguments)


def summary(offer: Offer) -> Mapping[str, object]:
    """What made an offer, for the user who asks why: counts, times and the context that was read."""
    done = offer.completion
    return {
        "tokens": done.tokens,
        "promptTokens": done.prompt_tokens,
        "reusedTokens": done.reused_tokens,
        "forwardPasses": done.forward_passes,
        "timingsMs": {name: round(value, 2) for name, value in done.timings_ms.items()},
        "mode": done.mode,
        "stopped": done.stopped,
        "context": [
            {
                "path": item.path,
                "firstLine": item.first_line,
                "lastLine": item.last_line,
                "level": item.level,
                "score": round(float(item.score), 4),
            }
            for item in done.context
        ],
    }
