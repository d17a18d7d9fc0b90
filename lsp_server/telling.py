"""When the client hears of the status: at once, but of a document's reasons when they have stood for a moment, as each
key may bring another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

STANDS_SECONDS = 0.3  # longer than between two keys of somebody who types


class Telling:
    """Lives on the event loop. `tell` sends the status; the client's side leaves out what it has heard already."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._waiting: asyncio.TimerHandle | None = None

    def now(self) -> None:
        self.stop()
        self._tell()

    def soon(self) -> None:
        """Once nobody has asked for it for STANDS_SECONDS."""
        self.stop()
        self._waiting = asyncio.get_running_loop().call_later(STANDS_SECONDS, self.now)

    def stop(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = None
