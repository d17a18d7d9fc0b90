"""What an outliner's child does (`outliner.py`): it reads texts by their syntax, one after the other, within limits.

It ends with the first that takes more. Memory decides: what tree-sitter needs for a text depends on the text alone,
not on the machine or its load. Real code takes up to 70 bytes for each of its own, with what the queries find; what
is unfinished takes the square of its depth, 700 MB a second. Processor time is a second line, for what takes none.
"""

from __future__ import annotations

import os
import signal
import sys

from indexer.exchange import READY, OutlineRequest, packed_outline, read_frame, write_frame
from indexer.languages import known_language
from indexer.outline import outline_of
from indexer.parsing import parse
from indexer.splitting import MeasuredLines

try:
    import resource
except ImportError:  # Windows, where the parent's clock is the only limit
    resource = None  # type: ignore[assignment]

OUT_OF_MEMORY = 3  # exit code
FREE_BYTES, BYTES_PER_BYTE = 64 << 20, 300  # of memory that a text may take beside what is there
# Seconds of the processor that it may: ten times what a slow machine would need. Where memory has no limit (macOS)
# they are what bounds it, and are short.
_FREE_SECONDS, _SECONDS_PER_BYTE = (10, 20e-6) if sys.platform == "linux" else (2, 5e-6)


def serve() -> None:
    """Answer what comes on standard input until that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # typed in a terminal it is meant for the parent
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    limits = _Limits()
    write_frame(sink, READY)
    while (frame := read_frame(source)) is not None:
        limits.allow(len(frame))
        try:
            write_frame(sink, answer(frame))
        except Exception as error:
            if not _says_out_of_memory(error):
                raise
            os._exit(OUT_OF_MEMORY)


def answer(frame: bytes) -> bytes:
    """What the syntax of a text says, or whether it has one."""
    request = OutlineRequest.unpacked(frame)
    if request.limits is None:
        return b"null" if parse(request.source, request.language) is None else b"true"
    known = known_language(request.language)
    assert known is not None  # the parent asks for no other
    text = request.text
    return packed_outline(outline_of(text, MeasuredLines(text), known, request.limits))


def _says_out_of_memory(error: BaseException | None) -> bool:
    """Also where tree-sitter was told so by a callback, and says that it was told something."""
    return error is not None and (isinstance(error, MemoryError) or _says_out_of_memory(error.__cause__))


class _Limits:
    """Of this process. Lowers what it was started with, never raises it; leaves no image of itself behind."""

    def __init__(self) -> None:
        self._size = -1
        if resource is not None:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if sys.platform == "linux":  # elsewhere nobody keeps to it
            self._size = os.open("/proc/self/statm", os.O_RDONLY)

    def allow(self, n_bytes: int) -> None:
        """Let the next text, which is so long, take its share above what is taken already."""
        if resource is None:
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = used.ru_utime + used.ru_stime + _FREE_SECONDS + _SECONDS_PER_BYTE * n_bytes
        self._set(resource.RLIMIT_CPU, int(seconds) + 1)
        if self._size >= 0:
            pages = int(os.pread(self._size, 64, 0).split()[0])
            self._set(
                resource.RLIMIT_AS, pages * resource.getpagesize() + FREE_BYTES + BYTES_PER_BYTE * n_bytes
            )

    @staticmethod
    def _set(which: int, amount: int) -> None:
        _, most = resource.getrlimit(which)
        resource.setrlimit(which, (amount if most == resource.RLIM_INFINITY else min(amount, most), most))
