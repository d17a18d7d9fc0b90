"""Whether a server is asked: not while it is known to fail, and again after a time that doubles with each failure.

Nothing happens by a clock: who wants an answer asks whether the time has come, so that an idle editor sends nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

FIRST_SECONDS, MOST_SECONDS = 1.0, 60.0  # until a server that has failed is looked at again


@dataclass(frozen=True)
class Standing:
    """`why` it is not asked, the rest of a sentence that begins with its name; "" where it is."""

    why: str = "was not looked at yet"
    failures: int = 0  # in a row
    again_at: float = 0.0  # seconds of the clock
    waited: float = 0.0  # seconds in which it was asked and said nothing, since it last did

    @property
    def is_well(self) -> bool:
        return not self.why


class Health:
    """Any thread's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._looking = False
        self.standing = Standing()

    def failed(self, why: str) -> bool:
        """It is not asked for a while; whether that is news."""
        with self._lock:
            self._looking = False
            before = self.standing
            pause = min(FIRST_SECONDS * 2.0**before.failures, MOST_SECONDS)
            self.standing = Standing(why, min(before.failures + 1, 10), self._clock() + pause)
            return before.why != why

    def recovered(self) -> bool:
        """It may be asked again; its failures are forgotten once it has `written`. Whether that is news."""
        with self._lock:
            self._looking = False
            before = self.standing
            self.standing = replace(before, why="", waited=0.0)
            return not before.is_well

    def written(self) -> None:
        """It has written a token that was asked for."""
        if self.standing.failures or self.standing.waited:
            with self._lock:
                self.standing = replace(self.standing, failures=0, waited=0.0)

    def said_nothing(self, seconds: float) -> float:
        """It was asked for so long, until the user typed on; seconds in which it has said nothing by now."""
        with self._lock:
            self.standing = replace(self.standing, waited=self.standing.waited + seconds)
            return self.standing.waited

    def may_look(self) -> bool:
        """Whether it is time to look whether it works again; True once for each time, until that has ended."""
        with self._lock:
            now = self.standing
            if now.is_well or self._looking or self._clock() < now.again_at:
                return False
            self._looking = True
            return True
