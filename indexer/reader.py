"""The reading side of the cache, for searches: one connection, used by one thread at a time, beside a writer."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer.damage import check, number, reading
from indexer.database import among, connect
from indexer.files import is_utf8
from indexer.hierarchy import CHUNK, DIRECTORY, FILE, REPOSITORY
from indexer.vector_blobs import unsealed

_MANY_COUNTS = 50_000
_ALL = ""  # no term is empty
_SEEN = 8  # times as many as are wanted are looked at, for those that are equal

_Ranked = tuple[int, float]  # id of a node, how good it is: the less the better


@dataclass(frozen=True)
class Change:
    """A node that became searchable (key float16 [d_key]) or stopped being so (None)."""

    id: int
    level: str
    since: int
    key: np.ndarray | None


@dataclass(frozen=True)
class Location:
    """Where a node lies: lines 1-based and inclusive, 0 for what is no file."""

    path: str
    first_line: int
    last_line: int


@dataclass(frozen=True)
class Content:
    """What a node says. `memory`: float16 [m, d_memory]; [0, 0] when it has no vectors yet."""

    level: str
    scope: str
    text: str
    signature: str
    memory: np.ndarray


class StoreReader:
    """Every row is checked by its sum before it is used: what was altered on disk raises DamagedError."""

    def __init__(self, folder: Path) -> None:
        self._db = connect(folder)
        self._db.execute("PRAGMA query_only = ON")
        self._lock = threading.RLock()
        # counting a common term takes a millisecond, and keystrokes repeat them
        self._counts: dict[str, int] = {}
        self._counted_at = -1  # generation

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """One consistent view of the store for everything read inside; waits for other readers of this process."""
        with self._lock:
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                if self._db.in_transaction:
                    self._db.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, reading():
            yield

    # -- following the writer -----------------------------------------------------------------------------------

    def meta(self, name: str) -> object:
        with self._lock:
            row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def generation(self) -> int:
        return self.number("generation")

    def number(self, name: str) -> int:
        return number(self.meta(name))

    def changes(self, since: int, limit: int) -> list[Change]:
        """Nodes that changed after a generation, oldest first; a generation whole or not at all; about `limit`."""
        with self._reading():
            rows = self._db.execute(
                "SELECT n.id, n.digest, n.level, n.since, iif(n.alive, k.key, NULL) FROM nodes n "
                "LEFT JOIN keys k ON k.id = n.id "
                "WHERE n.since > ? AND n.since <= (SELECT max(since) FROM "
                "(SELECT since FROM nodes WHERE since > ? ORDER BY since LIMIT ?)) ORDER BY n.since",
                (since, since, limit),
            ).fetchall()
            shape = self._key_shape()
            return [
                Change(id, level, number(at), None if key is None else unsealed(key, digest, shape))
                for id, digest, level, at, key in rows
            ]

    def living(self, level: str) -> np.ndarray:
        """int64 ids of searchable nodes of a level, ascending."""
        with self._reading():
            rows = self._db.execute(
                "SELECT n.id FROM nodes n JOIN keys k ON k.id = n.id WHERE n.alive = 1 AND n.level = ? ORDER BY n.id",
                (level,),
            ).fetchall()
            return np.fromiter((id for (id,) in rows), np.int64, len(rows))

    def keys(self, ids: Sequence[int]) -> np.ndarray:
        """float16 [n, d_key] of ids that have keys, in their order."""
        query = "SELECT k.id, n.digest, k.key FROM keys k JOIN nodes n ON n.id = k.id WHERE k.id IN"
        with self._reading():
            shape = self._key_shape()
            found = {id: unsealed(key, digest, shape) for id, digest, key in self._among(query, ids)}
            return np.stack([found[id] for id in ids])

    def _key_shape(self) -> tuple[int, ...]:
        width = self.meta("d_key")
        return () if width is None else (number(width),)

    # -- finding ------------------------------------------------------------------------------------------------

    def document_counts(self, terms: Collection[str]) -> dict[str, int]:
        """In how many living chunks each term occurs; 0 for absent ones. Remembered until the store changes."""
        with self._reading():
            counts = self._remembered()
            unknown = [term for term in terms if term not in counts]
            found = dict(self._among("SELECT term, doc FROM words_count WHERE term IN", unknown))
            counts.update((term, number(found.get(term, 0))) for term in unknown)
            return {term: counts[term] for term in terms}

    def count_chunks(self) -> int:
        """How many living chunks there are, equal ones counted once."""
        with self._reading():
            counts = self._remembered()
            if _ALL not in counts:
                query = "SELECT count(*) FROM nodes WHERE alive = 1 AND level = ?"
                counts[_ALL] = int(self._db.execute(query, (CHUNK,)).fetchone()[0])
            return counts[_ALL]

    def _remembered(self) -> dict[str, int]:
        generation = self.generation()
        if generation != self._counted_at or len(self._counts) > _MANY_COUNTS:
            self._counts, self._counted_at = {}, generation
        return self._counts

    def lexical(self, terms: Sequence[str], limit: int) -> list[tuple[int, float]]:
        """Chunks with any of the terms by BM25: (id, score), higher is better; of equals those of the least digests."""
        wanted = " OR ".join(f'"{term}"' for term in terms)  # letters, digits and "_" only: see `identifiers`
        query = "SELECT rowid, rank FROM words WHERE words MATCH ? ORDER BY rank, rowid LIMIT ?"
        with self._reading():
            rows = self._db.execute(query, (wanted, _SEEN * limit)).fetchall()
            if len(rows) > limit and rows[limit - 1][1] == rows[limit][1]:
                rows = self._by_digest(rows, rows[limit][1], wanted)
        return [(id, -rank) for id, rank in rows[:limit]]

    def _by_digest(self, rows: list[_Ranked], rank: float, wanted: str) -> list[_Ranked]:
        """Rows whose equals at a rank are all there, in order of their digests, not of their ages."""
        better, equals = [row for row in rows if row[1] < rank], [id for id, at in rows if at == rank]
        if rows[-1][1] == rank:  # there may be more, which are as dear to find as all were
            query = "SELECT rowid FROM words WHERE words MATCH ? AND bm25(words) = ?"
            equals = [id for (id,) in self._db.execute(query, (wanted, rank))]
        digests = dict(self._among("SELECT id, digest FROM nodes WHERE id IN", equals))
        return better + [(id, rank) for id in sorted(equals, key=digests.__getitem__)]

    def definitions(self, names: Iterable[str], limit: int) -> list[tuple[str, int]]:
        """(name, id of a living chunk that defines it); names defined more than `limit` times are left out."""
        found: list[tuple[str, int]] = []
        with self._reading():
            for name in names:
                rows = self._db.execute(
                    "SELECT n.id FROM symbols s JOIN nodes n ON n.id = s.node "
                    "WHERE s.name = ? AND n.alive = 1 ORDER BY s.node LIMIT ?",
                    (name, limit + 1),
                ).fetchall()
                found += [(name, id) for (id,) in rows] if len(rows) <= limit else []
        return found

    def locations(self, ids: Iterable[int]) -> dict[int, list[Location]]:
        """Where nodes lie, in order of path."""
        query = (
            "SELECT p.entry, p.ordinal, p.node, p.first_line, p.last_line, p.crc, "
            "e.path, e.parent, e.level, e.content, e.node, e.crc FROM places p JOIN entries e ON e.id = p.entry "
            "WHERE p.node IN"
        )
        found: dict[int, list[Location]] = {}
        with self._reading():
            for row in self._among(query, ids):
                check(row[5], *row[:5])
                check(row[11], *row[6:11])
                found.setdefault(row[2], []).append(Location(row[6], row[3], row[4]))
        for places in found.values():
            places.sort(key=lambda place: (place.path, place.first_line))
        return found

    def entry_nodes(self, paths: Iterable[str]) -> dict[str, int]:
        """path of a file or directory -> id of its node."""
        query = (
            "SELECT path, parent, level, content, node, crc FROM entries WHERE node IS NOT NULL AND path IN"
        )
        known = [path for path in paths if is_utf8(path)]  # an open document may have any name
        found = {}
        with self._reading():
            for *entry, crc in self._among(query, known):
                check(crc, *entry)
                found[entry[0]] = entry[4]
        return found

    def contents(self, ids: Iterable[int]) -> dict[int, Content]:
        """id -> what a node says and its memory. Raises DamagedError where the store is not as it was written."""
        query = (
            "SELECT n.id, n.digest, n.level, n.height, n.children, n.crc, "
            "t.id, t.scope, t.text, t.signature, t.crc, m.memory FROM nodes n "
            "LEFT JOIN texts t ON t.id = n.id LEFT JOIN memories m ON m.id = n.id WHERE n.id IN"
        )
        found = {}
        with self._reading():
            shape = self._memory_shape()
            for row in self._among(query, ids):
                check(row[5], *row[1:5])
                is_chunk = row[2] == CHUNK
                if is_chunk:
                    check(row[10], *row[6:10])
                scope, text, signature = row[7:10] if is_chunk else ("", "", "")
                found[row[0]] = Content(row[2], scope, text, signature, _memory(row[11], row[1], shape))
        return found

    def vectors(self, digests: Iterable[bytes]) -> dict[bytes, tuple[np.ndarray, np.ndarray]]:
        """digest -> (key float16 [d_key], memory float16 [m, d_memory]), of those that have them."""
        query = (
            "SELECT n.digest, k.key, m.memory FROM nodes n JOIN keys k ON k.id = n.id JOIN memories m ON m.id = n.id "
            "WHERE n.digest IN"
        )
        with self._reading():
            shapes = self._key_shape(), self._memory_shape()
            return {
                digest: (unsealed(key, digest, shapes[0]), unsealed(memory, digest, shapes[1]))
                for digest, key, memory in self._among(query, digests)
            }

    def _memory_shape(self) -> tuple[int, int]:
        m, width = self.meta("m"), self.meta("d_memory")
        return (0, 0) if m is None or width is None else (number(m), number(width))

    def file_digests(self) -> dict[str, bytes]:
        """path -> digest of its bytes when it was read, of every file."""
        query = "SELECT path, parent, level, content, node, crc FROM entries WHERE level = ?"
        found = {}
        with self._reading():
            for *entry, crc in self._db.execute(query, (FILE,)):
                check(crc, *entry)
                found[entry[0]] = entry[3]
        return found

    # -- counting -----------------------------------------------------------------------------------------------

    def totals(self) -> dict[str, int]:
        """Files, directories, places of chunks, living nodes, and nodes without vectors."""
        count = "SELECT count(*) FROM "
        queries = {
            "files": (count + "entries WHERE level = ?", (FILE,)),
            "directories": (count + "entries WHERE level IN (?, ?)", (DIRECTORY, REPOSITORY)),
            "chunks": (count + "places p JOIN nodes n ON n.id = p.node WHERE n.level = ?", (CHUNK,)),
            "nodes": (count + "nodes WHERE alive = 1", ()),
            "pending": (count + "nodes WHERE alive = 1 AND embedded = 0", ()),
        }
        with self._reading():
            return {name: number(self._db.execute(*query).fetchone()[0]) for name, query in queries.items()}

    def skipped(self) -> dict[str, tuple[str, ...]]:
        """reason -> paths left out, as of the last look at them."""
        found: dict[str, list[str]] = {}
        with self._reading():
            for path, reason in self._db.execute("SELECT path, reason FROM skipped ORDER BY reason, path"):
                found.setdefault(reason, []).append(path)
        return {reason: tuple(paths) for reason, paths in found.items()}

    def _among(self, query: str, values: Iterable[object]) -> Iterator[tuple[Any, ...]]:
        return among(self._db, query, values)


def _memory(blob: object, digest: bytes, shape: tuple[int, int]) -> np.ndarray:
    return np.zeros((0, 0), np.float16) if blob is None else unsealed(blob, digest, shape)
