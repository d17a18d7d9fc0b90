"""The cache's SQLite file: where it lies, its schema, opening it, and setting a damaged one aside."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)

FORMAT_VERSION = 1
_BUSY_SECONDS = 30.0
_MANY = 500  # parameters of one statement

# nodes    one row per digest; kept for a while after nothing uses it (alive = 0), so that going back is free.
#          `since`: generation at which alive or embedded last changed, for processes that follow.
# places   which nodes a file or directory consists of: chunks, groups, and last its own node.
# words    one document of distinct identifier terms per living chunk; contentless, so deletes repeat the terms.
_SCHEMA = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE nodes(
    id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, level TEXT NOT NULL, height INTEGER NOT NULL,
    children BLOB NOT NULL, alive INTEGER NOT NULL DEFAULT 0, embedded INTEGER NOT NULL DEFAULT 0,
    since INTEGER NOT NULL DEFAULT 0, scope TEXT NOT NULL, text TEXT NOT NULL, signature TEXT NOT NULL);
CREATE INDEX nodes_since ON nodes(since);
CREATE INDEX nodes_pending ON nodes(height, id) WHERE alive = 1 AND embedded = 0;
CREATE INDEX nodes_living ON nodes(level, id) WHERE alive = 1;
CREATE INDEX nodes_dead ON nodes(since) WHERE alive = 0;
CREATE TABLE keys(id INTEGER PRIMARY KEY, key BLOB NOT NULL);
CREATE TABLE memories(id INTEGER PRIMARY KEY, memory BLOB NOT NULL);
CREATE TABLE entries(
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, parent TEXT, level TEXT NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, content BLOB NOT NULL, node INTEGER);
CREATE INDEX entries_parent ON entries(parent);
CREATE TABLE places(
    entry INTEGER NOT NULL, ordinal INTEGER NOT NULL, node INTEGER NOT NULL,
    first_line INTEGER NOT NULL, last_line INTEGER NOT NULL, PRIMARY KEY(entry, ordinal)) WITHOUT ROWID;
CREATE INDEX places_node ON places(node);
CREATE TABLE symbols(node INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL);
CREATE INDEX symbols_name ON symbols(name, node);
CREATE INDEX symbols_node ON symbols(node);
CREATE TABLE skipped(path TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(terms, content='', tokenize="unicode61 remove_diacritics 0 tokenchars '_'");
CREATE VIRTUAL TABLE words_count USING fts5vocab(words, row);
"""


def default_cache_dir(root: Path) -> Path:
    """The folder for one repository's caches, outside of it."""
    resolved = root.resolve()
    return cache_home() / f"{resolved.name or 'root'}-{_short_hash(str(resolved))}"


def cache_home() -> Path:
    """The folder for all caches: HEF_CACHE_DIR, else the user's cache folder."""
    named = os.environ.get("HEF_CACHE_DIR")
    if named:
        return Path(named)
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "hef-lsp"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hef-lsp"


def store_folder(cache_dir: Path, fingerprint: str) -> Path:
    """One folder per format version and embedder, so that vectors of another model are never read."""
    return cache_dir / f"v{FORMAT_VERSION}-{_short_hash(fingerprint)}"


def _short_hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()


class Database:
    """A connection for writing, with what every transaction needs. One thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._connection = open_database(folder)
        self.execute = self._connection.execute
        self.executemany = self._connection.executemany

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write-locks the file: keep it short, other processes wait."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def meta(self, name: str) -> object:
        row = self.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_meta(self, values: Mapping[str, object]) -> None:
        self.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def next_generation(self) -> int:
        row = self.execute("UPDATE meta SET value = value + 1 WHERE name = 'generation' RETURNING value").fetchone()
        return int(row[0])

    def among(self, query: str, values: Iterable[object]) -> Iterator[tuple[Any, ...]]:
        return among(self._connection, query, values)


def among(connection: sqlite3.Connection, query: str, values: Iterable[object]) -> Iterator[tuple[Any, ...]]:
    """Rows of a query that ends in IN, over any number of values."""
    listed = list(values)
    for start in range(0, len(listed), _MANY):
        part = listed[start : start + _MANY]
        yield from connection.execute(f"{query} ({','.join('?' * len(part))})", part).fetchall()


def open_database(folder: Path) -> sqlite3.Connection:
    """Open the store's file for writing, created if absent; one that cannot be read is set aside and begun anew.

    Raises OSError when the folder cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    try:
        return _open(folder)
    except sqlite3.DatabaseError as error:
        if "locked" in str(error) or "unable to open" in str(error):
            raise
        set_aside(folder, error)
        return _open(folder)


def connect(folder: Path) -> sqlite3.Connection:
    """Another connection to the same file; transactions are explicit."""
    connection = sqlite3.connect(
        database_path(folder), timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA synchronous = NORMAL")  # with WAL: a killed process loses nothing that was committed
    return connection


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether an error says that the file itself is broken; busy, full or misused raise subclasses."""
    return type(error) is sqlite3.DatabaseError


def database_path(folder: Path) -> Path:
    return folder / "store.sqlite"


def set_aside(folder: Path, error: Exception) -> None:
    """Move a damaged store out of the way; one is kept for a look, an older one is overwritten."""
    path = database_path(folder)
    _log.warning("index store %s is damaged (%s): set aside as %s.damaged and rebuilt", path.name, error, path.name)
    with suppress(FileNotFoundError):
        path.replace(path.with_suffix(".sqlite.damaged"))
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)


def _open(folder: Path) -> sqlite3.Connection:
    path = database_path(folder)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives -wal and -shm the mode of this file
    os.utime(path)  # see `caches`: stores that nobody opens are deleted after a while
    connection = connect(folder)
    try:
        _use_wal(connection)
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            _create(connection)
        connection.execute("COMMIT")
        _check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    # The busy timeout does not cover this switch when two processes make it at once.
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _create(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";\n"):
        connection.execute(statement)
    meta = {
        "format": FORMAT_VERSION,
        "store": uuid.uuid4().hex,
        "generation": 0,
        "tree_stale": 0,
        "recipe": "",
    }
    connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())


def _check(connection: sqlite3.Connection) -> None:
    row = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
    if row is None or row[0] != FORMAT_VERSION:
        raise sqlite3.DatabaseError("not a store of this version")
    connection.execute("SELECT count(*) FROM (SELECT 1 FROM nodes LIMIT 1)").fetchone()
    connection.execute("SELECT rowid FROM words WHERE words MATCH 'a' LIMIT 1").fetchone()
