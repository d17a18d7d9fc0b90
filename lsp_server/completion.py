"""textDocument/inlineCompletion: snapshot -> job -> answer. Lives on the event loop; the model works elsewhere.

At most one job runs per document, because not every editor cancels what it no longer wants (Neovim does not). A newer
request either is answered from the suggestion it types along, or joins the running job while what was typed
agrees with the text so far, or supersedes it; the older request is answered empty at once, and the superseded
job's model work stops within one step. All three rest on one rule: a suggestion belongs to one document, one
text before the cursor and one text after it, exactly.

A job may be unclaimed: its request was canceled because the user typed along (VS Code cancels before it asks again),
or was answered early (a menu does not wait), or nobody has asked yet (the place behind an accepted suggestion). The
next request there claims it; anything else that the user does stops it.
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

from lsp_server.job import Job, Run
from lsp_server.offers import Offer, Tally, typed_since
from lsp_server.presentation import present
from lsp_server.snapshot import Snapshot, on_next_line
from lsp_server.trouble import described
from model.request import Completion

log = logging.getLogger(__name__)

N_PACE = 10  # runs of the model that tell whether it is too slow here
N_SHOWN = 8  # offers remembered; each holds its document's text
GRACE_SECONDS = 0.08  # beyond the deadline that the generator itself keeps; then the answer is empty


class Completions:
    """Answers requests. `run` starts a job on the model thread; `patience` is how many seconds an answer may
    take in a file."""

    def __init__(self, run: Run, patience: Callable[[Path | None], float]) -> None:
        self.tally = Tally()
        self._run = run
        self._patience = patience
        self._jobs: dict[str, Job] = {}
        self._offers: dict[str, Offer] = {}
        self._nothing: dict[str, Snapshot] = {}  # where the model has nothing to say
        self._unsure: dict[str, Offer] = {}  # the newest answer of a document, where it was held back
        self._cut_short: deque[bool] = deque(maxlen=N_PACE)  # by the deadline, of the last runs
        self._shown: deque[Offer] = deque(maxlen=N_SHOWN)  # the newest last
        self._numbers = itertools.count(1)

    async def suggest(
        self,
        snapshot: Snapshot,
        wait_seconds: float | None = None,
        *,
        insists: bool = False,
        least: float = 0.0,
        asked: float | None = None,
    ) -> Offer | None:
        """The offer for `snapshot`, None for none. Raises CancelledError when the client cancels.

        `asked`: when the request came, in seconds of the monotonic clock; the deadline counts from it. None: now.

        After `wait_seconds` the answer is None and the model goes on, for the next keystroke's request. What is less
        likely to be right than `least` is held back, but kept. Who `insists` sees it, now and while it is typed along,
        and has the model asked again where it had nothing to say: the repository may have become known since.
        """
        if insists:
            self._nothing.pop(snapshot.uri, None)
            least = 0.0
        asked = time.monotonic() if asked is None else asked
        offer = await self._offer(snapshot, wait_seconds, least, asked)
        if offer is None or offer.ahead:
            return None
        if insists and snapshot.uri in self._offers:
            self._offers[snapshot.uri] = replace(self._offers[snapshot.uri], insisted=True)
        return self._sure(offer, snapshot, least)

    def unsure(self, uri: str) -> Offer | None:
        """The newest answer of a document, where it was held back."""
        return self._unsure.get(uri)

    def preload(self, snapshot: Snapshot, least: float = 0.0) -> None:
        """Begin with what is likely to be asked for next, here or a line below, unless a request is being answered."""
        job = self._jobs.get(snapshot.uri)
        if self._typed_along(snapshot, least) is None and (job is None or job.waiter is None):
            self._start(Job(snapshot, None, ahead=True))

    def edited(self, uri: str, text: str) -> None:
        """A document has this text ("\\n" line ends) now: a job that cannot become part of it is stopped."""
        job = self._jobs.get(uri)
        if job is not None and not job.follow(text):
            self.supersede(uri)

    @property
    def is_slow(self) -> bool:
        """Whether the deadline has cut most of the last suggestions short."""
        return 2 * sum(self._cut_short) > N_PACE

    def is_running(self, uri: str) -> bool:
        return uri in self._jobs

    def supersede(self, uri: str) -> None:
        """Stop the document's running job; its request is answered empty."""
        if job := self._jobs.pop(uri, None):
            job.stop()

    def forget(self, uri: str, text: str = "") -> None:
        """The document was closed with this text ("\\n" line ends)."""
        self.tally.closed(uri, text)
        self.supersede(uri)
        self._offers.pop(uri, None)
        self._nothing.pop(uri, None)
        self._unsure.pop(uri, None)

    def shown(self, offer: Offer) -> None:
        """The offer went to the client; typed along, it is still the same one."""
        before = next((known for known in self._shown if known.number == offer.number), None)
        if before is None:
            self.tally.offered()
        else:
            self._shown.remove(before)
        self._shown.append(offer)

    def last(self, uri: str | None = None) -> Offer | None:
        """The newest offer that was shown, of a document if one is named."""
        return next((offer for offer in reversed(self._shown) if uri in (None, offer.uri)), None)

    def accepted(self, number: int) -> Offer | None:
        """The client's signal that an offer was taken. None: long ago, or never shown."""
        offer = next((offer for offer in self._shown if offer.number == number), None)
        if offer is not None:
            self.tally.accepted(offer)
        return offer

    def stop(self) -> None:
        for uri in list(self._jobs):
            self.supersede(uri)
        self._offers.clear()
        self._nothing.clear()
        self._unsure.clear()

    def _sure(self, offer: Offer, snapshot: Snapshot, least: float) -> Offer | None:
        """What of an offer is shown."""
        sure = offer.as_sure_as(least, snapshot)
        if sure is None:
            self._unsure[snapshot.uri] = offer
            self.tally.held_back(offer)
        else:
            self._unsure.pop(snapshot.uri, None)
        return sure

    async def _offer(self, snapshot: Snapshot, wait_seconds: float | None, least: float, asked: float) -> Offer | None:
        if typed_along := self._typed_along(snapshot, least):
            self.supersede(snapshot.uri)
            return typed_along
        if self._is_nothing(snapshot):
            return None
        if job := self._join(snapshot):
            if not await self._wait(job, wait_seconds, asked):
                return None
            offer = self._typed_along(snapshot, least)
            if offer is not None or job.snapshot.prefix == snapshot.prefix:
                return offer  # else the two parted ways: begin anew
        job = Job(snapshot, asyncio.get_running_loop().create_future(), created=asked)
        self._start(job)
        return self._typed_along(snapshot, least) if await self._wait(job, wait_seconds, asked) else None

    def _typed_along(self, snapshot: Snapshot, least: float = 0.0) -> Offer | None:
        offer = self._offers.get(snapshot.uri)
        rest = offer.rest(snapshot) if offer else None
        if offer is None or rest is None:
            return None
        # Behind more text the model may be surer: what would not be shown is not typed along.
        typed = rest.prefix[len(offer.prefix) :]
        return None if typed.strip() and rest.as_sure_as(least, snapshot) is None else rest

    def _is_nothing(self, snapshot: Snapshot) -> bool:
        known = self._nothing.get(snapshot.uri)
        return known is not None and known.version == snapshot.version and typed_since(known, snapshot) == ""

    def _join(self, snapshot: Snapshot) -> Job | None:
        job = self._jobs.get(snapshot.uri)
        typed = job.joins(snapshot) if job else None
        if job is None or typed is None:
            return None
        job.hand_over(asyncio.get_running_loop().create_future(), typed)
        return job

    def _start(self, job: Job) -> None:
        here = job.snapshot.uri
        for uri in [uri for uri, other in self._jobs.items() if uri == here or other.waiter is None]:
            self.supersede(uri)
        loop = asyncio.get_running_loop()
        self._jobs[here] = job
        job.running = self._run(job)
        job.running.add_done_callback(lambda running: _on_loop(loop, self._finish, job, running))

    async def _wait(self, job: Job, wait_seconds: float | None, asked: float) -> bool:
        """True when the job is done, False when this request lost its claim on it."""
        waiter = job.waiter
        assert waiter is not None  # just set
        seconds = self._patience(job.snapshot.path) + GRACE_SECONDS if wait_seconds is None else wait_seconds
        try:
            return await asyncio.wait_for(asyncio.shield(waiter), asked + seconds - time.monotonic())
        except TimeoutError:
            self._let_go(job, waiter, goes_on=wait_seconds is not None)
            return False
        except asyncio.CancelledError:
            self._let_go(job, waiter, goes_on=job.typed != job.claimed_at)
            raise

    def _let_go(self, job: Job, waiter: asyncio.Future[bool], goes_on: bool) -> None:
        """The request is over: its job stops or goes on unclaimed, unless a newer request has joined it."""
        if job.waiter is not waiter:
            return
        job.waiter = None
        if not goes_on:
            if self._jobs.get(job.snapshot.uri) is job:
                del self._jobs[job.snapshot.uri]
            job.stop()

    def _finish(self, job: Job, running: Future[Completion | None]) -> None:
        if self._jobs.get(job.snapshot.uri) is job:
            del self._jobs[job.snapshot.uri]
            completion = _result(running)
            if completion is not None:
                self._cut_short.append(completion.stopped == "deadline")
                self._remember(job, completion)
                if job.ahead and self._is_nothing(job.snapshot) and not job.snapshot.line_after.strip():
                    self._start(Job(on_next_line(job.snapshot), None))  # the line is complete: Enter comes next
        job.done()

    def _remember(self, job: Job, completion: Completion) -> None:
        snapshot = job.snapshot
        whole = completion.stopped == "end"
        suggestion = present(completion.text, snapshot, job.rule, whole=whole)
        self._nothing.pop(snapshot.uri, None)
        if suggestion is None:
            self._offers.pop(snapshot.uri, None)
            if completion.stopped in ("end", "finished"):
                self._nothing[snapshot.uri] = snapshot
            return
        number, place = next(self._numbers), (snapshot.uri, snapshot.prefix, snapshot.suffix)
        ahead = job.rule.is_ahead(suggestion.text)
        self._offers[snapshot.uri] = Offer(
            number, *place, suggestion, completion, job.folder, ahead, completion.confidence
        )


def _result(running: Future[Completion | None]) -> Completion | None:
    try:
        return running.result()
    except CancelledError:
        return None
    except Exception as error:
        log.error("A completion failed: %s", described(error))
        return None


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: object) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(call, *arguments)
