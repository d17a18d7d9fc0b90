"""Open documents: their unsaved chunks, in memory only, searched in place of what the disk says. Immutable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from indexer.chunking import Chunk
from indexer.hierarchy import Embedder, leaf_text
from indexer.identifiers import terms
from indexer.vector_blobs import as_stored

KeyAndMemory = tuple[np.ndarray, np.ndarray]  # float16 [d_key], float16 [m, d_memory]


@dataclass(frozen=True)
class OverlayChunk:
    """A chunk of an open document. `key` float16 [d_key] and `memory` float16 [m, d_memory], None without a fuser."""

    path: str
    chunk: Chunk
    digest: bytes
    key: np.ndarray | None
    memory: np.ndarray | None
    terms: frozenset[str]


@dataclass(frozen=True)
class Overlay:
    """All open documents; `documents` maps a path to its chunks in order."""

    documents: Mapping[str, tuple[OverlayChunk, ...]]

    def chunks(self) -> Iterable[OverlayChunk]:
        return (chunk for chunks in self.documents.values() for chunk in chunks)

    def vectors(self) -> dict[bytes, KeyAndMemory]:
        """digest -> (key, memory): what saving these documents need not embed again."""
        return {
            found.digest: (found.key, found.memory)
            for found in self.chunks()
            if found.key is not None and found.memory is not None
        }

    def nearest(self, key: np.ndarray, k: int) -> list[tuple[OverlayChunk, float]]:
        """Up to k of (chunk, cosine), best first."""
        keyed = [(found, found.key) for found in self.chunks() if found.key is not None]
        if not keyed:
            return []
        scores = np.stack([stored for _, stored in keyed]).astype(np.float32) @ np.asarray(key, np.float32)
        return [(keyed[row][0], float(scores[row])) for row in np.argsort(-scores, kind="stable")[:k]]

    def lexical(self, weights: Mapping[str, float]) -> list[tuple[OverlayChunk, float]]:
        """Chunks by the summed weights of the terms in them, as BM25 gives a chunk of average length."""
        scored = [
            (found, sum(weights[term] for term in found.terms & weights.keys())) for found in self.chunks()
        ]
        return sorted((pair for pair in scored if pair[1] > 0), key=lambda pair: -pair[1])

    def definitions(self, names: Iterable[str]) -> list[tuple[str, OverlayChunk]]:
        wanted = set(names)
        return [
            (symbol.name, found)
            for found in self.chunks()
            for symbol in found.chunk.symbols
            if symbol.name in wanted
        ]

    def with_document(self, path: str, chunks: tuple[OverlayChunk, ...]) -> Overlay:
        return Overlay({**self.documents, path: chunks})

    def without(self, path: str) -> Overlay:
        return Overlay({other: chunks for other, chunks in self.documents.items() if other != path})


NO_OVERLAY = Overlay({})


def overlay_chunk(path: str, chunk: Chunk, digest: bytes, vectors: KeyAndMemory | None) -> OverlayChunk:
    key, memory = vectors if vectors else (None, None)
    return OverlayChunk(path, chunk, digest, key, memory, frozenset(terms(leaf_text(chunk))))


def embedded(texts: Mapping[bytes, str], embedder: Embedder, batch_texts: int) -> dict[bytes, KeyAndMemory]:
    """Vectors of leaves by digest, so many at a time that a completion never waits for long."""
    made: dict[bytes, KeyAndMemory] = {}
    waiting = list(texts)
    for start in range(0, len(waiting), batch_texts):
        batch = waiting[start : start + batch_texts]
        vectors = embedder.embed([texts[digest] for digest in batch])
        keys, memories = vectors.keys.astype(np.float16), as_stored(vectors.memories.astype(np.float16))
        made.update(zip(batch, zip(keys, memories, strict=True), strict=True))
    return made
