"""One graph of a bounded number of keys, in float16, mapped from a file that nobody changes: usearch is used here only.

usearch 2.26 looks at a file's length and not at its content (a flipped bit sends a search anywhere), a mapped graph
takes nothing in, and two searches of one graph share what they note on their way. So a file has a sum, is grown into
another one, and its user holds a lock.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer.exact import best
from indexer.graph_files import checksum_of

_CONNECTIVITY, _EF_CONSTRUCTION, _EF_SEARCH = 16, 100, 128
_RACY_NS = 2_000_000_000  # a file changed so shortly before the list was written may have changed again


def is_usable() -> bool:
    """Whether there can be graphs."""
    try:
        library()
    except ImportError:
        return False
    return True


def library() -> Any:
    """usearch's index. Raises ImportError where it is not installed, or must not be loaded: with faiss in the same
    process both bring their own OpenMP, and it dies."""
    if "faiss" in sys.modules:
        raise ImportError("usearch and faiss do not live in one process")
    return importlib.import_module("usearch.index")


@dataclass(frozen=True, eq=False)
class MappedGraph:
    """One graph. `ids[label]`: node, -1 where it was removed before; `alive[label]`: not removed since. `order` sorts
    `ids`; `stamp`: how the file looked before its `checksum` was taken."""

    path: Path
    graph: Any
    ids: np.ndarray
    alive: np.ndarray
    order: np.ndarray
    stamp: tuple[int, ...]
    checksum: int

    @classmethod
    def written(cls, path: Path, ids: np.ndarray, width: int) -> MappedGraph:
        """Map a file that this process has written. Raises ValueError, OSError, RuntimeError."""
        stamp = _stamp(path)  # before the sum: what changes meanwhile is noticed
        return cls._mapped(path, ids, width, stamp, checksum_of(path))

    @classmethod
    def named(
        cls, path: Path, told: Mapping[str, Any], ids: np.ndarray, width: int, when: int
    ) -> MappedGraph:
        """Map a file that a list of a time (in ns) tells of, as `told` did. It is read whole but where it is untouched
        since. Raises ValueError where it is another one, OSError and the like."""
        stamp, checksum = _stamp(path), int(told["checksum"])
        if not _is_untouched(stamp, told, when) and checksum_of(path) != checksum:
            raise ValueError("its checksum is wrong")
        return cls._mapped(path, ids, width, stamp, checksum)

    @classmethod
    def _mapped(
        cls, path: Path, ids: np.ndarray, width: int, stamp: tuple[int, ...], checksum: int
    ) -> MappedGraph:
        graph = new_graph(width)
        graph.view(str(path))
        if len(graph) != len(ids) or graph.ndim != width:
            raise ValueError("it is another graph")
        order = np.argsort(ids, kind="stable").astype(np.int32)
        return cls(path, graph, ids, ids >= 0, order, stamp, checksum)

    def __len__(self) -> int:
        """Of the living."""
        return int(np.count_nonzero(self.alive))

    def find(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of the ids are alive here, as rows of `ids`, and their labels."""
        at = np.minimum(np.searchsorted(self.ids, ids, sorter=self.order), len(self.ids) - 1)
        labels = self.order[at]
        rows = np.flatnonzero((self.ids[labels] == ids) & self.alive[labels])
        return rows, labels[rows]

    def bury(self, ids: np.ndarray) -> bool:
        """Remove what is here of the ids; whether there was any."""
        labels = self.find(ids)[1]
        self.alive[labels] = False
        return len(labels) > 0

    @property
    def left(self) -> np.ndarray:
        """`ids` of now."""
        return np.where(self.alive, self.ids, -1)

    def is_untouched(self, told: Mapping[str, Any], when: int) -> bool:
        """Whether that list is enough to open it without reading it whole."""
        return _is_untouched(self.stamp, told, when)

    def told(self) -> dict[str, Any]:
        """What a list says of it, beside `left`."""
        return {
            "file": self.path.name,
            "n": len(self.ids),
            "stamp": self.stamp,
            "checksum": self.checksum,
        }

    def search(self, key: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """At most k living ids and their cosines, unsorted."""
        wanted = min(k, len(self))
        for asked in (wanted, 4 * wanted, 16 * wanted):
            found = self.graph.search(key, min(asked, len(self.ids)), threads=1)
            labels = found.keys.astype(np.int64)
            labels, scores = labels[self.alive[labels]], 1 - found.distances[self.alive[labels]]
            if len(labels) >= wanted:
                return self.ids[labels], scores
        labels = np.flatnonzero(self.alive)  # most around here were removed
        return best(self.ids[labels], self.vectors(labels) @ key, k)

    def vectors(self, labels: np.ndarray) -> np.ndarray:
        """float32 [n, d_key] of labels."""
        return np.asarray(self.graph.get(labels.astype(np.uint64)), np.float32)


def new_graph(width: int, path: Path | None = None) -> Any:
    """An empty graph in memory, or one with what a file holds; usearch's own. Raises RuntimeError."""
    graph = library().Index(
        ndim=width,
        metric="ip",
        dtype="f16",
        connectivity=_CONNECTIVITY,
        expansion_add=_EF_CONSTRUCTION,
        expansion_search=_EF_SEARCH,
    )
    if path:
        graph.load(str(path))
    return graph


def add(graph: Any, keys: np.ndarray) -> None:
    """Float32 [n, d_key] under the next n labels."""
    labels = np.arange(len(graph), len(graph) + len(keys), dtype=np.uint64)
    graph.add(labels, keys, threads=max(1, (os.cpu_count() or 2) // 2))


def write(graph: Any, path: Path) -> None:
    """To a file that nobody has heard of yet, for the user alone. Raises RuntimeError or OSError."""
    graph.save(str(path))
    os.chmod(path, 0o600)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _stamp(path: Path) -> tuple[int, ...]:
    seen = path.stat()
    return seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino


def _is_untouched(stamp: tuple[int, ...], told: Mapping[str, Any], when: int) -> bool:
    return list(stamp) == told["stamp"] and stamp[2] + _RACY_NS < when
