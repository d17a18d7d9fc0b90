"""Work that may never come back, as on a network drive that has gone: on a thread that nothing waits for at
the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

Result = TypeVar("Result")


def aside(work: Callable[[], Result]) -> asyncio.Future[Result]:
    """Run `work` on a thread of its own. Unlike `asyncio.to_thread`, whose threads the end of the loop
    joins."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Callable[[], object]) -> None:
        if not future.done():  # whoever waited may have given up
            result()

    def run() -> None:
        try:
            found: Callable[[], object] = partial(future.set_result, work())
        except Exception as error:
            found = partial(future.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, found)

    threading.Thread(target=run, name="hef-aside", daemon=True).start()
    return future
