"""The cache's SQLite file: its schema, opening it, and setting a damaged one aside."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from indexer.cache_folder import FORMAT_VERSION, make_private
from indexer.damage import DamagedError, cache_error, is_damage, is_locked, number, reading

_log = logging.getLogger(__name__)

_BUSY_SECONDS = 30.0
_FOLD_MS = 500  # that readers are waited for
_MANY = 500  # parameters of one statement

# nodes    one row per digest; kept for a while after nothing uses it (alive = 0), so that going back is free.
#          `since`: generation at which alive or embedded last changed, for processes that follow.
# texts    what living chunks say. With their symbols and words it goes as soon as nothing uses them; vectors stay.
# places   which nodes a file or directory consists of: chunks, groups, and last its own node.
# words    one document of distinct identifier terms per living chunk; contentless, so deletes repeat the terms.
# crc      sum over the row's other columns but those that are updated in place; keys and memories carry theirs inside.
_SCHEMA = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE nodes(
    id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, level TEXT NOT NULL, height INTEGER NOT NULL,
    children BLOB NOT NULL, alive INTEGER NOT NULL DEFAULT 0, embedded INTEGER NOT NULL DEFAULT 0,
    since INTEGER NOT NULL DEFAULT 0, crc INTEGER NOT NULL);
CREATE INDEX nodes_since ON nodes(since);
CREATE INDEX nodes_pending ON nodes(height, id) WHERE alive = 1 AND embedded = 0;
CREATE INDEX nodes_living ON nodes(level, id) WHERE alive = 1;
CREATE INDEX nodes_dead ON nodes(since) WHERE alive = 0;
CREATE TABLE texts(
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, text TEXT NOT NULL, signature TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE keys(id INTEGER PRIMARY KEY, key BLOB NOT NULL);
CREATE TABLE memories(id INTEGER PRIMARY KEY, memory BLOB NOT NULL);
CREATE TABLE entries(
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, parent TEXT, level TEXT NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, content BLOB NOT NULL, node INTEGER,
    crc INTEGER NOT NULL);
CREATE INDEX entries_parent ON entries(parent);
CREATE TABLE places(
    entry INTEGER NOT NULL, ordinal INTEGER NOT NULL, node INTEGER NOT NULL, first_line INTEGER NOT NULL,
    last_line INTEGER NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY(entry, ordinal)) WITHOUT ROWID;
CREATE INDEX places_node ON places(node);
CREATE TABLE symbols(node INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE INDEX symbols_name ON symbols(name, node);
CREATE INDEX symbols_node ON symbols(node);
CREATE TABLE skipped(path TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(terms, content='', tokenize="unicode61 remove_diacritics 0 tokenchars '_'");
CREATE VIRTUAL TABLE words_count USING fts5vocab(words, row);
"""


class Database:
    """A connection for writing, with what every transaction needs. One thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._path = database_path(folder)
        self._connection = open_database(folder)
        self._inode = self._path.stat().st_ino
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
            self.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk has ended it already
                self.execute("ROLLBACK")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One consistent view for everything read inside; nobody waits for it."""
        self.execute("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self.execute("ROLLBACK")

    def meta(self, name: str) -> object:
        row = self.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def number(self, name: str) -> int:
        return number(self.meta(name))

    def set_meta(self, values: Mapping[str, object]) -> None:
        self.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def next_generation(self) -> int:
        generation = self.number("generation") + 1
        self.set_meta({"generation": generation})
        return generation

    def fold_log(self) -> bool:
        """Move what was written into the file itself and empty the log, which keeps what was overwritten. Whether that
        went: somebody who reads may be in the way."""
        self.execute(f"PRAGMA busy_timeout = {_FOLD_MS}")
        try:
            busy, _, _ = self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy
        finally:
            self.execute(f"PRAGMA busy_timeout = {int(1_000 * _BUSY_SECONDS)}")

    def is_replaced(self) -> bool:
        """Whether the file was deleted or set aside by somebody else since it was opened."""
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    @property
    def size(self) -> int:
        return self._path.stat().st_size

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
    Raises CacheError when the folder cannot be written."""
    make_private(folder)
    try:
        return _open(folder)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        set_aside(folder, error)
        return _open(folder)
    except OSError as error:
        raise cache_error(error, folder) from None


@reading()  # what SQLite says of a damaged schema quotes it, and may be no text
def connect(folder: Path) -> sqlite3.Connection:
    """Another connection to the same file; transactions are explicit."""
    connection = sqlite3.connect(
        database_path(folder), timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute(
        "PRAGMA synchronous = NORMAL"
    )  # with WAL: a killed process loses nothing that was committed
    return connection


def database_path(folder: Path) -> Path:
    return folder / "store.sqlite"


def set_aside(folder: Path, error: Exception) -> None:
    """Move a damaged store out of the way until another one is built."""
    path = database_path(folder)
    name = type(error).__name__  # and no more: the message may quote what is stored
    _log.warning(
        "index store %s is damaged (%s): set aside as %s and rebuilt", path.name, name, _aside(path).name
    )
    with suppress(FileNotFoundError):
        path.replace(_aside(path))
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)


def forget_damaged(folder: Path) -> None:
    """Delete what was set aside: it holds texts."""
    _aside(database_path(folder)).unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    return path.with_suffix(".sqlite.damaged")


@reading()
def _open(folder: Path) -> sqlite3.Connection:
    path = database_path(folder)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)  # whatever the umask; SQLite gives -wal and -shm the mode of this file
    os.utime(path)  # see `caches`: stores that nobody opens are deleted after a while
    connection = connect(folder)
    try:
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
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
            if not is_locked(error) or time.monotonic() > deadline:
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
        **dict.fromkeys(("removed", "wiped", "rewritten"), 0),  # generations: see `tending`
        "recipe": "",
    }
    connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())


def _check(connection: sqlite3.Connection) -> None:
    row = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
    if row is None or row[0] != FORMAT_VERSION:
        raise DamagedError("not a store of this version")
    connection.execute("SELECT count(*) FROM (SELECT 1 FROM nodes LIMIT 1)").fetchone()
    connection.execute("SELECT rowid FROM words WHERE words MATCH 'a' LIMIT 1").fetchone()
