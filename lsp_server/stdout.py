"""The way out over stdio. A client may be busy writing and read nothing for a while; if the event loop waited for it,
both would wait for each other."""

from __future__ import annotations

import select
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import BinaryIO

# What a pipe that has room takes without blocking; Windows can ask sockets only.
AT_ONCE_BYTES = getattr(select, "PIPE_BUF", 0)
MOST_UNREAD_BYTES = 64 * 2**20
LAST_SECONDS = 2.0  # at the end, for what was not read yet


class UnhurriedStdout:
    """pygls' writer interface on a stream that may block.

    What surely fits is written by the caller, the rest in a thread, in order.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()  # on the two below
        self._unread = 0  # bytes in the queue or being written
        self._is_broken = False
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="stdout", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Wait for nobody. Raises BrokenPipeError when the client has gone or has left more than `MOST_UNREAD_BYTES`
        unread."""
        with self._lock:
            if self._is_broken or self._unread + len(data) > MOST_UNREAD_BYTES:
                raise BrokenPipeError
            if not self._unread and len(data) <= AT_ONCE_BYTES and self._has_room():
                self._put(data)
                return
            self._unread += len(data)
            self._queue.put(data)

    def close(self) -> None:
        """Wait a little for what was not read yet. May be called twice."""
        self._queue.put(None)
        self._thread.join(LAST_SECONDS)

    def _run(self) -> None:
        while (data := self._queue.get()) is not None:
            try:
                self._put(data)
            except OSError:
                with self._lock:
                    self._is_broken = True
                return
            with self._lock:
                self._unread -= len(data)

    def _put(self, data: bytes) -> None:
        self._stream.write(data)
        self._stream.flush()

    def _has_room(self) -> bool:
        with suppress(OSError, ValueError):
            return bool(select.select([], [self._stream], [], 0)[1])
        return False
