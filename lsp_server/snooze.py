"""The user wants peace for a while: until then nothing comes by itself, and what is asked for by a key still does."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from lsp_server.protocol import ArrivalServer
from lsp_server.settings import SECTION
from lsp_server.silence import Silence, snoozed

LONGEST_MINUTES = 7 * 24 * 60.0
UNTIL_RESTART = "until the server is restarted"


class Snooze:
    """Of one session, on its event loop. `changed` is called when it begins and when it ends."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._until = 0.0  # seconds of the clock on the wall, which a machine that slept goes on by
        self._ending: asyncio.TimerHandle | None = None

    @property
    def is_on(self) -> bool:
        return time.time() < self._until

    def begin(self, minutes: float) -> None:
        """For so long, `math.inf`: until the server is restarted; 0 ends it."""
        self.stop()
        self._until = time.time() + 60 * minutes
        if 0 < minutes < math.inf:
            self._ending = asyncio.get_running_loop().call_later(60 * minutes, self.begin, 0)
        self._changed()

    def stop(self) -> None:
        """The session ends."""
        self._until = 0.0
        if self._ending:
            self._ending.cancel()
            self._ending = None

    @property
    def end(self) -> str:
        """ "until 14:35", "" where it is off."""
        if not self.is_on:
            return ""
        if math.isinf(self._until):
            return UNTIL_RESTART
        return time.strftime("until %H:%M", time.localtime(self._until))

    @property
    def silence(self) -> Silence | None:
        """Why nothing comes by itself, for the user."""
        return snoozed(self.end) if self.is_on else None


def register_snooze(server: ArrivalServer, snooze: Snooze, warn: Callable[[str], None]) -> None:
    """Called before the server starts."""

    @server.command(f"{SECTION}.snooze")
    def begin(ls: ArrivalServer, *minutes: Any) -> None:
        """Nothing comes by itself for so many minutes; without any until the server is restarted; 0: it does again."""
        try:
            snooze.begin(minutes_in(minutes))
        except ValueError as error:
            warn(str(error))


def minutes_in(arguments: Sequence[Any]) -> float:
    """How long a command says; a client may send anything. Raises ValueError on what is no time."""
    given = arguments[0] if arguments else math.inf
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if is_number and (given == math.inf or 0 <= given <= LONGEST_MINUTES):
        return float(given)
    raise ValueError(f"A snooze lasts 0 to {LONGEST_MINUTES:.0f} minutes.")
