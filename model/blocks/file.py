"""The file that blocks lie in: SQLite, opened, read and changed such that what happens to it is no error above.

What is in it can be computed again. So a file that is damaged, or that cannot be rid of what must go, is deleted and
begun anew; where there is no disk to write to, it is as if nothing were kept. Each is told once, without what SQLite
says: its messages may quote what is stored.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_log = logging.getLogger(__name__)

Work = Callable[[sqlite3.Connection], object]

_READER_SECONDS = 0.2  # that somebody else's lock is waited for: nobody locks readers out but while closing
_WRITER_SECONDS = 2.0
_PAUSE_SECONDS = 60.0  # without writing, after it failed
_LOG_PAGES = 1_000
# The file may be sound, but cannot be used now. Everything else that SQLite raises is taken for damage.
_PASSING = frozenset(
    {
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN),
        *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR),
        *(sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT),
    }
)
# What a connection, or taking its rows apart, raises.
_TROUBLES = (sqlite3.Error, OSError, MemoryError, ValueError, TypeError, LookupError, OverflowError)

# blocks  `owner`: digest of the path of the file whose text it is; no path is stored. `used`: when last, ns.
# rows    one blob per block, see `store`.
_SCHEMA = """
CREATE TABLE meta(form TEXT NOT NULL);
CREATE TABLE blocks(
    id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, owner BLOB NOT NULL, used INTEGER NOT NULL);
CREATE INDEX blocks_owner ON blocks(owner);
CREATE INDEX blocks_used ON blocks(used);
CREATE TABLE rows(id INTEGER PRIMARY KEY, sealed BLOB NOT NULL)
"""


class BlockFile:
    """Two connections to one file: reading never waits for writing. Each may be used from any thread, by one at a
    time. Other processes may use the file too."""

    def __init__(self, path: Path, form: str) -> None:
        """`form`: what the rows must look like; a file with others is begun anew."""
        self.path = path
        self._form = form
        self._reading, self._writing = threading.Lock(), threading.Lock()  # taken in the other order, if both
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._inode = 0
        self._damaged = self._has_traces = False
        self._resume = 0.0
        self._told: set[str] = set()
        with self._writing:
            self._open()

    @property
    def n_bytes(self) -> int:
        """What the file takes on disk, its log included."""
        return sum(file.stat().st_size for file in self._files() if file.exists())

    def read(self, work: Work) -> None:
        """Do it with the reading connection, as far as that goes."""
        with self._reading:
            if self._reader is None or self._damaged:
                return
            try:
                work(self._reader)
            except _TROUBLES as error:
                self._damaged = _is_damage(error)
                if not self._damaged:
                    self._tell("cannot be read", error)

    def change(self, work: Work) -> None:
        """Do it in one transaction: all of it or nothing."""
        with self._writing:
            if time.monotonic() >= self._resume:
                self._change(work)

    def remove(self, work: Work) -> None:
        """As `change`, for what must go: where that fails, the whole file does."""
        with self._writing:
            if self._writer is None:
                return
            if self._change(work):
                self._has_traces = True
            else:
                self._begin_anew()

    def leave_no_traces(self) -> None:
        """After `remove`: nor does the log keep what went. Somebody who reads may be in the way; then that is left to
        the next call."""
        with self._writing:
            if self._has_traces and self._writer is not None:
                self._guarded(self._fold_log)

    def give_back_room(self) -> None:
        """Of what was removed, to the disk. It costs as much as writing what lies at the file's end."""
        with self._writing:
            if self._writer is not None:
                self._guarded(_vacuum)
                self._guarded(self._fold_log)

    def close(self) -> None:
        self.leave_no_traces()
        with self._writing:
            self._disconnect()

    # -- with the lock for writing --------------------------------------------------------------------------------

    def _change(self, work: Work) -> bool:
        if self._damaged or self._is_replaced():
            self._reopen()
        return self._writer is not None and self._guarded(
            lambda connection: _in_transaction(connection, work)
        )

    def _guarded(self, work: Work) -> bool:
        """Whether it went well; if not, it has been seen to."""
        if self._writer is None:
            return False
        try:
            work(self._writer)
        except _TROUBLES as error:
            if _is_damage(error):
                self._tell("is damaged and begun anew", error)
                self._begin_anew()
            else:
                self._tell("cannot be written", error)
                self._resume = time.monotonic() + _PAUSE_SECONDS
            return False
        return True

    def _fold_log(self, connection: sqlite3.Connection) -> None:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._has_traces = bool(busy)

    def _reopen(self) -> None:
        if self._damaged:
            self._tell("is damaged and begun anew", None)
        if self._damaged and not self._is_replaced():
            self._begin_anew()
        else:  # another process has begun it anew
            self._disconnect()
            self._open()

    def _begin_anew(self) -> None:
        self._disconnect()
        try:
            for file in self._files():
                file.unlink(missing_ok=True)
        except OSError as error:
            self._tell("cannot be deleted", error)
            return
        self._open()

    def _open(self) -> None:
        """Connect; without a disk there are no connections from now on."""
        try:
            try:
                self._connect()
            except _TROUBLES as error:
                if not _is_damage(error):
                    raise
                self._tell("is damaged and begun anew", error)
                self._disconnect()
                for file in self._files():
                    file.unlink(missing_ok=True)
                self._connect()
        except _TROUBLES as error:
            self._tell("cannot be opened", error)
            self._disconnect()

    def _connect(self) -> None:
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        self.path.chmod(0o600)  # whatever the umask; SQLite gives the log the mode of this file
        self._writer = _connection(self.path, _WRITER_SECONDS)
        _prepare(self._writer, self._form)
        with self._reading:
            self._reader = _connection(self.path, _READER_SECONDS)
            self._damaged = False
        self._inode = self.path.stat().st_ino
        self._resume = 0.0

    def _disconnect(self) -> None:
        with self._reading:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    with suppress(sqlite3.Error):  # what cannot be saved is made again
                        connection.close()
            self._reader = self._writer = None

    def _is_replaced(self) -> bool:
        try:
            return self._writer is not None and self.path.stat().st_ino != self._inode
        except OSError:
            return True

    def _files(self) -> list[Path]:
        return [self.path.with_name(self.path.name + tail) for tail in ("", "-wal", "-shm")]

    def _tell(self, what: str, error: Exception | None) -> None:
        if what not in self._told:  # every keystroke would repeat it
            reason = f" ({type(error).__name__})" if error else ""
            _log.warning("the file of blocks %s %s%s", self.path.name, what, reason)
        self._told.add(what)


def _is_damage(error: Exception) -> bool:
    if isinstance(error, OSError | MemoryError):
        return False
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _PASSING


def _connection(path: Path, seconds: float) -> sqlite3.Connection:
    # Not mapped into memory: a file that is cut short by others while it is would end the process.
    return sqlite3.connect(path, timeout=seconds, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection, form: str) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # holds for a file that is new
    connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
    # A killed process loses nothing that was committed; a power cut may, and what it damages is noticed and made again.
    connection.execute("PRAGMA synchronous = OFF")
    _use_wal(connection)
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    with _transaction(connection):
        if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute("INSERT INTO meta VALUES (?)", (form,))
    if connection.execute("SELECT form FROM meta").fetchall() != [(form,)]:
        raise ValueError("other rows")


def _use_wal(connection: sqlite3.Connection) -> None:
    # SQLite's own waiting does not cover this switch when two processes make it at once.
    deadline = time.monotonic() + _WRITER_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if _is_damage(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _vacuum(connection: sqlite3.Connection) -> None:
    connection.executescript("PRAGMA incremental_vacuum")  # `execute` ends it after the first page


def _in_transaction(connection: sqlite3.Connection, work: Work) -> None:
    with _transaction(connection):
        work(connection)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise
