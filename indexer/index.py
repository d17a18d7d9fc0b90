"""Index: one repository's files as vectors, words and names, kept up to date and searched.

`update` may be called from any thread, one run at a time; `search`, `overlay` and `stats` from any thread beside it.
Several processes may hold the same repository: they share the store and follow each other by its generation number.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from indexer.cache_folder import default_cache_dir, store_folder
from indexer.caches import delete_unused, remember_project
from indexer.damage import damaged_again, is_damage, usable
from indexer.database import forget_damaged
from indexer.dense import DenseKeys
from indexer.embedding import Embedding
from indexer.hierarchy import Embedder
from indexer.keeping import KeptStore, described, recipe_of
from indexer.line_index import LineIndex
from indexer.mirrors import Mirrors
from indexer.open_chunks import OpenChunks
from indexer.progress import IndexStage, Listener, Progress, StoppedError, UpdateReport, never, nobody
from indexer.query import Hit, Query
from indexer.reader import StoreReader
from indexer.retrieval import Search
from indexer.rules import Rules
from indexer.settings import DEFAULT_INDEX, DEFAULT_RETRIEVAL, IndexSettings, RetrievalSettings
from indexer.sharing import TakingIn, TeamVectors
from indexer.stats import IndexStats, report_of
from indexer.suffix_index import SuffixIndex
from indexer.token_cache import Tokenizer
from indexer.updating import Update


class Index:
    """See `open`. Owns the store's writer and reader, and the vectors in memory."""

    def __init__(
        self,
        root: Path,
        embedder: Embedder | None,
        folder: Path,
        settings: IndexSettings,
        retrieval: RetrievalSettings,
        tokenizer: Tokenizer | None,
        on_packages: Callable[[bool], None] | None,
        team: TeamVectors | None,
    ) -> None:
        self.root, self.folder = root, folder  # of the repository, of its store
        self._embedder, self._team = embedder, team
        self._fingerprint = embedder.fingerprint if embedder else ""
        self._settings, self._retrieval = settings, retrieval
        self._updating = threading.Lock()
        self._closed = False
        self._kept = KeptStore(folder, recipe_of(settings), settings)
        remember_project(folder.parent, root)
        self.mirrors = Mirrors(root, folder, tokenizer, settings, on_packages)
        self._open = OpenChunks(root, embedder, settings, self._kept, self.mirrors)

    @classmethod
    def open(
        cls,
        root: Path,
        embedder: Embedder | None,
        cache_dir: Path | None = None,
        settings: IndexSettings = DEFAULT_INDEX,
        retrieval: RetrievalSettings = DEFAULT_RETRIEVAL,
        tokenizer: Tokenizer | None = None,
        on_packages: Callable[[bool], None] | None = None,
        team: TeamVectors | None = None,
    ) -> Index:
        """Open or create the index of a repository; cheap, reads no source file and no vector.

        Without an embedder there are words and names to search, and no vectors; without a tokenizer no `tokens`;
        without `on_packages` no `packages`: it hears from another thread whether they are being read; without a `team`
        no vectors but its own. Raises CacheError when the cache cannot be written or another process keeps it locked.
        """
        fingerprint = embedder.fingerprint if embedder else ""
        folder = store_folder(cache_dir or default_cache_dir(root), fingerprint)
        return cls(root.resolve(), embedder, folder, settings, retrieval, tokenizer, on_packages, team)

    @property
    def tokens(self) -> SuffixIndex:
        """Every indexed file as the generator's tokens, open documents as they are; filled by `update`."""
        return self.mirrors.tokens

    @property
    def lines(self) -> LineIndex:
        """The same files as lines."""
        return self.mirrors.lines

    @property
    def packages(self) -> SuffixIndex | None:
        """What is installed and imported, as tokens, if opened with `on_packages`."""
        return self.mirrors.packages

    def close(self) -> None:
        """Save what is only in memory and let go of the files; waits for a running update. Twice is once."""
        with self._updating:
            if self._closed:
                return
            self._closed = True
            self._kept.close()
            self.mirrors.close()

    # -- bringing up to date ------------------------------------------------------------------------------------

    def update(
        self,
        paths: Iterable[Path] | None = None,
        *,
        progress: Callable[[Progress], None] = nobody,
        cancelled: Callable[[], bool] = never,
    ) -> UpdateReport:
        """Bring files or directories (None: the whole repository) up to date with the disk; absent ones are dropped.

        Stops between two small commits when `cancelled`; the next run goes on from there. What the embedder raises
        comes through, with everything before it kept. A damaged store is rebuilt. Raises CacheError where it cannot be
        written.
        """
        with self._updating:
            listed = None if paths is None else list(paths)
            try:
                if self._kept.must_reopen:
                    listed = None
                    self._kept.reopen()
                return self._run(listed, progress, cancelled)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._kept.note(error, self._reader)
                self._kept.reopen()
            try:
                return self._run(None, progress, cancelled)
            except sqlite3.DatabaseError as error:
                raise damaged_again(self.folder) if is_damage(error) else error from None

    def _run(
        self, paths: list[Path] | None, progress: Callable[[Progress], None], cancelled: Callable[[], bool]
    ) -> UpdateReport:
        listener = Listener(progress, cancelled, self._dense.follow_sometimes)
        started, stopped = time.perf_counter(), False
        if not self.mirrors.has_followed:
            # What is known need not wait until all folders are looked at; but the rules may be newer.
            excludes = Rules(self.root, self._settings).excludes
            self.mirrors.follow(self.files(), listener.goes_on(IndexStage.OPENING), excludes)
        update = Update(self.root, self._kept.store, self._fingerprint, self._settings, listener)
        embedding = self._embedding(listener)
        try:
            with usable(self.folder):
                self._kept.check_words()
                update.run(paths)
                self.mirrors.follow(self.files(), listener.goes_on(IndexStage.TOKENIZING))
                self._kept.store.set_skipped(self.mirrors.maps.problems, ())
                listener.check()
                if embedding:
                    embedding.run()
                self._kept.vectors.collect_garbage(self._settings.keep_vanished)
            self._kept.last_error = ""
        except StoppedError:
            stopped = True
        except Exception as error:
            self._kept.last_error = described(error)
            raise
        finally:
            self._dense.follow()
        self._dense.tidy(listener.goes_on(IndexStage.ARRANGING))
        if paths is None:
            delete_unused(self.folder, self._settings.keep_caches_days)
            if not stopped:
                forget_damaged(self.folder)
        return report_of(update, embedding, self._reader.totals(), stopped, time.perf_counter() - started)

    def _embedding(self, listener: Listener) -> Embedding | None:
        vectors, embedder = self._kept.vectors, self._embedder
        if embedder is None:
            return None
        taking = TakingIn(self._team, vectors, embedder, self.folder, listener)
        texts, known = self._settings.batch_texts, self._open.overlay.vectors()
        return Embedding(vectors, embedder, texts, known, listener, taking)

    # -- open documents -----------------------------------------------------------------------------------------

    def overlay(self, path: Path, text: str | None) -> UpdateReport:
        """An open document's text beats the disk in this process, and is never written to the store; None: closed.

        Embeds only chunks known neither to the store nor to open documents. Files that the index leaves out (outside,
        ignored, secret, too large) are left out here as well, and links to them; other links count as their file.
        """
        return self._open.put(path, text)

    def files(self) -> dict[str, bytes]:
        """path -> digest of its bytes, of every indexed file. Raises sqlite3.DatabaseError from a damaged store."""
        return self._reader.file_digests()

    # -- searching ----------------------------------------------------------------------------------------------

    def search(self, query: Query, k: int = 8, settings: RetrievalSettings | None = None) -> list[Hit]:
        """Up to k nodes that help at a cursor, best first (`retrieval`), and signatures of imported packages among them
        (`package_headers`). [] from a damaged store."""
        if self.is_damaged:
            return []
        reader = self._reader
        try:
            if query.key is not None:
                self._dense.glance()
            asked, maps = settings or self._retrieval, self.mirrors.maps
            with reader.snapshot():
                hits = Search(query, reader, self._dense, self._open.overlay, asked, maps).run(k)
            return self.mirrors.with_packages(hits, query, asked.packages)
        except sqlite3.DatabaseError as error:
            self._kept.note(error, reader)
            return []

    def stats(self) -> IndexStats:
        """What the index holds now; nothing when the store is damaged, as `last_error` says then."""
        stats = self._kept.stats(self._updating.locked(), self._embedder is not None)
        return replace(stats, team=f"{stats.team} {self.mirrors.package_problem}".strip())

    # -- the store ----------------------------------------------------------------------------------------------

    @property
    def is_damaged(self) -> bool:
        """Whether the store was found damaged: it is rebuilt by the next `update`, whatever its paths."""
        return self._kept.damage is not None

    def verify(self) -> bool:
        """Read the whole store: whether all of it is what was written. Some seconds for a large one."""
        with self._updating:
            self._kept.verify()
        return not self.is_damaged

    @property
    def has_traces(self) -> bool:
        """Whether text that was deleted may still be found in the cache's files."""
        return self.mirrors.has_traces or self._kept.has_traces

    def wipe(self, *, whole: bool = False) -> None:
        """Let nothing of deleted text be left in the cache's files, but vectors. `whole`: however long it takes.

        Raises CacheError where that must wait.
        """
        with self._updating:
            self.mirrors.wipe()
            self._kept.wipe(whole=whole)

    @property
    def _reader(self) -> StoreReader:
        return self._kept.reader

    @property
    def _dense(self) -> DenseKeys:
        return self._kept.dense
