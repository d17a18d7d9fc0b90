"""Keys beyond what one graph in memory should hold: usearch graphs in float16, mapped from their files.

What is new is compared one by one (`ExactKeys`) until `drain` makes it part of a graph. A graph has a bounded number of
keys and a file that nobody changes: it is written under a new name, and takes the place of the one it has grown out of.
So processes share its pages, and memory does not grow with the count. One small file, the list, says which graphs there
are and which node each label is; it is put in place whole, and what it does not name is nothing. A graph that is not
what the list says is left out: its keys come from the store again.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from indexer.exact import NOTHING, ExactKeys, best
from indexer.graph_files import put_in_place
from indexer.mapped_graph import MappedGraph, add, library, new_graph, write
from indexer.progress import GoesOn, always

_log = logging.getLogger(__name__)

_BATCH = 500  # additions between two looks around
_STRAY_SECONDS = 3_600  # files that no list names are another process's work for so long
_DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError)


@dataclass(frozen=True)
class MappedSizes:
    """Keys: of one graph at most (165 MB at 256 numbers each, which building one takes of memory), new ones at most
    while an update goes on (100 MB, some 10 ms a search), and how many of these become part of a graph at a time."""

    segment: int = 250_000
    most_fresh: int = 100_000
    portion: int = 20_000


DEFAULT_SIZES = MappedSizes()


class MappedKeys:
    """`ExactKeys` over files beside `path`, the list. One thread changes, any thread searches."""

    def __init__(
        self, path: Path, width: int, sizes: MappedSizes = DEFAULT_SIZES, fresh: ExactKeys | None = None
    ) -> None:
        """`fresh`: what it begins with, and owns from now on. Raises ImportError; see `library`."""
        library()
        self._path = path
        self._width = width
        self._sizes = sizes
        self._lock = threading.Lock()  # around searches, and changes of what they see
        self._fresh = fresh or ExactKeys()
        self._segments: tuple[MappedGraph, ...] = ()
        self._written: set[Path] = set()  # files since the last list
        self._is_listed = False  # whether the list on disk says what there is

    def __len__(self) -> int:
        return len(self._fresh) + sum(len(segment) for segment in self._segments)

    def ids(self) -> np.ndarray:
        return np.concatenate([self._fresh.ids(), *(part.ids[part.alive] for part in self._segments)])

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """See `NearestKeys`; from graphs in float16."""
        wanted = np.asarray(ids, np.int64)
        found = np.zeros((len(wanted), self._width), np.float32)
        for segment in self._segments:
            rows, labels = segment.find(wanted)
            if len(rows):
                found[rows] = segment.vectors(labels)
        fresh = np.flatnonzero(np.isin(wanted, self._fresh.ids()))
        if len(fresh):
            found[fresh] = self._fresh.vectors(wanted[fresh].tolist())
        return found

    def add(self, ids: Sequence[int], keys: np.ndarray) -> None:
        self._bury(ids)
        with self._lock:
            self._fresh.add(ids, keys)

    def remove(self, ids: Sequence[int]) -> None:
        self._bury(ids)
        with self._lock:
            self._fresh.remove(ids)

    def search(self, key: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:  # two searches of one graph share what they note their way in
            parts: tuple[ExactKeys | MappedGraph, ...] = (self._fresh, *self._segments)
            found = [part.search(key, k) for part in parts if len(part)]
        if not found:
            return NOTHING
        ids, scores = (np.concatenate(part) for part in zip(*found, strict=True))
        return best(ids, scores, k)

    def drain(self, most_fresh: int, goes_on: GoesOn = always) -> None:
        """Make graphs anew that are mostly waste, and then of all that is new where it is more than that. Searches go
        on; what was done before `goes_on` stopped it stays."""
        for segment in self._segments:
            if len(segment) < len(segment.ids) / 2:
                self._dissolve(segment)
        total = len(self._fresh)
        if total > most_fresh:
            while len(self._fresh) and self._grow(self._sizes.segment, total, goes_on):
                pass

    def relieve(self) -> None:
        """Some of that in the middle of an update, where memory asks for it."""
        if len(self._fresh) > self._sizes.most_fresh:
            self._grow(self._sizes.portion, len(self._fresh), always)

    # -- files --------------------------------------------------------------------------------------------------

    def save(self, store: str) -> None:
        """Say on disk what there is. What is new is left out: the store has it. Raises OSError."""
        if self._is_listed or not all(segment.path.exists() for segment in self._segments):
            return  # another process's list names other graphs than these: as good as ours, for who opens next
        before = _files_of(self._path) | self._written
        told = [part.told() for part in self._segments]
        header = {"store": store, "width": self._width, "written": time.time_ns(), "segments": told}
        ids = [part.left.astype("<i8").tobytes() for part in self._segments]
        content = b"\n".join([json.dumps(header).encode(), b"".join(ids)])
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_bytes(b"%d\n%s" % (zlib.crc32(content), content))
        os.chmod(temporary, 0o600)
        put_in_place(temporary, self._path)
        self._is_listed = True
        _sweep(self._path, before, {part.path for part in self._segments})
        self._written.clear()

    @classmethod
    def load(cls, path: Path, store: str, width: int, sizes: MappedSizes = DEFAULT_SIZES) -> MappedKeys:
        """What a list names and is sound. Raises ValueError, OSError and the like where it is not this store's list,
        ImportError as `library` does."""
        loaded = cls(path, width, sizes)
        header, ids = _read_list(path)
        if header.get("store") != store or header.get("width") != width:
            raise ValueError("it belongs to another store")
        segments: list[MappedGraph] = []
        broken, is_settled, when = "", True, header["written"]
        for told in header["segments"]:
            own, ids = ids[: told["n"]], ids[told["n"] :]
            try:
                file = path.parent / Path(told["file"]).name
                segments.append(MappedGraph.named(file, told, own, width, when))
                is_settled &= segments[-1].is_untouched(told, when)
            except _DAMAGE as error:
                broken = str(error)
        loaded._segments = tuple(segments)
        loaded._is_listed = is_settled and not broken  # a list of later spares the next one to read all
        if broken:
            _log.warning("a part of vector index %s is not usable (%s): made again", path.name, broken)
        return loaded

    # -- inside -------------------------------------------------------------------------------------------------

    def _bury(self, ids: Sequence[int]) -> None:
        wanted = np.asarray(ids, np.int64)
        for segment in self._segments:
            if segment.bury(wanted):
                self._is_listed = False

    def _dissolve(self, segment: MappedGraph) -> None:
        labels = np.flatnonzero(segment.alive)
        keys = segment.vectors(labels) if len(labels) else np.zeros((0, self._width), np.float32)
        with self._lock:
            self._fresh.add(segment.ids[labels].tolist(), keys)
            self._segments = tuple(other for other in self._segments if other is not segment)
        self._is_listed = False

    def _grow(self, most: int, total: int, goes_on: GoesOn) -> bool:
        """Take at most so many new keys into the last graph, as far as it has room, or into a further one. False where
        stopped: what was taken in by then stays."""
        last = self._segments[-1] if self._segments and self._has_room(self._segments[-1]) else None
        graph = new_graph(self._width, last.path if last else None)
        ids = self._fresh.ids()[: min(most, self._sizes.segment - len(graph))]
        n_taken, done = 0, total - len(self._fresh)
        while n_taken < len(ids) and goes_on(done + n_taken, total, ""):
            batch = ids[n_taken : n_taken + _BATCH].tolist()
            add(graph, self._fresh.vectors(batch))
            n_taken += len(batch)
        if n_taken:
            self._put(last, graph, ids[:n_taken])
        return n_taken == len(ids)

    def _has_room(self, segment: MappedGraph) -> bool:
        return len(segment.ids) < self._sizes.segment and segment.path.exists()

    def _put(self, last: MappedGraph | None, graph: Any, ids: np.ndarray) -> None:
        """Write a graph, map it, and let it answer for these new ids and for those of the one it grew out of."""
        path = self._path.with_suffix(f".{uuid4().hex}.usearch")
        self._written.add(path)
        write(graph, path)
        before = last.left if last else ids[:0]
        segment = MappedGraph.written(path, np.concatenate([before, ids]), self._width)
        with self._lock:
            self._fresh.remove(ids.tolist())
            self._segments = (*(other for other in self._segments if other is not last), segment)
        self._is_listed = False


def forget(path: Path) -> None:
    """Delete a list and what it names."""
    files = _files_of(path)
    with suppress(OSError):  # the next time
        path.unlink(missing_ok=True)
    _sweep(path, files, set())


def _read_list(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    """Header and ids of all segments. Raises ValueError where it is not what was written."""
    checksum, _, content = path.read_bytes().partition(b"\n")
    if checksum != b"%d" % zlib.crc32(content):
        raise ValueError("the checksum of its list is wrong")
    told, _, ids = content.partition(b"\n")
    header = json.loads(told)
    return header, np.frombuffer(ids, "<i8").astype(np.int64)


def _files_of(path: Path) -> set[Path]:
    """The graphs that the list at a path names; none where it cannot be read."""
    try:
        return {path.parent / Path(told["file"]).name for told in _read_list(path)[0]["segments"]}
    except _DAMAGE:
        return set()


def _sweep(path: Path, before: set[Path], named: set[Path]) -> None:
    """Delete the graphs that the list before named and this one does not, and those that none has for long."""
    old = time.time() - _STRAY_SECONDS
    for file in path.parent.glob(f"{path.stem}.*.usearch"):
        with suppress(OSError):  # one that is mapped cannot be deleted everywhere: the next time
            if file not in named and (file in before or file.stat().st_mtime < old):
                file.unlink()
