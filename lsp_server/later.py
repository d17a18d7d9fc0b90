"""What the model makes for later, block by block, while nobody wants anything else of it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from lsp_server.kept_blocks import KeptBlocks
from lsp_server.model_thread import ModelThread, Priority
from lsp_server.trouble import described
from model.engines.machine import give_back

log = logging.getLogger(__name__)

LONG_SECONDS = 1.0  # of making, after which the user is told


class Tends(Protocol):
    """The part of a loaded model that makes something for later (`model.completer.Completer`)."""

    def tend(self, interrupted: Callable[[], bool]) -> bool: ...


class Tending(Protocol):
    @property
    def completer(self) -> Tends: ...


Foresee = Callable[[Any], KeptBlocks | None]  # what wants something of a loaded model, and where it is kept


class ForLater:
    """Hands one short piece of work after the other to the model thread, behind all else. Lives on that thread;
    `is_long` may be read on any."""

    def __init__(self, thread: ModelThread[Any], told: Callable[[], None]) -> None:
        """`told`: called when `is_long` has changed."""
        self.is_long = False  # it has gone on for so long that the user should know
        self._thread = thread
        self._told = told
        self._runs = False
        self._began = 0.0
        self._unsaved: dict[KeptBlocks, None] = {}  # in the order in which they were asked for
        self._foreseen: deque[Foresee] = deque()  # begun when nothing else is left

    def begin(self, kept: KeptBlocks | None) -> None:
        """More may be wanted now, in a folder whose blocks are kept there."""
        if kept is not None:
            self._unsaved[kept] = None
        if not self._runs:
            self._runs, self._began = True, time.monotonic()
            self._thread.submit(Priority.LATER, self._step)

    def foresee(self, wants: Foresee) -> None:
        """Have `wants` ask for more once all is made and written that was asked for. On any thread."""
        self._foreseen.append(wants)
        self._thread.submit(Priority.LATER, lambda _: self.begin(None))

    def _step(self, coder: Tending) -> None:
        try:
            self._runs = coder.completer.tend(self._interrupted) or self._save() or self._look_ahead(coder)
        except Exception as error:  # the next completion asks for it again
            log.error("Making blocks failed: %s", described(error))
            self._runs = False
        is_long = self._runs and time.monotonic() - self._began > LONG_SECONDS
        if is_long != self.is_long:
            self.is_long = is_long
            self._told()
            if not is_long:
                give_back()
        if self._runs:
            self._thread.submit(Priority.LATER, self._step)

    def _look_ahead(self, coder: Tending) -> bool:
        """Want what somebody may ask for next; whether there may be more."""
        if not self._foreseen:
            return False
        if not self._interrupted() and (kept := self._foreseen.popleft()(coder)) is not None:
            self._unsaved[kept] = None
        return True

    def _interrupted(self) -> bool:
        return self._thread.is_wanted

    def _save(self) -> bool:
        """Write a piece of what was made; whether there is more."""
        if self._unsaved and not self._interrupted():
            kept = next(iter(self._unsaved))
            if not kept.save():
                del self._unsaved[kept]
        return bool(self._unsaved)
