"""Token ids of texts on disk, by content: opening a repository again tokenizes only what has changed since."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Collection, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np

from indexer.database import among

_log = logging.getLogger(__name__)
_SPARE = 1_000  # unused texts that may stay


class Tokenizer(Protocol):
    """Turns text into the generator's tokens."""

    @property
    def fingerprint(self) -> str:
        """Another tokenizer has another one."""

    def encode(self, text: str) -> list[int]: ...


def content_digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


class TokenCache:
    """Nothing in it is precious: what cannot be read or written is done without. One thread at a time."""

    def __init__(self, file: Path) -> None:
        self._db: sqlite3.Connection | None = None
        try:
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = _connect(file)
        except (OSError, sqlite3.Error) as error:
            _log.warning("tokens are not cached: %s", error)
            with suppress(OSError):
                file.unlink()

    def get(self, digests: Collection[bytes]) -> dict[bytes, np.ndarray]:
        """Token ids, int32 [n], of those that are known."""
        if self._db is None:
            return {}
        try:
            rows = list(among(self._db, "SELECT digest, ids FROM tokens WHERE digest IN", digests))
        except sqlite3.Error as error:
            self._give_up(error)
            return {}
        return {digest: np.frombuffer(ids, np.int32) for digest, ids in rows}

    def put(self, tokens: Mapping[bytes, np.ndarray]) -> None:
        if self._db is None or not tokens:
            return
        try:
            rows = [(digest, ids.astype(np.int32).tobytes()) for digest, ids in tokens.items()]
            with self._db:
                self._db.executemany("INSERT OR IGNORE INTO tokens VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def keep_only(self, digests: Collection[bytes]) -> None:
        """Forget other texts, once there are many."""
        if self._db is None:
            return
        try:
            known = {digest for (digest,) in self._db.execute("SELECT digest FROM tokens")}
            unused = known.difference(digests)
            if len(unused) > _SPARE + len(known) // 2:
                with self._db:
                    self._db.executemany("DELETE FROM tokens WHERE digest = ?", [(digest,) for digest in unused])
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _give_up(self, error: sqlite3.Error) -> None:
        _log.warning("tokens are no longer cached: %s", error)
        self.close()


def _connect(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=1.0, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")  # what a crash of the system loses is tokenized again
        db.execute("CREATE TABLE IF NOT EXISTS tokens(digest BLOB PRIMARY KEY, ids BLOB NOT NULL) WITHOUT ROWID")
        return db
    except sqlite3.Error:
        db.close()
        raise
