"""What an outliner's child does (`outliner.py`): it reads texts by their syntax, one after the other, within limits.

It ends with the first that takes more. Memory decides: what tree-sitter needs for a text depends on the text alone,
not on the machine or its load. Real code takes up to 70 bytes for each of its own, with what the queries find; what
is unfinished takes the square of its depth, 700 MB a second. Processor time is a second line, for what takes none:
thousands of comments before an error make each of tree-sitter's steps slow.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Allowance:
    """What a text may take: bytes of memory beside what is there, seconds of the processor; and more of both for each
    byte of its own."""

    memory: int
    memory_per_byte: int
    seconds: float
    seconds_per_byte: float

    def for_text(self, n_bytes: int) -> tuple[int, float]:
        return self.memory + self.memory_per_byte * n_bytes, self.seconds + self.seconds_per_byte * n_bytes


# Six times the memory that code was seen to take, and twenty times the seconds.
OUTLINED = Allowance(64 << 20, 300, 2.0, 10e-6)
# What the parent parses afterwards itself: 48 MB hold its interpreter for 70 ms, and a keystroke waits for both.
VETTED = Allowance(48 << 20, 40, 0.5, 2e-6)
# So long may it be held. Real code of 300,000 characters takes less; a clock may decide, as no chunk depends on it.
VETTED_SECONDS = 0.1


def serve() -> None:
    """Answer what comes on standard input until that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # typed in a terminal it is meant for the parent
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    limits = _Limits()
    write_frame(sink, READY)
    while (frame := read_frame(source)) is not None:
        try:
            request = OutlineRequest.unpacked(frame)
            limits.allow(request)
            write_frame(sink, answer(request))
        except Exception as error:
            if not _says_out_of_memory(error):
                raise
            os._exit(OUT_OF_MEMORY)


def answer(request: OutlineRequest) -> bytes:
    """What the syntax of a text says, or whether it has one and the parent may parse it."""
    if request.limits is None:
        began = time.thread_time()
        tree = parse(request.source, request.language)
        return b"null" if tree is None or time.thread_time() - began > VETTED_SECONDS else b"true"
    known = known_language(request.language)
    assert known is not None  # the parent asks for no other
    text = request.text
    return packed_outline(outline_of(text, MeasuredLines(text), known, request.limits))


def _says_out_of_memory(error: BaseException | None) -> bool:
    """Also where tree-sitter was told so by a callback, and says that it was told something."""
    return error is not None and (isinstance(error, MemoryError) or _says_out_of_memory(error.__cause__))


class _Limits:
    """Of this process, which leaves no image of itself behind."""

    def __init__(self) -> None:
        self._size, self._trim = -1, None
        if resource is not None:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGPROF, signal.SIG_DFL)  # whoever began this process may ignore it
        if sys.platform == "linux":  # elsewhere nobody keeps to it
            self._size = os.open("/proc/self/statm", os.O_RDONLY)
            self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc

    def allow(self, request: OutlineRequest) -> None:
        """Let the next text take its share above what is taken already."""
        if resource is None:
            return
        share = VETTED if request.limits is None else OUTLINED
        memory, seconds = share.for_text(len(request.source))
        signal.setitimer(signal.ITIMER_PROF, seconds)  # it ends the process: nobody handles SIGPROF
        if self._size >= 0:
            if self._trim is not None:
                self._trim(0)  # what a text before it has left would be its own
            taken = int(os.pread(self._size, 64, 0).split()[0]) * resource.getpagesize()
            _, most = resource.getrlimit(resource.RLIMIT_AS)
            limit = taken + memory if most == resource.RLIM_INFINITY else min(taken + memory, most)
            resource.setrlimit(resource.RLIMIT_AS, (limit, most))
