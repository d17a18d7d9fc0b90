"""A thread that does what was wished last, and of several wishes that come while it works only the newest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from indexer.priority import LOWEST, give_way

Wish = TypeVar("Wish")


class NewestWish(Generic[Wish]):
    """`make` and `stop` from any thread."""

    def __init__(
        self,
        name: str,
        grant: Callable[[Wish], None],
        tell: Callable[[bool], None] = lambda working: None,
    ) -> None:
        """`name`: of the thread, on which `grant` runs, giving way to all others. `tell` is called there as it begins
        and as it ends, and must return at once."""
        self._name = name
        self._grant = grant
        self._tell = tell
        self._wishing = threading.Lock()
        self._last: Hashable = None
        self._wish: Wish | None = None  # the newest one, until the thread takes it up
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None  # while it works

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def make(self, wish: Wish, about: Hashable, *, again: bool = False) -> None:
        """Wish for something; returns at once. Nothing is done where `about` is what it was last time, unless
        `again`."""
        with self._wishing:
            if self.stopped or (about == self._last and not again):
                return
            self._last, self._wish = about, wish
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        self._stopped.set()
        self.wait(timeout)

    def wait(self, timeout: float) -> None:
        """Until everything that was wished is done."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _run(self) -> None:
        give_way(LOWEST)
        try:
            self._tell(True)
            while (wish := self._next()) is not None:
                self._grant(wish)
        except BaseException:
            self._end()
            raise

    def _next(self) -> Wish | None:
        with self._wishing:
            wish, self._wish = self._wish, None
            if wish is None or self.stopped:
                self._end()
                return None
            return wish

    def _end(self) -> None:
        """Before anybody can start another thread, so that what is told stays in order."""
        self._thread = None
        self._tell(False)
