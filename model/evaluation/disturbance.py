"""Retrieval made worse on purpose: what the generator does with vectors that say nothing, or something else."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from indexer import Hit

# (what was retrieved, what the same query finds in another repository, randomness) -> what the model gets
Disturb = Callable[[Sequence[Hit], Sequence[Hit], np.random.Generator], list[Hit]]


def noise(hits: Sequence[Hit], foreign: Sequence[Hit], rng: np.random.Generator) -> list[Hit]:
    """Normal noise of each memory's own spread."""
    return [
        _with(hit, rng.standard_normal(hit.memory.shape) * hit.memory.astype(np.float32).std())
        for hit in hits
    ]


def zeros(hits: Sequence[Hit], foreign: Sequence[Hit], rng: np.random.Generator) -> list[Hit]:
    return [_with(hit, np.zeros_like(hit.memory)) for hit in hits]


def shuffled(hits: Sequence[Hit], foreign: Sequence[Hit], rng: np.random.Generator) -> list[Hit]:
    """All vectors of all memories in any order."""
    if not hits:
        return []
    vectors = rng.permutation(np.concatenate([hit.memory for hit in hits]))
    return [_with(hit, part) for hit, part in zip(hits, np.split(vectors, len(hits)), strict=True)]


def replaced(share: float) -> Disturb:
    """That share of the hits, drawn at random, is another repository's."""

    def disturb(hits: Sequence[Hit], foreign: Sequence[Hit], rng: np.random.Generator) -> list[Hit]:
        n = min(round(share * len(hits)), len(foreign))
        chosen = sorted(rng.permutation(len(hits))[:n])
        strangers = dict(zip(chosen, foreign, strict=False))
        return [strangers.get(rank, hit) for rank, hit in enumerate(hits)]

    return disturb


VECTORS: Mapping[str, Disturb] = {"random": noise, "shuffled": shuffled, "zero": zeros}


def seeded(text: str) -> np.random.Generator:
    """The same noise for the same place in every run."""
    return np.random.default_rng(zlib.crc32(text.encode("utf-8", "replace")))


def _with(hit: Hit, memory: np.ndarray) -> Hit:
    return replace(hit, memory=memory.astype(np.float16))
