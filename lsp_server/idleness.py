"""Whether something has not been used for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Idleness:
    """Calls `told` once nobody has used it for `seconds`, and again after each later use. Lives on the event loop; a
    use costs a look at the clock."""

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told
        self._seconds = 0.0
        self._used_at = 0.0
        self._timer: asyncio.TimerHandle | None = None  # until it is told

    def tell_after(self, seconds: float) -> None:
        """From the last use on, at first from now on; 0 is never."""
        self.stop()
        self._seconds = seconds
        self._used_at = self._used_at or time.monotonic()
        if seconds:
            self._look()

    def used(self) -> None:
        """Somebody does, now."""
        self._used_at = time.monotonic()
        if self._timer is None and self._seconds:
            self._look()

    @property
    def is_used(self) -> bool:
        """Whether somebody has used it, and that is not so long ago that it was told."""
        return self._timer is not None

    def stop(self) -> None:
        """Tell nobody, until the next use."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        left = self._used_at + self._seconds - time.monotonic()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._look)
        else:
            self._told()
