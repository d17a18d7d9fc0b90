"""Nearest keys: exact in numpy for small sets, hnswlib above; rebuilt from the store when it does not match.

hnswlib 0.8 enforces none of its rules (measured: add beside search without a lock kills the process; a file with
flipped bits or of another width loads without complaint; k above the live count raises; `ef` is not saved; a full
index refuses). So: one lock around every call into it, own labels that are never used twice, and a sidecar that says
what the file must be.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indexer.exact import NOTHING, ExactKeys, best

_log = logging.getLogger(__name__)

_M = 16
_EF_CONSTRUCTION = 100
_EF_SEARCH = 128
_BATCH = 64  # additions per hold of the lock: some 10 ms at 100k
_GRAPH_BATCH = 500  # keys that a new graph takes in between two looks around: some 100 ms


GoesOn = Callable[[int, int, str], bool]


def always(done: int, total: int, path: str = "") -> bool:
    return True


class HnswKeys:
    """`ExactKeys` over hnswlib. Labels count up and are never reused; `_ids[label]` is the node, -1 where removed."""

    def __init__(self, hnswlib: Any, width: int, capacity: int = 1_024, path: Path | None = None) -> None:
        self._graph = hnswlib.Index(space="ip", dim=width)
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

    def keys(self) -> np.ndarray:
        return np.asarray(self._graph.get_items(list(self._labels.values())), np.float32)

    def add(self, ids: Sequence[int], keys: np.ndarray) -> None:
        """Keys float32 [n, d_key] of ids; an id that is there already gets the new key. Grows by doubling."""
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
        return best(self.ids(), self.keys() @ key, wanted)

    def write(self, path: Path) -> None:
        self._graph.save_index(str(path))  # not atomic: never the final name

    def vouch(self, temporary: Path, path: Path, store: str) -> None:
        """Put a written graph in its place, then the sidecar that describes it; each appears whole or not at all."""
        os.chmod(temporary, 0o600)
        header = {
            "store": store,
            "width": self._width,
            "used": self._used,
            "checksum": _checksum(temporary),
            "ids": self._ids[: self._used].tolist(),
        }
        _put_in_place(temporary, path)
        told = json.dumps(header)
        temporary.write_text(f"{zlib.crc32(told.encode())} {told}", "utf-8")
        os.chmod(temporary, 0o600)
        _put_in_place(temporary, _sidecar(path))

    @classmethod
    def load(cls, hnswlib: Any, path: Path, store: str, width: int) -> HnswKeys:
        """Raises ValueError or OSError where the file is not exactly what was saved for this store."""
        checksum, _, told = _sidecar(path).read_text("utf-8").partition(" ")
        if checksum != str(zlib.crc32(told.encode())):
            raise ValueError("the checksum of its description is wrong")
        header = json.loads(told)
        if header.get("store") != store or header.get("width") != width:
            raise ValueError("it belongs to another store")
        if header.get("checksum") != _checksum(path):
            raise ValueError("its checksum is wrong")
        used = int(header["used"])
        loaded = cls(hnswlib, width, used + 1_024, path)
        loaded._ids[:used] = header["ids"]
        loaded._used = used
        loaded._labels = {id: label for label, id in enumerate(header["ids"]) if id >= 0}
        return loaded


class Ann:
    """Keys of one level behind `replace` and `search`. One thread replaces; any thread searches."""

    def __init__(self, path: Path, exact_below: int) -> None:
        self._path = path
        self._exact_below = exact_below
        self._lock = threading.Lock()
        self._keys: ExactKeys | HnswKeys = ExactKeys()
        self._unsaved = 0

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def kind(self) -> str:
        return "exact" if isinstance(self._keys, ExactKeys) else "hnsw"

    def ids(self) -> np.ndarray:
        with self._lock:
            return self._keys.ids()

    def replace(self, ids: Sequence[int], keys: np.ndarray, removed: Sequence[int]) -> None:
        """Add or overwrite `ids` with keys [n, d_key], drop `removed`; searches go on between small batches."""
        self._unsaved += len(ids) + len(removed)
        with self._lock:
            self._keys.remove(removed)
        for start in range(0, len(ids), _BATCH):
            with self._lock:
                self._keys.add(
                    ids[start : start + _BATCH], np.asarray(keys[start : start + _BATCH], np.float32)
                )

    def search(self, key: np.ndarray, k: int) -> list[tuple[int, float]]:
        """Up to k of (id, cosine), best first. [] rather than waiting long for the lock."""
        if not self._lock.acquire(timeout=0.1):
            return []
        try:
            ids, scores = self._keys.search(np.asarray(key, np.float32), k)
        finally:
            self._lock.release()
        return [(int(id), float(score)) for id, score in zip(ids, scores, strict=True) if id >= 0]

    def load(self, store: str, width: int) -> None:
        """Take over the saved graph if it is sound and ours; else start empty. Errors are logged, never raised."""
        if not self._path.exists():
            return
        try:
            loaded = HnswKeys.load(importlib.import_module("hnswlib"), self._path, store, width)
        except ImportError:
            return
        except (OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError) as error:
            _log.warning("vector index %s is not usable (%s): rebuilt from the store", self._path.name, error)
            return
        with self._lock:
            self._keys = loaded

    def tidy(self, store: str, goes_on: GoesOn = always) -> None:
        """Choose the right structure for the size, and save when enough changed. Only for the replacing thread.

        A graph is built beside the structure in use, so searches never wait for it; `goes_on` is asked now and then
        whether to go on with that, and told how many keys of how many are in it.
        """
        keys = self._keys
        outgrown = isinstance(keys, ExactKeys) and len(keys) > self._exact_below
        wasteful = isinstance(keys, HnswKeys) and len(keys) > 0 and keys.waste > max(1_000, len(keys) // 2)
        if outgrown or wasteful:
            self._become_graph(keys.ids(), keys.keys(), goes_on)
        if self._unsaved > 1_000:
            self.save(store)

    def save(self, store: str) -> None:
        """Write what is only in memory and took long to build."""
        if isinstance(self._keys, HnswKeys) and self._unsaved:
            self._write(self._keys, store)

    def _become_graph(self, ids: np.ndarray, keys: np.ndarray, goes_on: GoesOn) -> None:
        try:
            hnswlib = importlib.import_module("hnswlib")
        except ImportError:  # ships as source only: where it cannot be built, exact search serves
            return
        graph = HnswKeys(hnswlib, keys.shape[1], 2 * len(ids))
        for start in range(0, len(ids), _GRAPH_BATCH):
            if not goes_on(start, len(ids), ""):
                return
            graph.add(ids[start : start + _GRAPH_BATCH].tolist(), keys[start : start + _GRAPH_BATCH])
        with self._lock:
            self._keys = graph

    def _write(self, keys: HnswKeys, store: str) -> None:
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            with self._lock:
                keys.write(temporary)
            keys.vouch(temporary, self._path, store)
            self._unsaved = 0
        except (OSError, RuntimeError) as error:
            _log.warning("vector index not saved (%s): it will be rebuilt from the store", error)


def _sidecar(path: Path) -> Path:
    return path.with_suffix(".json")


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _put_in_place(temporary: Path, path: Path) -> None:
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
