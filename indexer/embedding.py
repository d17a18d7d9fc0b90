"""The second half of an update: vectors of the nodes that have none, whoever left them so."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import numpy as np

from indexer.hierarchy import Embedder, Vectors
from indexer.progress import IndexStage, Listener, Progress
from indexer.sharing import TakingIn
from indexer.vectors import MissingNode, VectorStore

_SHARED_NODES = 1_000


class Embedding:
    """One run. `known`: vectors by digest that need not be computed (open documents'); `batch_texts`: of one call."""

    def __init__(
        self,
        vectors: VectorStore,
        embedder: Embedder,
        batch_texts: int,
        known: Mapping[bytes, tuple[np.ndarray, np.ndarray]],
        listener: Listener,
        taking: TakingIn,
    ) -> None:
        """`taking`: what others have computed, which goes before all that is computed here."""
        self._taking = taking
        self._vectors = vectors
        self._embedder = embedder
        self._batch_texts = batch_texts
        self._known = known
        self._listener = listener
        self.embedded = 0
        self.fused = 0
        self.team = ""  # what is to be said of what others computed

    @property
    def pulled(self) -> int:
        """Nodes whose vectors others computed."""
        return self._taking.taken

    def run(self) -> None:
        """Children before parents, each call's result committed at once. Raises StoppedError, and what the embedder
        raises."""
        total = self._vectors.count_pending()
        try:
            self._taking.begin(total)
            self._taking.go_on()
            self._compute(total)
        finally:
            self.team = self._taking.end()
        if self.team:
            self._vectors.note_team(self.team)

    def _compute(self, total: int) -> None:
        done = 0
        for height in self._vectors.pending_heights():
            self._taking.take_waiting()  # with all that is below this height
            for batch in self._pending(height):
                self._listener.check()
                self._listener.progress(Progress(done, max(total, done), "", IndexStage.EMBEDDING))
                if height == 0:
                    self._embed(batch)
                else:
                    self._fuse(batch)
                done += len(batch)
                self._listener.committed()

    def _pending(self, height: int) -> Iterator[list[MissingNode]]:
        """Batches of what is left. Long lists are begun at a place that differs by process, and wrapped around: two
        processes on one store then share the work and do not follow each other text for text."""
        first, last = self._vectors.pending_range(height)
        far = first + (last - first) * (os.getpid() % 7) // 7 if last - first > _SHARED_NODES else 0
        for after in {far: None, 0: None}:
            self._taking.go_on()
            while batch := self._vectors.pending(height, after, self._batch_texts):
                after = batch[-1].id
                yield batch
                self._taking.go_on()

    def _embed(self, batch: list[MissingNode]) -> None:
        known = [node for node in batch if node.digest in self._known]
        if known:
            keys, memories = zip(*(self._known[node.digest] for node in known), strict=True)
            self._vectors.set_vectors(
                [node.id for node in known], Vectors(np.stack(keys), np.stack(memories))
            )
        missing = [node for node in batch if node.digest not in self._known]
        if missing:
            vectors = self._embedder.embed([node.text for node in missing])
            self._vectors.set_vectors([node.id for node in missing], vectors)
            self.embedded += len(missing)

    def _fuse(self, batch: list[MissingNode]) -> None:
        memories = self._vectors.memories({digest for node in batch for digest in node.children})
        # Another process may have added a parent whose children it is still embedding: that one is its to do.
        ready = [node for node in batch if all(digest in memories for digest in node.children)]
        if ready:
            groups = [np.stack([memories[digest] for digest in node.children]) for node in ready]
            self._vectors.set_vectors([node.id for node in ready], self._embedder.fuse(groups))
            self.fused += len(ready)
