"""Waiting for what happens on the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

SECONDS = 20.0


async def until(true: Callable[[], object], seconds: float = SECONDS) -> None:
    """Fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
