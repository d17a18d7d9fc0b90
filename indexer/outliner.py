"""Who reads texts by their syntax: this process the short ones, a child of it with limits all others.

tree-sitter recovers from an error, or from what is unfinished at the end of a text, at the cost of the square of its
depth, in time and memory, in one call that holds the interpreter and asks no callback: 26 KB of `name=>` lines take
Java's grammar 16 s and 5 GB. Such a text ends the child (`outlining.py` says by which limits) and counts as one that
has no syntax; the next one gets a new child.

The same text has the same outline on any machine with Linux, whatever its load: steps and bytes decide, which depend on
the text alone. Two things else end a child: processor time, and `_deadline`, both of them many times what any code
takes; a machine that is loaded so that a child gets nothing done for minutes would cut that one text at its lines. A
child that somebody else ends is asked again once. Without a limit on memory (macOS: processor time, Windows: the clock
alone) texts that are near it may be read on one machine and not on another.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Literal, cast

from tree_sitter import Tree

from indexer.exchange import READY, OutlineRequest, exact_bytes, read_frame, unpacked_outline, write_frame
from indexer.languages import LANGUAGES, Language
from indexer.outline import Outline, outline_of
from indexer.outlining import OUT_OF_MEMORY
from indexer.parsing import parse
from indexer.splitting import ChunkLimits, MeasuredLines

_log = logging.getLogger(__name__)

Reads = Literal["index", "cursor", "packages"]  # for whom a text is read

# Characters that this process reads by itself: of 1,000 the worst that was found in any grammar, `a=>` with other
# letters, holds the interpreter for 65 ms and takes 45 MB.
SHORT = 1_000
IDLE_SECONDS, CURSOR_IDLE_SECONDS = 60.0, 600.0
_START_SECONDS = 60.0
_PATIENCE = 0.25  # seconds that a keystroke waits for another text
_AGAIN_SECONDS = 60.0  # until a child is tried again that could not be started
_OVER_A_LIMIT = {OUT_OF_MEMORY} | {
    -number
    for name in ("SIGABRT", "SIGSEGV", "SIGBUS", "SIGPROF")
    if (number := getattr(signal, name, None)) is not None
}
# The package's own __init__ would import all of it: 0.4 s, and twice the memory.
_BEGIN = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
sys.modules["indexer"] = module_from_spec(spec_from_file_location("indexer", sys.argv[1]))
sys.path += sys.argv[2:]
from indexer.outlining import serve
serve()
"""


class Outliner:
    """Owns one child at most: started with the first text that needs one, ended when none came for a while. For any
    thread; one text at a time."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._not_before = 0.0

    def outline(
        self, text: str, lines: MeasuredLines, language: Language, limits: ChunkLimits
    ) -> Outline | None:
        """`outline_of`, within limits. Takes as long as the text and those before it."""
        try:
            with self._lock:
                frame = self._asked(OutlineRequest(language.name, limits, exact_bytes(text)))
            return None if frame is None else unpacked_outline(frame, lines)
        except _NoChildError:
            return outline_of(text, lines, language, limits)
        except (ValueError, TypeError, IndexError) as error:  # a child that a text has broken
            _log.warning("an outline cannot be read: %s", type(error).__name__)
            self.close()
            return None

    def vets(self, source: bytes, language: str) -> bool:
        """Whether `parse` takes little for a source; False too where that cannot be said within a moment."""
        if not self._lock.acquire(timeout=_PATIENCE):
            return False
        try:
            return self._asked(OutlineRequest(language, None, source)) == b"true"
        except _NoChildError:
            return True
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the child. Whoever waits for it, or comes later, gets another."""
        child = self._child
        if child is None:
            return
        child.kill()
        if self._lock.acquire(timeout=1.0):
            try:
                if self._child is child:
                    child.end()
                    self._child = None
            finally:
                self._lock.release()

    def _asked(self, request: OutlineRequest) -> bytes | None:
        """None for a text that no child survives. Raises _NoChildError."""
        for _ in range(2):
            child = self._running()
            answer = child.ask(request.packed())
            if answer is not None:
                return answer
            status, self._child = child.end(), None
            if child.is_late or status in _OVER_A_LIMIT:
                return None
        _log.warning("an outliner ended with %s", status)
        return None

    def _running(self) -> _Child:
        if self._child is not None and not self._child.is_usable:
            self._child.end()
            self._child = None
        if self._child is None:
            if time.monotonic() < self._not_before:
                raise _NoChildError
            try:
                self._child = _Child(self._idle_seconds)
            except OSError as error:
                if not self._not_before:
                    _log.warning("texts are read without limits: no process can be started (%s)", error)
                self._not_before = time.monotonic() + _AGAIN_SECONDS
                raise _NoChildError from None
        return self._child


class _NoChildError(Exception):
    """None can be started here."""


class _Child:
    """One process, and a thread that ends it when it is late or was idle for long."""

    def __init__(self, idle_seconds: float) -> None:
        """Raises OSError where it does not start."""
        self._idle_seconds = idle_seconds
        self._due = time.monotonic() + _START_SECONDS
        self._changed = threading.Condition()
        self._is_asked, self.is_late = True, False
        # A folder of its own: the one that this process is in may be a stranger's, or want to be unmounted.
        self._process = subprocess.Popen(
            _command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            cwd=Path(__file__).anchor, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
        self._watcher = threading.Thread(target=self._watch, name="hef-outliner", daemon=True)
        self._watcher.start()
        if read_frame(self._out) != READY:
            raise OSError(f"it ends with {self.end()}")
        self._is_due_in(self._idle_seconds, is_asked=False)

    @property
    def is_usable(self) -> bool:
        """Not so behind an answer that nobody has waited for. It may have ended all the same."""
        return not self.is_late and not self._is_asked

    def ask(self, frame: bytes) -> bytes | None:
        """Its answer, None where it is gone. Whoever is interrupted here leaves it unusable."""
        self._is_due_in(_deadline(len(frame)), is_asked=True)
        try:
            write_frame(cast(BinaryIO, self._process.stdin), frame)
            answer = read_frame(self._out)
        except OSError:
            answer = None
        self._is_due_in(self._idle_seconds, is_asked=False)
        return answer

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> int:
        """Its exit code."""
        self._process.kill()
        status = self._process.wait()
        self._is_due_in(0.0, is_asked=False)
        self._watcher.join()
        for stream in (self._process.stdin, self._out):
            with suppress(OSError):
                cast(BinaryIO, stream).close()
        return status

    @property
    def _out(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdout)

    def _is_due_in(self, seconds: float, *, is_asked: bool) -> None:
        with self._changed:
            self._due, self._is_asked = time.monotonic() + seconds, is_asked
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while (left := self._due - time.monotonic()) > 0:
                self._changed.wait(left)
            self.is_late = self._is_asked
            self._process.kill()
        self._process.wait()  # or the system keeps its exit code for the next text, which may never come


def _deadline(n_bytes: int) -> float:
    """Seconds that the child's answer may take."""
    if os.name == "nt":  # nothing else bounds its memory there
        return 5.0 + 5e-6 * n_bytes
    return 120.0 + 200e-6 * n_bytes


def _command() -> list[str]:
    """Raises OSError where this program is no Python interpreter."""
    if not sys.executable or getattr(sys, "frozen", False):
        raise OSError("no interpreter")
    # Only where its libraries are, behind Python's own: whatever else this process looks for modules in, the folder of
    # a stranger among it, is no place to begin a program from.
    wheels = ["tree_sitter", *(language.grammar.partition(":")[0] for language in LANGUAGES)]
    places = dict.fromkeys(
        str(Path(found.origin).parent.parent)
        for wheel in wheels
        if (found := find_spec(wheel)) and found.origin
    )
    return [
        sys.executable,
        "-I",
        "-S",
        "-B",
        "-c",
        _BEGIN,
        str(Path(__file__).with_name("__init__.py")),
        *places,
    ]


@cache
def _outliner_of(process: int, reader: Reads) -> Outliner:
    """That of a process: one that was forked from it has children of its own. Each reader has another: a keystroke
    would wait for the index's texts, and both for those of a package, whose thread gives way to all others. That of a
    keystroke stays longer, not to be started after each pause."""
    outliner = Outliner(CURSOR_IDLE_SECONDS if reader == "cursor" else IDLE_SECONDS)
    atexit.register(outliner.close)
    return outliner


def outline_within_limits(
    text: str, lines: MeasuredLines, language: Language, limits: ChunkLimits, reader: Reads = "index"
) -> Outline | None:
    """`outline_of`, but None for a text that would take too much memory as well."""
    if len(text) <= SHORT:
        return outline_of(text, lines, language, limits)
    return _outliner_of(os.getpid(), reader).outline(text, lines, language, limits)


def parse_within_limits(source: bytes, language: str) -> Tree | None:
    """`parse`, but None for a source that would take too much memory as well, or that cannot be looked at just now. A
    longer one is parsed by a child first."""
    if len(source) > SHORT and not _outliner_of(os.getpid(), "cursor").vets(source, language):
        return None
    return parse(source, language)
