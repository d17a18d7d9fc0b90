"""textDocument/inlineCompletion: snapshot -> job -> answer. Lives on the event loop; the model works
elsewhere.

At most one job runs per document, because not every editor cancels what it no longer wants (Neovim does not).
A newer request either is answered from the suggestion it types along, or joins the running job while what was
typed agrees with the text so far, or supersedes it; the older request is answered empty at once, and the
superseded job's model work stops within one step. All three rest on one rule: a suggestion belongs to one
document, one text before the cursor and one text after it, exactly.

A job may be unclaimed: its request was canceled because the user typed along (VS Code cancels before it asks
again), or was answered early (a menu does not wait), or nobody has asked yet (the place behind an accepted
suggestion). The next request there claims it; anything else that the user does stops it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lsp_server.document_state import DocumentState
from lsp_server.job import Job, Run
from lsp_server.offers import Offer, Tally, offer_of
from lsp_server.silence import (
    BUSY,
    FAILED,
    LATE,
    LATE_FOR_MENU,
    NOTHING,
    SUPERSEDED,
    Silence,
    nothing_of,
    shown_of,
)
from lsp_server.snapshot import Buffer, Snapshot, on_next_line
from lsp_server.status import DocumentStatus
from lsp_server.trouble import described
from lsp_server.typed_over import TypedOver
from model.request import Completion

log = logging.getLogger(__name__)

N_PACE = 10  # runs of the model that tell whether it is too slow here
N_SHOWN = 8  # offers remembered; each holds its document's text
GRACE_SECONDS = 0.08  # beyond the deadline that the generator itself keeps; then the answer is empty


class Completions:
    """Answers requests. `run` starts a job on the model thread; `patience` is how many seconds an answer may
    take in a file; `why_waiting`: why the model has not begun with a job; `on_news` is called when a document is
    silent for another reason than before, or no longer."""

    def __init__(
        self,
        run: Run,
        patience: Callable[[Path | None], float],
        why_waiting: Callable[[], Silence] = lambda: BUSY,
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        self.tally = Tally()
        self.typed_over = TypedOver()
        self.newest: DocumentStatus | None = None  # of the document that was asked about last
        self._run = run
        self._patience = patience
        self._why_waiting, self._on_news = why_waiting, on_news
        self._documents: dict[str, DocumentState] = {}  # by URI
        self._cut_short: deque[bool] = deque(maxlen=N_PACE)  # by the deadline, of the last runs
        self._shown: deque[Offer] = deque(maxlen=N_SHOWN)  # the newest last
        self._numbers = itertools.count(1)

    async def suggest(
        self,
        snapshot: Snapshot,
        wait_seconds: float | None = None,
        *,
        explicit: bool = False,
        min_confidence: float = 0.0,
        asked: float | None = None,
    ) -> Offer | None:
        """The offer for `snapshot`, None for none. Raises CancelledError when the client cancels.

        `asked`: when the request came, in seconds of the monotonic clock; the deadline counts from it. None: now.

        After `wait_seconds` the answer is None and the model goes on, for the next keystroke's request. What
        is less likely to be right than `min_confidence` is held back, but kept. Who asks for it by a key
        (`explicit`) sees it, now and while it is typed along, and has the model asked again where it had
        nothing to say: the repository may have become known since.
        """
        state = self._state(snapshot.uri)
        state.asked = snapshot
        if explicit:
            state.silent = None
            min_confidence = 0.0
        asked = time.monotonic() if asked is None else asked
        try:
            found = await self._offer(snapshot, wait_seconds, min_confidence, asked)
        except asyncio.CancelledError:
            self._note(snapshot, SUPERSEDED)
            raise
        if explicit and state.offer and isinstance(found, Offer) and not found.ahead:
            state.offer = replace(state.offer, explicit=True)
        shown = shown_of(found, snapshot, min_confidence)
        if isinstance(shown, Offer):
            self._note(snapshot, None)
            return shown
        if shown.code == "unsure" and isinstance(found, Offer):
            self.tally.held_back(found)
        self._note(snapshot, shown)
        return None

    def silence(self, uri: str) -> Silence | None:
        """Why the newest request in a document brought nothing; None: it brought something, or there was none."""
        state = self._documents.get(uri)
        return state.silence if state else None

    def refused(self, snapshot: Snapshot, why: Silence) -> None:
        """The model is not asked at all; what it is at for the document is stopped."""
        self._state(snapshot.uri).asked = snapshot
        self.supersede(snapshot.uri)
        self._note(snapshot, why)

    def preload(self, snapshot: Snapshot, min_confidence: float = 0.0) -> None:
        """Begin with what is likely to be asked for next, here or a line below, unless a request is being
        answered."""
        state = self._state(snapshot.uri)
        is_answering = state.job is not None and state.job.waiter is not None
        if not is_answering and state.typed_along(snapshot, min_confidence) is None:
            self._start(Job(snapshot, None, ahead=True))

    def edited(self, buffer: Buffer) -> None:
        """A document has this text now: a job that cannot become part of it is stopped."""
        state = self._documents.get(buffer.uri)
        # Without a job, a keystroke costs no copy of the text.
        if state is not None and state.job is not None and not state.job.follow(buffer.whole):
            state.supersede()

    @property
    def is_slow(self) -> bool:
        """Whether the deadline has cut most of the last suggestions short."""
        return 2 * sum(self._cut_short) > N_PACE

    def supersede(self, uri: str) -> None:
        """Stop the document's running job; its request is answered empty."""
        if state := self._documents.get(uri):
            state.supersede()

    def forget(self, uri: str, text: str = "") -> None:
        """The document was closed with this text ("\n" line ends)."""
        self.tally.closed(uri, text)
        self.typed_over.forget(uri)
        if state := self._documents.pop(uri, None):
            state.supersede()
        if self.newest and self.newest.uri == uri:
            self.newest = None

    def shown(self, offer: Offer) -> None:
        """The offer went to the client; typed along, it is still the same one."""
        self.typed_over.shown(offer)
        before = next((known for known in self._shown if known.number == offer.number), None)
        if before is None:
            self.tally.offered()
        else:
            self._shown.remove(before)
        self._shown.append(offer)

    def last(self, uri: str | None = None) -> Offer | None:
        """The newest offer that was shown, of a document if one is named."""
        return next((offer for offer in reversed(self._shown) if uri in (None, offer.uri)), None)

    def accepted(self, number: int, *, whole: bool = True) -> Offer | None:
        """The client's signal that an offer was taken, or its beginning. None: long ago, or never shown."""
        offer = next((offer for offer in self._shown if offer.number == number), None)
        if offer is not None:
            self.tally.accepted(offer, whole=whole)
        return offer

    def stop(self) -> None:
        """Stop every job and forget what was answered."""
        for state in self._documents.values():
            state.supersede()
        self._documents.clear()
        self.newest = None

    def _state(self, uri: str) -> DocumentState:
        return self._documents.setdefault(uri, DocumentState())

    async def _offer(
        self, snapshot: Snapshot, wait_seconds: float | None, min_confidence: float, asked: float
    ) -> Offer | Silence:
        state = self._state(snapshot.uri)
        if typed_along := state.typed_along(snapshot, min_confidence):
            state.supersede()
            return typed_along
        if why := state.silence_at(snapshot):
            return why
        if job := state.join(snapshot):
            if why := await self._wait(job, wait_seconds, asked):
                return why
            found = self._outcome(job, snapshot, min_confidence)
            if isinstance(found, Offer) or job.snapshot.prefix == snapshot.prefix:
                return found  # else the two parted ways: begin anew
        job = Job(snapshot, asyncio.get_running_loop().create_future(), created=asked)
        self._start(job)
        why = await self._wait(job, wait_seconds, asked)
        return why or self._outcome(job, snapshot, min_confidence)

    def _outcome(self, job: Job, snapshot: Snapshot, min_confidence: float) -> Offer | Silence:
        """After a wait: the document may have been closed meanwhile."""
        state = self._documents.get(snapshot.uri)
        offer = state.typed_along(snapshot, min_confidence) if state else None
        return offer or job.why or NOTHING

    def _note(self, snapshot: Snapshot, why: Silence | None) -> None:
        """Remember why a request brought nothing, or that it did, unless there is a newer one."""
        state = self._documents.get(snapshot.uri)
        if state is None or state.asked is not snapshot:
            return
        state.silence = why
        before, self.newest = self.newest, DocumentStatus(snapshot.uri, why)
        if before != self.newest:
            self._on_news()

    def _start(self, job: Job) -> None:
        for state in self._documents.values():
            if state.job is not None and state.job.waiter is None:
                state.supersede()
        self._state(job.snapshot.uri).begin(job)
        loop = asyncio.get_running_loop()
        job.running = self._run(job)
        job.running.add_done_callback(lambda running: _on_loop(loop, self._finish, job, running))

    async def _wait(self, job: Job, wait_seconds: float | None, asked: float) -> Silence | None:
        """None when the job is done; else why this request is over before."""
        waiter = job.waiter
        assert waiter is not None  # just set
        seconds = self._patience(job.snapshot.path) + GRACE_SECONDS if wait_seconds is None else wait_seconds
        try:
            done = await asyncio.wait_for(asyncio.shield(waiter), asked + seconds - time.monotonic())
            return None if done else SUPERSEDED
        except TimeoutError:
            is_early, late = wait_seconds is not None, LATE if wait_seconds is None else LATE_FOR_MENU
            why = late if job.has_begun else self._why_waiting()
            self._let_go(job, waiter, goes_on=is_early)
            return why
        except asyncio.CancelledError:
            self._let_go(job, waiter, goes_on=job.typed != job.claimed_at)
            raise

    def _let_go(self, job: Job, waiter: asyncio.Future[bool], goes_on: bool) -> None:
        """The request is over: its job stops or goes on unclaimed, unless a newer request has joined it."""
        if job.waiter is not waiter:
            return
        job.waiter = None
        if not goes_on:
            if state := self._documents.get(job.snapshot.uri):
                state.end(job)
            job.stop()

    def _finish(self, job: Job, running: Future[Completion | None]) -> None:
        state = self._documents.get(job.snapshot.uri)
        if state is not None and state.end(job):
            found = _result(running)
            if isinstance(found, Silence):
                job.why = found
            else:
                self._answered(state, job, found)
        job.done()

    def _answered(self, state: DocumentState, job: Job, completion: Completion) -> None:
        self._cut_short.append(completion.stopped == "deadline")
        found = offer_of(completion, job.snapshot, job.rule, next(self._numbers), job.folder)
        offer, job.why = (None, nothing_of(completion, found)) if isinstance(found, str) else (found, None)
        has_ended = offer is None and completion.stopped in ("end", "finished")
        state.answered(offer, job if has_ended else None)
        if job.ahead and state.silence_at(job.snapshot) and not job.snapshot.line_after.strip():
            self._start(Job(on_next_line(job.snapshot), None))  # the line is complete: Enter comes next


def _result(running: Future[Completion | None]) -> Completion | Silence:
    """What the model wrote, or why it wrote nothing."""
    try:
        return running.result() or BUSY
    except CancelledError:
        return SUPERSEDED
    except Exception as error:
        log.error("A completion failed: %s", described(error))
        return FAILED


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: object) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(call, *arguments)
