"""The blocks of one repository and one coder on disk, as packed rows (`packing.py`).

No text and no path is stored: a block is named by the digest of what was read, and belongs to a digest of its file's
path. Each blob carries a sum over itself and its name, so that rows are the ones that were put, or none.

`get` may be called beside everything else and waits for no writer. What changes the file may be called from any thread
and is done in short pieces, one at a time.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.blocks.file import BlockFile
from model.blocks.packing import Packing

_SUM_BYTES = 4
# SQLite keeps up to a page of a blob in its tree, where copies of what moved survive its deletion; what lies behind has
# pages of its own, which are overwritten when they are freed. So a blob begins with a page of nothing.
_EMPTY = bytes(4096)
_MANY = 500  # parameters of one statement
_PIECE = 32  # blocks that one transaction deletes


class BlockStore:
    """Nothing here raises because of the disk: what cannot be read is not there, what cannot be written is lost, and
    what cannot be deleted takes the whole file with it."""

    def __init__(self, folder: Path, coder: str, packing: Packing) -> None:
        """`folder`: exists and is private; `coder`: the coder's fingerprint, of which 16 hex digits name the file."""
        self._file = BlockFile(folder / f"blocks-{coder[:16]}.sqlite3", f"1-{packing}")
        self._packing = packing
        self._used: set[bytes] = set()  # since the last change

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def n_bytes(self) -> int:
        """What it takes on disk."""
        return self._file.n_bytes

    def get(self, digests: Iterable[bytes]) -> dict[bytes, memoryview]:
        """Packed rows of those that are there."""
        wanted, found = list(digests), {}

        def look(connection: sqlite3.Connection) -> None:
            query = "SELECT digest, sealed FROM blocks JOIN rows USING (id) WHERE digest IN"
            for digest, sealed in _among(connection, query, wanted):
                found[digest] = self._unsealed(digest, sealed)

        self._file.read(look)
        self.touch(found)
        return found

    def touch(self, digests: Iterable[bytes]) -> None:
        """They were used now; noted with the next change."""
        self._used.update(digests)

    def put(self, path: str, blocks: Mapping[bytes, bytes]) -> None:
        """Packed rows by digest, made of the text of a file of the repository. What is there already stays.

        Raises ValueError on rows of another packing.
        """
        for packed in blocks.values():
            self._packing.n_rows(len(packed))
        owner = _owner(path)

        def insert(connection: sqlite3.Connection) -> None:
            self._note_used(connection)
            for digest, packed in blocks.items():
                values = (digest, owner, time.time_ns())
                cursor = connection.execute(
                    "INSERT OR IGNORE INTO blocks(digest, owner, used) VALUES (?, ?, ?)", values
                )
                if cursor.rowcount:
                    sealed = _EMPTY + packed + _sum(digest, packed)
                    connection.execute("INSERT INTO rows VALUES (?, ?)", (cursor.lastrowid, sealed))

        self._file.change(insert)

    def drop(self, paths: Iterable[str]) -> None:
        """The blocks of these files go, every byte of them."""
        owners = [_owner(path) for path in paths]
        self._remove(
            lambda connection: [
                id for (id,) in _among(connection, "SELECT id FROM blocks WHERE owner IN", owners)
            ]
        )

    def retain(self, paths: Iterable[str]) -> None:
        """The blocks of all other files go."""
        query, kept = "SELECT id, owner FROM blocks", {_owner(path) for path in paths}
        self._remove(lambda connection: [id for id, owner in connection.execute(query) if owner not in kept])

    def shrink(self, n_bytes: int) -> None:
        """The least recently used go until it takes no more than this on disk (some pages aside)."""
        if self.n_bytes > n_bytes:
            self._remove(lambda connection: _oldest(connection, n_bytes))
            self._file.give_back_room()

    def close(self) -> None:
        self._file.change(self._note_used)
        self._file.close()

    def _remove(self, chosen: Callable[[sqlite3.Connection], list[int]]) -> None:
        left = True

        def remove(connection: sqlite3.Connection) -> None:
            nonlocal left
            self._note_used(connection)
            piece = [(id,) for id in chosen(connection)[:_PIECE]]
            connection.executemany("DELETE FROM rows WHERE id = ?", piece)
            connection.executemany("DELETE FROM blocks WHERE id = ?", piece)
            left = bool(piece)

        while left:
            left = False
            self._file.remove(remove)
        self._file.leave_no_traces()

    def _note_used(self, connection: sqlite3.Connection) -> None:
        used, self._used = self._used, set()
        now = time.time_ns()
        connection.executemany(
            "UPDATE blocks SET used = ? WHERE digest = ?", [(now, digest) for digest in used]
        )

    def _unsealed(self, digest: bytes, sealed: bytes) -> memoryview:
        """Raises ValueError unless it is what was put under this digest."""
        packed = memoryview(sealed)[len(_EMPTY) : -_SUM_BYTES]
        if sealed[-_SUM_BYTES:] != _sum(digest, packed):
            raise ValueError("sum")
        self._packing.n_rows(len(packed))
        return packed


def _oldest(connection: sqlite3.Connection, n_bytes: int) -> list[int]:
    """So many of the least recently used that the rest fits."""
    (pages,), (free,), (size,) = (
        connection.execute(f"PRAGMA {name}").fetchone()
        for name in ("page_count", "freelist_count", "page_size")
    )
    excess, ids = (pages - free) * size - n_bytes, []
    query = f"SELECT id, length(sealed) FROM blocks JOIN rows USING (id) ORDER BY used, id LIMIT {_PIECE}"
    for id, length in connection.execute(query):
        if excess <= 0:
            break
        ids.append(id)
        excess -= length
    return ids


def _among(connection: sqlite3.Connection, query: str, values: Sequence[bytes]) -> Iterator[tuple[Any, ...]]:
    """Rows of a query that ends in IN, over any number of values."""
    for start in range(0, len(values), _MANY):
        part = values[start : start + _MANY]
        yield from connection.execute(f"{query} ({','.join('?' * len(part))})", part)


def _owner(path: str) -> bytes:
    return hashlib.sha256(path.encode("utf-8", "surrogatepass")).digest()[:16]


def _sum(digest: bytes, packed: bytes | memoryview) -> bytes:
    return zlib.crc32(packed, zlib.crc32(digest)).to_bytes(_SUM_BYTES, "little")
