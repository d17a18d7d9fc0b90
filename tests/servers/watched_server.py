"""The real server, which can be asked how long its loop stood still: `python watched_server.py [arguments]`.

The request `test/longestFreeze` gives seconds since the last such request, and begins anew.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from lsp_server import cli, server

BEAT_SECONDS = 0.002


class Heartbeat:
    """The longest time between two turns of an event loop, less what it slept."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._beating: asyncio.Task[None] | None = None

    def taken(self) -> float:
        """The longest freeze in seconds since the last call. Begins to look with the first one."""
        if self._beating is None:
            self._beating = asyncio.get_running_loop().create_task(self._beat())
        longest, self.longest = self.longest, 0.0
        return longest

    async def _beat(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(BEAT_SECONDS)
            self.longest = max(self.longest, time.perf_counter() - began - BEAT_SECONDS)


def main() -> int:
    create = server.create_server

    def create_watched(assignments: Any = ()) -> server.Server:
        watched, heartbeat = create(assignments), Heartbeat()

        @watched.feature("test/longestFreeze")
        def longest_freeze(*_: Any) -> float:
            return heartbeat.taken()

        return watched

    server.create_server = create_watched  # type: ignore[assignment]
    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
