"""Token ids of texts on disk, by content: opening a repository again tokenizes only what has changed since."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np

from indexer.damage import DamagedError, is_damage, reading, seal, unseal
from indexer.database import among

_log = logging.getLogger(__name__)
_HAS_TRACES = (
    "PRAGMA user_version"  # a number that SQLite keeps for whoever owns the file: 1 from deleting to wiping
)


class Tokenizer(Protocol):
    """Turns text into the generator's tokens."""

    @property
    def fingerprint(self) -> str:
        """Another tokenizer has another one."""

    def encode(self, text: str) -> list[int]: ...


def content_digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


class TokenCaches:
    """Those of one folder, a file per tokenizer. What is forgotten is forgotten in each, whoever reads it now: the text
    is gone for all of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._caches = {file.name: TokenCache(file) for file in sorted(folder.glob("tokens-*.sqlite"))}

    def of(self, tokenizer: Tokenizer) -> TokenCache:
        name = f"tokens-{blake2b(tokenizer.fingerprint.encode(), digest_size=6).hexdigest()}.sqlite"
        if name not in self._caches:
            self._caches[name] = TokenCache(self._folder / name)
        return self._caches[name]

    def keep_only(self, digests: Collection[bytes]) -> None:
        """Forget other texts."""
        for cache in self._caches.values():
            cache.keep_only(digests)

    @property
    def has_traces(self) -> bool:
        """Whether tokens of forgotten texts may still be found in a file."""
        return any(cache.has_traces for cache in self._caches.values())

    def wipe(self) -> None:
        for cache in self._caches.values():
            cache.wipe()

    def close(self) -> None:
        for cache in self._caches.values():
            cache.close()


class TokenCache:
    """Nothing in it is precious: what cannot be read or written is done without. Any thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.RLock()  # around the database
        self._db: sqlite3.Connection | None = None
        self._open()

    def get(self, digests: Collection[bytes]) -> dict[bytes, np.ndarray]:
        """Token ids, int32 [n], of those that are known; a damaged row is not."""
        found: dict[bytes, np.ndarray] = {}

        def look(db: sqlite3.Connection) -> None:
            for digest, ids in among(db, "SELECT digest, ids FROM tokens WHERE digest IN", digests):
                with reading(), suppress(DamagedError):
                    found[digest] = np.frombuffer(unseal(ids, digest), np.int32)

        self._try(look)
        return found

    def put(self, tokens: Mapping[bytes, np.ndarray]) -> None:
        rows = [(digest, seal(ids.astype(np.int32).tobytes(), digest)) for digest, ids in tokens.items()]
        if rows:
            self._try(lambda db: db.executemany("INSERT OR REPLACE INTO tokens VALUES (?, ?)", rows))

    def keep_only(self, digests: Collection[bytes]) -> None:
        """Forget other texts."""

        def forget(db: sqlite3.Connection) -> None:
            unused = {digest for (digest,) in db.execute("SELECT digest FROM tokens")}.difference(digests)
            if unused:
                db.execute(f"{_HAS_TRACES} = 1")
                db.executemany("DELETE FROM tokens WHERE digest = ?", [(digest,) for digest in unused])

        self._try(forget)

    @property
    def has_traces(self) -> bool:
        """Whether forgotten texts may still be found in the file."""
        traces = [0]
        self._try(lambda db: traces.append(db.execute(_HAS_TRACES).fetchone()[0]))
        return bool(traces[-1])

    def wipe(self) -> None:
        """Let nothing be left in the file of texts that were forgotten."""

        def rewrite(db: sqlite3.Connection) -> None:
            db.execute("VACUUM")  # deleting alone leaves copies of what has moved within the file
            busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                db.execute(f"{_HAS_TRACES} = 0")

        if self.has_traces:
            self._try(rewrite)

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _open(self) -> None:
        try:
            os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
            self._file.chmod(0o600)
            self._db = _connect(self._file)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def _try(self, work: Callable[[sqlite3.Connection], object]) -> None:
        with self._lock:
            if self._db is None:
                return
            try:
                with reading():
                    work(self._db)
            except sqlite3.Error as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Do without it for now; a damaged one is deleted, so that the next session begins anew."""
        _log.warning("tokens are no longer cached: %s", type(error).__name__)
        self.close()
        if is_damage(error):
            for tail in ("", "-wal", "-shm"):
                with suppress(OSError):
                    self._file.with_name(self._file.name + tail).unlink()


def _connect(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=1.0, check_same_thread=False, isolation_level=None)
    try:
        with reading():
            db.execute("PRAGMA secure_delete = ON")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")  # what a crash of the system loses is tokenized again
            db.execute(
                "CREATE TABLE IF NOT EXISTS tokens(digest BLOB PRIMARY KEY, ids BLOB NOT NULL) WITHOUT ROWID"
            )
        return db
    except sqlite3.Error:
        db.close()
        raise
