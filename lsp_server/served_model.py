"""The model of a session, from the start of its thread to its end: the only door from the session to what computes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TypeVar

from indexer import Embedder
from lsp_server.aside import aside
from lsp_server.coder import LoadCoder, LoadedCoder, embedder_of
from lsp_server.coming import Coming
from lsp_server.idleness import Idleness
from lsp_server.later import ForLater
from lsp_server.loading import let_go
from lsp_server.model_thread import ModelThread, Priority
from lsp_server.settings import DEFAULTS, Settings
from lsp_server.silence import BUSY, LOADING, NO_MODEL, Silence
from lsp_server.status import MAKING_BLOCKS, away
from lsp_server.takeover import Household, Takeover

Result = TypeVar("Result")

MINUTE = 60.0  # seconds
REST_SECONDS = 2.0  # after a request: a little more than what a completer takes for idle


class ServedModel:
    """Lives on the event loop; there is at most one thread at a time, but while one coder takes over from another.

    `load` runs on that thread; `on_loaded` is called on the loop, when it has loaded and when it has failed, `on_news`
    when the status has changed, and `on_taken_over` with the coders before and after.
    """

    def __init__(
        self,
        load: LoadCoder,
        household: Household,
        on_loaded: Callable[[], None],
        on_news: Callable[[], None],
        on_taken_over: Callable[[LoadedCoder, LoadedCoder], None],
    ) -> None:
        self.coder: LoadedCoder | None = None  # once it is loaded
        self.later: ForLater | None = None  # once it was started
        self._load = load
        self._household = household
        self._on_loaded, self._on_news, self._on_taken_over = on_loaded, on_news, on_taken_over
        self._thread: ModelThread[LoadedCoder] | None = None
        self._takeover: Takeover | None = None  # once there is somebody to take over
        self._taking: asyncio.Task[None] | None = None  # while somebody does
        self._resting: asyncio.TimerHandle | None = None
        self._idleness = Idleness(self._rest)
        self._settings = DEFAULTS  # the newest
        self._away = ""  # the coder whose memory was given back: the next key brings it
        self._has_rested = False  # it was given back before

    def start(self, settings: Settings) -> None:
        """Begin loading, unless that has begun; then a coder that did not take over may do so with these settings."""
        self._settings = settings
        self._idleness.tell_after(settings.model.idle_minutes * MINUTE)
        if self._thread is not None:
            self._reconsider(settings)
            if not settings.model.idle_minutes:
                self.wanted()
            return
        loop = asyncio.get_running_loop()
        thread = ModelThread(lambda: self._load(settings))
        self._thread = thread

        def on_loop(call: Callable[..., None], *arguments: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: the session is over
                loop.call_soon_threadsafe(call, *arguments)

        self.later = ForLater(thread, lambda: on_loop(self._on_news))
        thread.loaded.add_done_callback(lambda _: on_loop(self._loaded, thread, settings))
        thread.start()

    def used(self) -> None:
        """Somebody types: what a coder does once nobody does any more waits for that."""
        if self._resting is not None:
            self._resting.cancel()
        self._resting = asyncio.get_running_loop().call_later(REST_SECONDS, self._go_on)
        self.wanted()

    def wanted(self) -> None:
        """Somebody is there: a coder whose memory was given back comes again."""
        self._idleness.used()
        if self._away and not self._taking and self._takeover and self.coder and self.coder.successor:
            self._take(self._takeover, partial(self._takeover.run, self.coder.successor, self._settings))

    def _go_on(self) -> None:
        if (later := self.later) is not None:
            self.submit(Priority.LATER, lambda _: later.begin(None))

    def _rest(self) -> None:
        """Nobody is there any more: give back the memory of a coder that has a stand-in."""
        if self._taking:
            self._idleness.used()  # it is asked again
        elif self._takeover and self.coder and self.coder.stand_in:
            self._take(self._takeover, partial(self._takeover.rest, self.coder.stand_in, self._settings))
        elif self._has_rested and self.coder and self.coder.successor:
            self._away = self.coder.successor.name  # which did not come again: the next key may try
            self._on_news()

    async def stop(self) -> None:
        """Let go of the model. What waits for it is canceled; work in hand is waited for a few seconds."""
        for waiting in (self._taking, self._resting):
            if waiting is not None:
                waiting.cancel()
        self._idleness.stop()
        coder, thread, self._thread, self.coder, self.later = self.coder, self._thread, None, None, None
        self._takeover = self._taking = None
        self._away, self._has_rested = "", False
        if thread is not None:
            await aside(thread.stop)
        if coder is not None and coder.elsewhere:
            await aside(coder.elsewhere.close)

    def submit(self, priority: Priority, work: Callable[[LoadedCoder], Result]) -> Future[Result] | None:
        """Run `work` when the model is loaded and its turn has come. None: it was not started."""
        return self._thread.submit(priority, work) if self._thread is not None else None

    @property
    def embedder(self) -> Embedder | None:
        """What the indexer embeds with; None while it loads, and where only words and names are indexed."""
        return embedder_of(self.coder, self._thread) if self.coder and self._thread else None

    @property
    def error(self) -> Exception | None:
        """Why it could not be loaded."""
        loaded = self._thread.loaded if self._thread else None
        error = loaded.exception() if loaded and loaded.done() else None
        return error if isinstance(error, Exception) else None

    @property
    def is_usable(self) -> bool:
        """Whether it is loaded, or may yet be."""
        return self._thread is not None and self.error is None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user."""
        notes = self.coder.said if self.coder else ()
        if self._away:
            return (*notes, away(self._away, self._settings.model.idle_minutes))
        return (*notes, self._takeover.note) if self._takeover and self._takeover.note else notes

    @property
    def background(self) -> tuple[str, ...]:
        """What it does beside answering, for the user."""
        making = (MAKING_BLOCKS,) if self.later and self.later.is_long else ()
        return (*making, self.coming.line) if self.coming else making

    @property
    def coming(self) -> Coming | None:
        """The coder that is on its way to take over."""
        return self._takeover.coming if self._takeover else None

    @property
    def why_unusable(self) -> Silence | None:
        """None where it is usable."""
        if self.is_usable:
            return None
        return NO_MODEL if self.error else LOADING

    @property
    def is_loading(self) -> bool:
        return self._thread is not None and not self._thread.loaded.done()

    def waits_for(self) -> Silence:
        """Why it has not begun with what it was asked."""
        return LOADING if self.is_loading else BUSY

    def patience(self, settings: Settings) -> float:
        """Seconds that a request may take; more while the model loads."""
        wait_ms = settings.completion.load_wait_ms if self.is_loading else 0
        return (wait_ms + settings.model.deadline_ms) / 1e3

    def _loaded(self, thread: ModelThread[LoadedCoder], settings: Settings) -> None:
        if thread is not self._thread:
            return  # it was stopped meanwhile
        if thread.loaded.exception() is None:
            self.coder = thread.loaded.result()
            self._listen(self.coder)
        self._on_loaded()
        if self.coder and self.coder.successor:
            takeover = self._takeover = Takeover(thread, self._household, self._on_news)
            self._take(takeover, partial(takeover.run, self.coder.successor, settings))

    def _listen(self, coder: LoadedCoder) -> None:
        """Tell what is to be said of a server when it changes."""
        loop = asyncio.get_running_loop()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is closed: the session is over
                loop.call_soon_threadsafe(self._on_news)

        if coder.elsewhere:
            coder.elsewhere.listen(tell)

    def _reconsider(self, settings: Settings) -> None:
        """Let a coder try again that was too slow for another deadline."""
        takeover, coder = self._takeover, self.coder
        if not (takeover and coder and coder.successor) or self._taking:
            return
        if 0 < takeover.needs_ms <= settings.model.deadline_ms:
            self._take(takeover, partial(takeover.run, coder.successor, settings))

    def _take(self, takeover: Takeover, bring: Callable[[], Awaitable[LoadedCoder | None]]) -> None:
        async def take() -> None:
            after = await bring()
            if takeover is not self._takeover:
                return  # it was stopped meanwhile
            self._taking = None
            if after:
                self._exchange(after)
            self._on_news()

        self._away = ""
        self._taking = asyncio.get_running_loop().create_task(take(), name="takeover")

    def _exchange(self, after: LoadedCoder) -> None:
        """Another coder answers; one that has a successor stands in for it."""
        before, self.coder = self.coder, after
        if before:
            self._on_taken_over(before, after)
        if after.successor:
            del before
            self._away, self._has_rested = after.successor.name, True
            self.submit(Priority.LATER, lambda _: let_go())
            if self._idleness.is_used:  # meanwhile
                self.wanted()
