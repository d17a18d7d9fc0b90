"""The open documents' chunks of one index, with vectors, as far as there are any: what `overlay.py` is made of."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from indexer.chunking import Chunk
from indexer.documents import OpenDocuments
from indexer.entries import NO_STAMP, entry_of
from indexer.hierarchy import Embedder, leaf_text
from indexer.keeping import KeptStore
from indexer.mirrors import Mirrors
from indexer.overlay import NO_OVERLAY, KeyAndMemory, embedded, overlay_chunk
from indexer.progress import UpdateReport
from indexer.settings import IndexSettings

_Leaves = list[tuple[bytes, Chunk]]  # with their digests


class OpenChunks:
    """Owns the overlay, which any thread may read; one document at a time is put in."""

    def __init__(
        self,
        root: Path,
        embedder: Embedder | None,
        settings: IndexSettings,
        kept: KeptStore,
        mirrors: Mirrors,
    ) -> None:
        """`kept`: asked for vectors that are known; `mirrors` are shown every document."""
        self.overlay = NO_OVERLAY
        self._embedder, self._settings = embedder, settings
        self._fingerprint = embedder.fingerprint if embedder else ""
        self._kept, self._mirrors = kept, mirrors
        self._documents = OpenDocuments(root, settings)
        self._putting = threading.Lock()

    def put(self, path: Path, text: str | None) -> UpdateReport:
        """See `Index.overlay`."""
        started = time.perf_counter()
        with self._putting:
            name, gone = self._documents.put(path, text)
            if gone is not None:
                self.overlay = self.overlay.without(gone)
                self._mirrors.show_document(gone, None)
            if text is None or name is None:
                return UpdateReport(0, 0, 0, 0, time.perf_counter() - started)
            # a lone surrogate can be typed in an editor, but not stored or parsed
            clean = text.encode("utf-8", "replace").decode("utf-8")
            self._mirrors.show_document(name, clean)
            leaves, new = self._take_in(name, clean)
        return UpdateReport(1, leaves, new, leaves - new, time.perf_counter() - started)

    def _take_in(self, path: str, text: str) -> tuple[int, int]:
        """Take a document in; how many chunks it has and how many were embedded.

        Its words and names count at once, and so do vectors that are known; the embedder may take its time.
        """
        places = entry_of(path, text, NO_STAMP, self._fingerprint, self._settings).places
        leaves = [(place.node.digest, place.chunk) for place in places if place.chunk]
        vectors = self.overlay.vectors()
        vectors.update(self._stored_vectors({digest for digest, _ in leaves} - vectors.keys()))
        self._show(path, leaves, vectors)
        missing = {digest: leaf_text(chunk) for digest, chunk in leaves if digest not in vectors}
        if self._embedder is None or not missing:
            return len(leaves), 0
        vectors.update(embedded(missing, self._embedder, self._settings.batch_texts))
        self._show(path, leaves, vectors)
        return len(leaves), len(missing)

    def _stored_vectors(self, digests: set[bytes]) -> Mapping[bytes, KeyAndMemory]:
        reader = self._kept.reader
        try:
            return reader.vectors(digests)
        except sqlite3.DatabaseError as error:
            self._kept.note(error, reader)
            return {}

    def _show(self, path: str, leaves: _Leaves, vectors: Mapping[bytes, KeyAndMemory]) -> None:
        chunks = tuple(overlay_chunk(path, chunk, digest, vectors.get(digest)) for digest, chunk in leaves)
        self.overlay = self.overlay.with_document(path, chunks)
