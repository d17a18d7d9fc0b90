"""Keys as one graph in memory: hnswlib, whose file is believed only where a sidecar says what it must be.

hnswlib 0.8 enforces none of its rules (measured: add beside search without a lock kills the process; a file with
flipped bits or of another width loads without complaint; k above the live count raises; `ef` is not saved; a full
index refuses). So its user holds a lock around every call, labels are never used twice, and the sidecar has a sum.
"""

from __future__ import annotations

import importlib
import json
import os
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from indexer.exact import NOTHING, best
from indexer.graph_files import checksum_of, put_in_place

_M = 16
_EF_CONSTRUCTION = 100
_EF_SEARCH = 128


def is_usable() -> bool:
    """Whether hnswlib is installed: it ships as source only, which cannot be built everywhere."""
    try:
        importlib.import_module("hnswlib")
    except ImportError:
        return False
    return True


class HnswKeys:
    """`ExactKeys` over hnswlib. Labels count up and are never reused; `_ids[label]` is the node, -1 where removed."""

    def __init__(self, width: int, capacity: int = 1_024, path: Path | None = None) -> None:
        """Raises ImportError where hnswlib is not installed."""
        self._graph: Any = importlib.import_module("hnswlib").Index(space="ip", dim=width)
        self._width = width
        if path is None:
            self._graph.init_index(max_elements=capacity, M=_M, ef_construction=_EF_CONSTRUCTION)
        else:
            self._graph.load_index(str(path), max_elements=capacity)
        self._graph.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
        self._graph.set_ef(_EF_SEARCH)  # not part of the file
        self._ids = np.full(capacity, -1, np.int64)
        self._used = 0
        self._labels: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def waste(self) -> int:
        """Removed keys that still take room."""
        return self._used - len(self._labels)

    def ids(self) -> np.ndarray:
        return np.fromiter(self._labels, np.int64, len(self._labels))

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        labels = [self._labels[int(id)] for id in ids]
        return np.asarray(self._graph.get_items(labels), np.float32)

    def add(self, ids: Sequence[int], keys: np.ndarray) -> None:
        """See `NearestKeys`. Grows by doubling."""
        self.remove(ids)
        if self._used + len(ids) > len(self._ids):
            capacity = max(2 * len(self._ids), self._used + len(ids))
            self._graph.resize_index(capacity)
            self._ids = np.concatenate([self._ids, np.full(capacity - len(self._ids), -1, np.int64)])
        labels = np.arange(self._used, self._used + len(ids))
        self._graph.add_items(np.ascontiguousarray(keys, np.float32), labels)
        self._ids[labels] = ids
        self._labels.update(zip(map(int, ids), map(int, labels), strict=True))
        self._used += len(ids)

    def remove(self, ids: Sequence[int]) -> None:
        for id in ids:
            label = self._labels.pop(int(id), None)
            if label is not None:
                self._graph.mark_deleted(label)
                self._ids[label] = -1

    def search(self, key: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """At most k ids and their cosine similarities, best first; exact where the graph reaches too few of them."""
        wanted = min(k, len(self))
        if not wanted:
            return NOTHING
        for ef in (max(_EF_SEARCH, wanted), max(512, 4 * wanted)):
            try:
                self._graph.set_ef(ef)
                labels, distances = self._graph.knn_query(key, wanted)
            except RuntimeError:  # too few live nodes reached: many are deleted around here
                continue
            return self._ids[labels[0].astype(np.int64)], 1 - distances[0]
        ids = self.ids()
        return best(ids, self.vectors(ids.tolist()) @ key, wanted)

    @property
    def is_wasteful(self) -> bool:
        return self.waste > max(1_000, len(self) // 2)

    def write(self, path: Path) -> None:
        self._graph.save_index(str(path))  # not atomic: never the final name

    def vouch(self, temporary: Path, path: Path, store: str) -> None:
        """Put a written graph in its place, then the sidecar that describes it; each appears whole or not at all."""
        os.chmod(temporary, 0o600)
        header = {
            "store": store,
            "width": self._width,
            "used": self._used,
            "checksum": checksum_of(temporary),
            "ids": self._ids[: self._used].tolist(),
        }
        put_in_place(temporary, path)
        told = json.dumps(header)
        temporary.write_text(f"{zlib.crc32(told.encode())} {told}", "utf-8")
        os.chmod(temporary, 0o600)
        put_in_place(temporary, sidecar(path))

    @classmethod
    def load(cls, path: Path, store: str, width: int) -> HnswKeys:
        """Raises ValueError, OSError or ImportError where the file is not exactly what was saved for this store."""
        checksum, _, told = sidecar(path).read_text("utf-8").partition(" ")
        if checksum != str(zlib.crc32(told.encode())):
            raise ValueError("the checksum of its description is wrong")
        header = json.loads(told)
        if header.get("store") != store or header.get("width") != width:
            raise ValueError("it belongs to another store")
        if header.get("checksum") != checksum_of(path):
            raise ValueError("its checksum is wrong")
        used = int(header["used"])
        loaded = cls(width, used + 1_024, path)
        loaded._ids[:used] = header["ids"]
        loaded._used = used
        loaded._labels = {id: label for label, id in enumerate(header["ids"]) if id >= 0}
        return loaded


def sidecar(path: Path) -> Path:
    """What describes the graph's file."""
    return path.with_suffix(".json")


def forget(path: Path) -> None:
    """Delete a graph's file and what describes it."""
    with suppress(OSError):  # the next time
        sidecar(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
