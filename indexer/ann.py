"""Nearest keys of one level, in the structure that suits their number; derived from the store, rebuilt when it does
not match.

Few are compared one by one (`ExactKeys`); more are one graph in memory (`HnswKeys`); where hnswlib is missing, and
above about a million, graphs are mapped from files (`MappedKeys`). What is not installed is done without.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from indexer import hnsw, mapped, mapped_graph
from indexer.exact import ExactKeys, NearestKeys
from indexer.hnsw import HnswKeys
from indexer.mapped import DEFAULT_SIZES, MappedKeys, MappedSizes
from indexer.progress import GoesOn, always

_log = logging.getLogger(__name__)

_BATCH = 64  # additions per hold of the lock: some 10 ms at 100k
_GRAPH_BATCH = 500  # keys that a new graph takes in between two looks around: some 100 ms
_KINDS = {ExactKeys: "exact", HnswKeys: "hnsw", MappedKeys: "mapped"}
_DAMAGE = (OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError)


class Ann:
    """Keys of one level behind `replace` and `search`. One thread replaces; any thread searches."""

    def __init__(
        self,
        path: Path,
        exact_below: int,
        mapped_above: int = 1_000_000,
        sizes: MappedSizes = DEFAULT_SIZES,
    ) -> None:
        """`path`: of the graph in memory; what else is written has names that differ behind the dot."""
        self._path = path
        self._exact_below = exact_below
        self._mapped_above = mapped_above
        self._sizes = sizes
        self._lock = threading.Lock()
        self._keys: NearestKeys = ExactKeys()
        self._unsaved = 0

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def kind(self) -> str:
        """ "exact", "hnsw" or "mapped"."""
        return _KINDS[type(self._keys)]

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
        self._keep_memory_flat()

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
        """Take over what was saved if it is sound and ours; else start empty. Errors are logged, never raised."""
        path = self._list if self._list.exists() else self._path
        if not path.exists():
            return
        loaded: NearestKeys
        try:
            if path == self._list:
                loaded = MappedKeys.load(path, store, width, self._sizes)
            else:
                loaded = HnswKeys.load(path, store, width)
        except ImportError:
            return
        except _DAMAGE as error:
            _log.warning("vector index %s is not usable (%s): rebuilt from the store", path.name, error)
            return
        with self._lock:
            self._keys = loaded

    def tidy(self, store: str, goes_on: GoesOn = always) -> None:
        """Choose the right structure for the size, and save when enough changed. Only for the replacing thread.

        A graph is built beside the structure in use, so searches never wait for it; `goes_on` is asked now and then
        whether to go on with that, and told how many keys of how many are in it.
        """
        wanted, keys = self._fitting(), self._keys
        if wanted != self.kind or (isinstance(keys, HnswKeys) and keys.is_wasteful):
            self._become(wanted, goes_on)
        if isinstance(self._keys, MappedKeys):
            self._keys.drain(self._exact_below, goes_on)
        if self._unsaved > 1_000:
            self.save(store)

    def save(self, store: str) -> None:
        """Write what is only in memory and took long to build."""
        keys = self._keys
        try:
            if isinstance(keys, HnswKeys) and self._unsaved:
                self._write(keys, store)
                mapped.forget(self._list)
            elif isinstance(keys, MappedKeys):
                keys.save(store)
                hnsw.forget(self._path)
            self._unsaved = 0
        except (OSError, RuntimeError) as error:
            _log.warning("vector index not saved (%s): it will be rebuilt from the store", error)

    @property
    def _list(self) -> Path:
        return self._path.with_suffix(".mapped")

    def _fitting(self) -> str:
        """The kind that suits the number of keys, of those that are installed; the one in use near a border."""
        count, kind = len(self._keys), self.kind
        if kind == "exact" and count <= self._exact_below:
            return kind
        least = self._mapped_above * 3 // 4 if kind == "mapped" else self._mapped_above
        has_hnsw = hnsw.is_usable()
        if (count > least or not has_hnsw) and mapped_graph.is_usable():
            return "mapped"
        return "hnsw" if has_hnsw else kind

    def _become(self, kind: str, goes_on: GoesOn) -> None:
        keys = self._keys
        if kind == "mapped" and isinstance(keys, ExactKeys):
            self._swap(MappedKeys(self._list, keys.width, self._sizes, keys))
            return
        ids = keys.ids()
        width = keys.vectors(ids[:1].tolist()).shape[1]
        made = self._empty(kind, width, len(ids))
        for start in range(0, len(ids), _GRAPH_BATCH):
            if not goes_on(start, len(ids), ""):
                return
            batch = ids[start : start + _GRAPH_BATCH].tolist()
            made.add(batch, keys.vectors(batch))
            if isinstance(made, MappedKeys):
                made.relieve()
        self._swap(made)

    def _empty(self, kind: str, width: int, count: int) -> NearestKeys:
        if kind == "mapped":
            return MappedKeys(self._list, width, self._sizes)
        return HnswKeys(width, 2 * count)

    def _keep_memory_flat(self) -> None:
        """In a long update, at whose end alone the right structure is chosen."""
        keys = self._keys
        if isinstance(keys, ExactKeys) and len(keys) > self._mapped_above and mapped_graph.is_usable():
            self._become("mapped", always)
        elif isinstance(keys, MappedKeys):
            keys.relieve()

    def _swap(self, keys: NearestKeys) -> None:
        with self._lock:
            self._keys = keys

    def _write(self, keys: HnswKeys, store: str) -> None:
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        with self._lock:
            keys.write(temporary)
        keys.vouch(temporary, self._path, store)
