"""From the first answers of a tiny coder to those of the one that the settings name, and back while nobody types.

The other one is loaded, timed and warmed up on a second thread, which has nothing else to do and ends with it: seconds
in which the model thread answers as before. What it has made is then handed over to the model thread whole. That is
sound: a session of ONNX Runtime belongs to no thread (`Run` may be called from any, also from several at a time, which
the shared fuser needs), a CUDA context is the process's, and all else are numpy arrays and Python objects, which only
one thread at a time knows, since the queue lies between the two.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Protocol, TypeVar

from lsp_server.coder import Cancelled, LoadedCoder, StaysError, Successor
from lsp_server.coming import Coming, Rate, coming
from lsp_server.loading import why_tiny
from lsp_server.model_thread import ModelThread, Priority
from lsp_server.settings import Settings
from lsp_server.trouble import described
from model.news import News, Told

Result = TypeVar("Result")
WarmUp = Callable[[LoadedCoder, Cancelled], None]

log = logging.getLogger(__name__)

TELL_SECONDS = 0.25  # between two reports of how far it is


class GivenUpError(Exception):
    """Nobody waits for this coder any more: the session has ended, or has other settings."""


class Household(Protocol):
    """What goes on around the coders (`lsp_server.session.Session`). Called on the loop."""

    async def until_quiet(self) -> None:
        """Until the machine has nothing better to do than to load a model."""

    async def prepare(self, coder: LoadedCoder, *, same_index: bool) -> WarmUp:
        """Have in all folders what this coder reads there, if it is the same index as before, and return what computes
        what is likely to be asked for next."""


class Takeover:
    """One coder's way to the model thread. Lives on the event loop; `told` is called on news."""

    def __init__(
        self, thread: ModelThread[LoadedCoder], household: Household, told: Callable[[], None]
    ) -> None:
        self.coming: Coming | None = None  # the coder that is on its way
        self.note = ""  # why none came
        self.needs_ms = 0.0  # the deadline with which one would have
        self._thread = thread
        self._household = household
        self._told = told

    async def run(self, successor: Successor, settings: Settings) -> LoadedCoder | None:
        """The coder that the model thread has from now on; None where that stays the one it had."""
        self.coming, self.note, self.needs_ms = Coming(successor.name, "comes once nobody types"), "", 0.0
        try:
            await self._household.until_quiet()
            self.coming = coming(successor.name, News("loading"), 0.0)
            self._told()
            return await self._load(successor, settings)
        except Exception as error:  # whatever it is, suggestions go on
            if isinstance(error, StaysError):
                self.needs_ms = error.needs_ms
            else:
                log.error("%s does not take over: %s", successor.name, described(error))
            self.note = why_tiny(successor.name, error)
            traceback.clear_frames(error.__traceback__)  # which have what was loaded
        finally:
            self.coming = None
        return None

    async def rest(self, stand_in: Successor, settings: Settings) -> LoadedCoder | None:
        """The coder that the model thread has while the memory of its own is given back; None where all stays as it
        was. Nobody is there who wants to hear of it."""
        try:
            return await self._load(stand_in, settings)
        except Exception as error:
            log.error("%s does not stand in: %s", stand_in.name, described(error))
            traceback.clear_frames(error.__traceback__)
        return None

    async def _load(self, successor: Successor, settings: Settings) -> LoadedCoder:
        """Raises what loading or warming it up does."""
        is_over = threading.Event()  # no closure has the thread, which would keep what it has loaded
        told = self._teller(successor.name, is_over.is_set)
        spare = ModelThread(lambda: successor.load(settings, told), "hef-model-next")
        try:
            spare.start()
            return await self._hand_over(spare)
        finally:
            is_over.set()
            spare.stop(0)

    def _teller(self, name: str, is_over: Callable[[], bool]) -> Told:
        """What the loading thread says its news by, often. There it raises GivenUpError once nobody waits."""
        loop, rate, told_at, last = asyncio.get_running_loop(), Rate(), 0.0, ""

        def tell(news: News) -> None:
            nonlocal told_at, last
            if is_over():
                raise GivenUpError
            now = time.monotonic()
            if news.work == last and now - told_at < TELL_SECONDS:
                return
            told_at, last = now, news.work
            said = coming(name, news, rate.of(news.done))
            with suppress(RuntimeError):  # the loop is closed: the session is over
                loop.call_soon_threadsafe(self._hear, said)

        return tell

    def _hear(self, said: Coming) -> None:
        if self.coming is not None:  # else it is over
            self.coming = said
            self._told()

    async def _hand_over(self, spare: ModelThread[LoadedCoder]) -> LoadedCoder:
        coder = await settled(spare.loaded)
        same_index = coder.index_key == self._thread.loaded.result().index_key
        warm_up = await self._household.prepare(coder, same_index=same_index)
        await settled(spare.submit(Priority.COMPLETION, lambda coder: warm_up(coder, lambda: spare.stopping)))
        await settled(self._thread.replace(coder))
        return coder


async def settled(future: Future[Result]) -> Result:
    """What comes of another thread's work. Who gives up waiting does not cancel it."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: Future[Result]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(tell)
    await done.wait()
    return future.result()
