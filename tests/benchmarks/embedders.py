"""Embedders that take the fuser out of what is measured, or put it back."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from indexer import Embedder, Vectors

_POOL = 1 << 20


class FreeEmbedder:
    """Costs next to nothing: a node's vectors are a window of one pool of random numbers, where a hash of it says.

    Distinct texts get vectors that have nothing to do with each other, which is as hard as it gets for an ANN graph.
    `real`, when set, does the work instead, under the same fingerprint: an index that was built for free is then
    changed at the true price.
    """

    fingerprint = "free"

    def __init__(self, d_key: int = 256, m: int = 4, d_memory: int = 256, sample_every: int = 0) -> None:
        pool = np.random.default_rng(0).standard_normal(_POOL + m * d_memory).astype(np.float16)
        self._windows = sliding_window_view(pool, m * d_memory)[:_POOL]
        self._shape = (m, d_memory)
        self._d_key = d_key
        self._sample_every = sample_every
        self.real: Embedder | None = None
        self.n_embedded = 0
        self.sample: list[str] = []  # of the texts, for who wants to embed some of them in earnest

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.n_embedded += len(texts)
        if self.real:
            return self.real.embed(texts)
        places = [zlib.crc32(text.encode()) for text in texts]
        if self._sample_every:
            self.sample += [
                t for t, place in zip(texts, places, strict=True) if place % self._sample_every == 0
            ]
        return self._vectors(places)

    def fuse(self, groups: Sequence[np.ndarray]) -> Vectors:
        if self.real:
            return self.real.fuse(groups)
        return self._vectors([zlib.crc32(np.ascontiguousarray(group)) for group in groups])

    def _vectors(self, places: Sequence[int]) -> Vectors:
        windows = self._windows[np.array(places, dtype=np.int64) % _POOL]
        keys = windows[:, : self._d_key].astype(np.float32)
        keys /= np.linalg.norm(keys, axis=1, keepdims=True)
        return Vectors(keys.astype(np.float16), windows.reshape(-1, *self._shape))
