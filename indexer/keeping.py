"""The store of an open index: opened, looked after, and replaced by a new one when it is damaged."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from pathlib import Path

from indexer.chunking import cutting
from indexer.damage import CacheError, is_damage, usable
from indexer.database import Database, set_aside
from indexer.dense import DenseKeys
from indexer.reader import StoreReader
from indexer.secret_contents import SECRETS_VERSION
from indexer.settings import IndexSettings
from indexer.stats import NOTHING, IndexStats, bytes_in
from indexer.store import Store
from indexer.tending import check_words, has_traces, seal_words, verify, wipe
from indexer.vectors import VectorStore

_log = logging.getLogger(__name__)


class KeptStore:
    """Writer, reader and keys of one folder. `note` may be called from any thread, all else by one at a time."""

    def __init__(self, folder: Path, recipe: str, settings: IndexSettings) -> None:
        """`recipe`: the chunking rules; what was read under others counts as changed. Raises CacheError."""
        self._folder = folder
        self._recipe = recipe
        self._settings = settings
        self._closed = False
        self._words_are_sound: bool | None = None  # not known yet
        self.damage: Exception | None = None
        self.last_error = ""
        self._open()

    @property
    def must_reopen(self) -> bool:
        """Whether it is damaged, or was deleted or set aside by another process."""
        return self.damage is not None or self._db.is_replaced()

    def reopen(self) -> None:
        """Begin anew, or with what another process has begun."""
        self._db.close()
        self.reader.close()
        if self.damage and not self._db.is_replaced():
            set_aside(self._folder, self.damage)
        self._open()
        self.damage = None

    def note(self, error: sqlite3.DatabaseError, reader: StoreReader) -> None:
        """Remember what went wrong in that reader's store: damage waits for `reopen`, other troubles pass."""
        if reader is not self.reader:
            return  # that one is already replaced
        if is_damage(error):
            self.damage = error
        told = described(error)
        if told != self.last_error and not self._closed:  # keystrokes would repeat it
            _log.warning("the index cannot be read: %s", told)
        self.last_error = told

    def check_words(self) -> bool:
        """Whether the full-text index is known to be sound, looked at once, before it is changed. Raises DamagedError
        where it is not: it would be sealed as it is."""
        if self._words_are_sound is None:
            self._words_are_sound = check_words(self._db)
        return self._words_are_sound

    def verify(self) -> None:
        """Note damage anywhere in the store; see `tending.verify`."""
        try:
            with usable(self._folder):
                verify(self._db, words_are_sound=self.check_words())
            self._words_are_sound = True
        except sqlite3.DatabaseError as error:
            self.note(error, self.reader)

    def stats(self, busy: bool, embeds: bool) -> IndexStats:
        """What the store holds; `busy`: an update runs, `embeds`: nodes shall have vectors."""
        reader = self.reader
        try:
            return self._stats(reader, busy, embeds)
        except sqlite3.DatabaseError as error:
            self.note(error, reader)
            return IndexStats(
                **NOTHING, bytes=bytes_in(self._folder), last_error=self.last_error, folder=self._folder
            )

    def _stats(self, reader: StoreReader, busy: bool, embeds: bool) -> IndexStats:
        totals = reader.totals()
        unfinished = bool(totals["pending"] and embeds) or bool(reader.number("tree_stale"))
        states = {"indexing": busy, "incomplete": unfinished, "ready": totals["files"], "empty": True}
        return IndexStats(
            **totals,
            bytes=bytes_in(self._folder),
            generation=reader.generation(),
            state=next(state for state, is_so in states.items() if is_so),
            search=self.dense.kind,
            skipped=reader.skipped(),
            last_error=self.last_error,
            folder=self._folder,
            team=str(reader.meta("team") or ""),
        )

    @property
    def has_traces(self) -> bool:
        try:
            return self.damage is None and has_traces(self._db)
        except sqlite3.DatabaseError as error:
            self.note(error, self.reader)
            return False

    def wipe(self, *, whole: bool) -> None:
        """See `tending.wipe`. Raises CacheError where that must wait."""
        try:
            with usable(self._folder):
                sound = self.check_words()
                wipe(self._db, whole=whole)
                if sound:
                    seal_words(self._db)
        except sqlite3.DatabaseError as error:
            self.note(error, self.reader)

    def close(self) -> None:
        self._closed = True
        with suppress(sqlite3.Error):  # what cannot be saved is made again
            self.dense.save()
            if self.damage is None and self._words_are_sound:
                seal_words(self._db)
        self._db.close()
        self.reader.close()

    def _open(self) -> None:
        with usable(self._folder):
            try:
                self._connect()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._db.close()
                set_aside(self._folder, error)
                self._connect()

    def _connect(self) -> None:
        self._db = Database(self._folder)
        self._words_are_sound = None
        self.store = Store(self._db)
        self.store.follow_recipe(self._recipe)
        self.vectors = VectorStore(self._db)
        self.reader = StoreReader(self._folder)
        self.dense = DenseKeys(self._folder, self.reader, self._settings)


def recipe_of(settings: IndexSettings) -> str:
    """What decides how files are cut and which are secret."""
    cut = cutting(settings.chunk_max_lines, settings.chunk_max_chars)
    return f"{cut} {SECRETS_VERSION} {' '.join(settings.not_secret)}".rstrip()


def described(error: Exception) -> str:
    """An error without what it may quote of stored texts."""
    if isinstance(error, CacheError):
        return str(error)
    quotes = isinstance(error, (sqlite3.Error, UnicodeError, LookupError))
    return type(error).__name__ if quotes else f"{type(error).__name__}: {error}"
