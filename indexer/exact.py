"""Nearest keys by comparing with all of them: up to some 10,000 as fast as a graph, and nothing can go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.float32))


class NearestKeys(Protocol):
    """Unit vectors by the ids of nodes; one thread changes them."""

    def __len__(self) -> int: ...

    def ids(self) -> np.ndarray:
        """int64, in any order."""
        ...

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        """float32 [n, d_key] of ids that are there."""
        ...

    def add(self, ids: Sequence[int], keys: np.ndarray) -> None:
        """Keys float32 [n, d_key] of ids; an id that is there already gets the new key."""
        ...

    def remove(self, ids: Sequence[int]) -> None:
        """Absent ones are none."""
        ...

    def search(self, key: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """At most k ids and their cosine similarities, best first."""
        ...


class ExactKeys:
    """All keys in one matrix. Not thread-safe."""

    def __init__(self) -> None:
        self._ids = np.zeros(0, np.int64)
        self._keys = np.zeros((0, 0), np.float32)
        self._rows: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def width(self) -> int:
        """d_key; 0 before the first key."""
        return int(self._keys.shape[1])

    def ids(self) -> np.ndarray:
        return self._ids[: len(self)].copy()

    def vectors(self, ids: Sequence[int]) -> np.ndarray:
        return self._keys[[self._rows[int(id)] for id in ids]]

    def add(self, ids: Sequence[int], keys: np.ndarray) -> None:
        self._reserve(len(self) + len(ids), keys.shape[1])
        for id, key in zip(ids, keys, strict=True):
            row = self._rows.setdefault(int(id), len(self._rows))
            self._ids[row], self._keys[row] = id, key

    def remove(self, ids: Sequence[int]) -> None:
        for id in ids:
            row = self._rows.pop(int(id), None)
            if row is not None and row != len(self._rows):  # the last one moves into the gap
                moved = int(self._ids[len(self._rows)])
                self._ids[row], self._keys[row] = moved, self._keys[len(self._rows)]
                self._rows[moved] = row

    def search(self, key: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if not len(self):
            return NOTHING
        scores = self._keys[: len(self)] @ key
        return best(self._ids[: len(self)], scores, k)

    def _reserve(self, count: int, width: int) -> None:
        if count <= len(self._ids) and self._keys.shape[1] == width:
            return
        capacity = max(count, 2 * len(self._ids), 64)
        keys = np.zeros((capacity, width), np.float32)
        ids = np.zeros(capacity, np.int64)
        if len(self):
            keys[: len(self)], ids[: len(self)] = self._keys[: len(self)], self._ids[: len(self)]
        self._keys, self._ids = keys, ids


def best(ids: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k ids with the largest scores, best first, and these."""
    k = min(k, len(scores))
    top = np.argpartition(-scores, k - 1)[:k]
    top = top[
        np.lexsort((ids[top], -scores[top]))
    ]  # equal scores in order of id: results do not depend on history
    return ids[top], scores[top]
