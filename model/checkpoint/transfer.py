"""One file from the network to the disk: in time or not at all, going on where it was cut off."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")

TRIES = 3  # in a row in which not a byte came
PAUSE_SECONDS = 1.0  # before the next one
_AHEAD = 16  # items that wait for the disk
_LOOK_SECONDS = 0.1

# Bytes from a place on, as they come.
Stream = Callable[[int], Iterator[bytes]]


class SilentError(Exception):
    """Nothing came for too long."""


class CutOffError(Exception):
    """The connection was refused or broke."""


def within(seconds: float, make: Callable[[], Iterable[Item]]) -> Generator[Item, None, None]:
    """What `make` gives, made on a thread of its own. Raises SilentError where nothing came for so many seconds,
    OSError as `make` does, and CutOffError for all else that goes wrong there.

    No library bounds all that may be waited for: names are looked up in C, each address of a host is tried, redirects
    are followed. A thread that hangs there is left behind.
    """
    made: Queue[Item | Exception | None] = Queue(_AHEAD)
    is_over = Event()

    def put(item: Item | Exception | None) -> None:
        while not is_over.is_set():
            with suppress(Full):
                made.put(item, timeout=_LOOK_SECONDS)
                return

    def run() -> None:
        try:
            for item in make():
                put(item)
                if is_over.is_set():
                    return
            put(None)
        except Exception as error:  # the library's kinds are its own
            put(error)

    Thread(target=run, name="hef-hub", daemon=True).start()
    try:
        while (item := made.get(timeout=seconds)) is not None:
            if isinstance(item, OSError):
                raise item
            if isinstance(item, Exception):
                raise CutOffError(str(item) or type(item).__name__) from item
            yield item
    except Empty:
        raise SilentError(f"nothing came for {seconds:g} s") from None
    finally:
        is_over.set()


def receive(
    file: Path, size: int, stream: Stream, received: Callable[[int], None], silent_seconds: float
) -> None:
    """Append to a file until it has `size` bytes; it may have some already. `received` hears how many it has.

    A stream that is cut off is asked for again from there, as long as something comes. Raises SilentError,
    CutOffError, OSError (of the disk, or an answer that says no), and what `received` raises.
    """
    in_vain = 0
    while (before := size_of(file)) != size:
        if before > size:
            file.unlink()
            continue
        try:
            _append(file, size, stream, received, silent_seconds)
        except (SilentError, CutOffError) as problem:
            came = size_of(file) - before
            in_vain = 0 if came > 0 else in_vain + 1
            if in_vain >= TRIES or (not came and isinstance(problem, SilentError)):
                raise
            if in_vain:
                time.sleep(PAUSE_SECONDS)


def size_of(file: Path) -> int:
    """0 where it is not there."""
    return file.stat().st_size if file.exists() else 0


def _append(
    file: Path, size: int, stream: Stream, received: Callable[[int], None], silent_seconds: float
) -> None:
    begin = done = size_of(file)
    with closing(within(silent_seconds, lambda: stream(begin))) as chunks, file.open("ab") as out:
        for chunk in chunks:
            out.write(chunk[: size - done])
            received(done := min(done + len(chunk), size))
            if done == size:
                return
    raise CutOffError("it ended too early")
