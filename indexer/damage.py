"""What tells a broken cache from a busy or a full one, and the sums by which altered bytes are noticed.

SQLite keeps no checksums: a bit that flips in a text or a number is read as if it had been written. So rows carry sums,
checked wherever they are read, and what cannot be what was written is a DamagedError. Messages of SQLite may quote what
is stored: they are never logged, shown or raised further, only the names of their types.
"""

from __future__ import annotations

import errno
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The file may be sound, but cannot be used now.
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_CLOSED = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)
_FAILED = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT}
)
_PASSING = _LOCKED | _CLOSED | _FAILED
_FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SUM_BYTES = 4


class DamagedError(sqlite3.DatabaseError):
    """What was read from a cache is not what was written."""


class CacheError(OSError):
    """The cache cannot be used: `problem` and `step`, a sentence each, say why and what to do."""

    def __init__(self, problem: str, step: str) -> None:
        super().__init__(f"{problem} {step}")
        self.problem = problem
        self.step = step


def is_damage(error: Exception) -> bool:
    """Whether an error of the store says that its content is broken. Closed connections and files that are busy, full,
    unreadable or read-only are no damage."""
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.ProgrammingError):
        return False
    code = getattr(error, "sqlite_errorcode", None)  # Python's own, of text that is not UTF-8, have none
    return code is None or code & 0xFF not in _PASSING


def is_locked(error: sqlite3.Error) -> bool:
    """Whether another process is in the way."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED


@contextmanager
def reading() -> Iterator[None]:
    """Around everything that takes rows apart: what a broken row does to it is damage."""
    try:
        yield
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise DamagedError(type(error).__name__) from None


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Around work on a cache. Raises CacheError where SQLite cannot work on the file for reasons outside of it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None or code & 0xFF not in _PASSING:
            raise
        raise _cache_error(code & 0xFF, folder) from None


def cache_error(error: OSError, folder: Path) -> CacheError:
    """Why a folder or file of the cache could not be made or opened."""
    full = error.errno in _FULL_ERRORS
    return _cache_error(sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_CANTOPEN, folder)


def _cache_error(code: int, folder: Path) -> CacheError:
    if code in _LOCKED:
        return CacheError(f"Another process keeps the index {folder} locked.", "End it, or try again later.")
    if code == sqlite3.SQLITE_FULL:
        step = "Make room, or set HEF_CACHE_DIR to a folder on another disk."
        return CacheError(f"There is no room left for the index {folder}.", step)
    step = "Make it readable and writable, or set HEF_CACHE_DIR to a folder that is."
    return CacheError(f"The index {folder} cannot be read or written.", step)


def damaged_again(folder: Path) -> CacheError:
    return CacheError(
        f"The index {folder} was rebuilt and is damaged again.", "Check the disk, or delete the folder."
    )


def checksum(*values: object) -> int:
    """Of a row's numbers, texts and blobs, types included."""
    return zlib.crc32(repr(values).encode("utf-8", "surrogatepass"))


def check(stored: object, *values: object) -> None:
    """Raises DamagedError unless `stored` is the checksum of the values."""
    if stored != checksum(*values):
        raise DamagedError("checksum")


def seal(blob: bytes, owner: bytes) -> bytes:
    """A blob with its sum behind it; `owner` says whose it is, so that swapped ones are noticed."""
    return blob + zlib.crc32(blob, zlib.crc32(owner)).to_bytes(_SUM_BYTES, "little")


def unseal(sealed: object, owner: bytes) -> bytes:
    """The blob. Raises DamagedError where it is not the one that was sealed."""
    if not isinstance(sealed, bytes) or len(sealed) < _SUM_BYTES:
        raise DamagedError("no blob")
    blob, stored = sealed[:-_SUM_BYTES], int.from_bytes(sealed[-_SUM_BYTES:], "little")
    if zlib.crc32(blob, zlib.crc32(owner)) != stored:
        raise DamagedError("blob")
    return blob


def number(value: object) -> int:
    """A stored number. Raises DamagedError where there is none."""
    if not isinstance(value, int):
        raise DamagedError("no number")
    return value
