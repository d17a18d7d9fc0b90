"""The reading side of the cache, for searches: one connection, used by one thread at a time, beside a writer."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer.database import among, connect
from indexer.hierarchy import CHUNK, DIRECTORY, FILE, REPOSITORY

_MANY_COUNTS = 50_000
_ALL = ""  # no term is empty


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


class Reader:
    def __init__(self, folder: Path) -> None:
        self._db = connect(folder)
        self._lock = threading.RLock()
        self._counts: dict[str, int] = {}  # counting a common term takes a millisecond, and keystrokes repeat them
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
                self._db.execute("COMMIT")

    # -- following the writer -----------------------------------------------------------------------------------

    def meta(self, name: str) -> object:
        with self._lock:
            row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def generation(self) -> int:
        return int(str(self.meta("generation")))

    def changes(self, since: int, limit: int) -> list[Change]:
        """Nodes that changed after a generation, oldest first; a generation whole or not at all; about `limit`."""
        with self._lock:
            rows = self._db.execute(
                "SELECT n.id, n.level, n.since, iif(n.alive, k.key, NULL) FROM nodes n LEFT JOIN keys k ON k.id = n.id "
                "WHERE n.since > ? AND n.since <= (SELECT max(since) FROM "
                "(SELECT since FROM nodes WHERE since > ? ORDER BY since LIMIT ?)) ORDER BY n.since",
                (since, since, limit),
            ).fetchall()
        return [
            Change(id, level, at, None if key is None else np.frombuffer(key, np.float16))
            for id, level, at, key in rows
        ]

    def living(self, level: str) -> np.ndarray:
        """int64 ids of searchable nodes of a level, ascending."""
        with self._lock:
            rows = self._db.execute(
                "SELECT n.id FROM nodes n JOIN keys k ON k.id = n.id WHERE n.alive = 1 AND n.level = ? ORDER BY n.id",
                (level,),
            ).fetchall()
        return np.fromiter((id for (id,) in rows), np.int64, len(rows))

    def keys(self, ids: Sequence[int]) -> np.ndarray:
        """float16 [n, d_key] of ids that have keys, in their order."""
        with self._lock:
            found: dict[int, bytes] = dict(self._among("SELECT id, key FROM keys WHERE id IN", ids))
        return np.frombuffer(b"".join(found[id] for id in ids), np.float16).reshape(len(ids), -1)

    # -- finding ------------------------------------------------------------------------------------------------

    def document_counts(self, terms: Collection[str]) -> dict[str, int]:
        """In how many living chunks each term occurs; 0 for absent ones. Remembered until the store changes."""
        with self._lock:
            counts = self._remembered()
            unknown = [term for term in terms if term not in counts]
            counts.update(dict.fromkeys(unknown, 0))
            counts.update(dict(self._among("SELECT term, doc FROM words_count WHERE term IN", unknown)))
            return {term: counts[term] for term in terms}

    def count_chunks(self) -> int:
        """How many living chunks there are, equal ones counted once."""
        with self._lock:
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
        """Chunks with any of the terms by BM25: (id, score), higher is better."""
        wanted = " OR ".join(f'"{term}"' for term in terms)
        with self._lock:
            rows = self._db.execute(
                "SELECT rowid, rank FROM words WHERE words MATCH ? ORDER BY rank, rowid LIMIT ?",
                (wanted, limit),
            ).fetchall()
        return [(id, -rank) for id, rank in rows]

    def definitions(self, names: Iterable[str], limit: int) -> list[tuple[str, int]]:
        """(name, id of a living chunk that defines it); names defined more than `limit` times are left out."""
        found: list[tuple[str, int]] = []
        with self._lock:
            for name in names:
                rows = self._db.execute(
                    "SELECT s.name, s.node FROM symbols s JOIN nodes n ON n.id = s.node "
                    "WHERE s.name = ? AND n.alive = 1 ORDER BY s.node LIMIT ?",
                    (name, limit + 1),
                ).fetchall()
                found += rows if len(rows) <= limit else []
        return found

    def locations(self, ids: Iterable[int]) -> dict[int, list[Location]]:
        """Where nodes lie, in order of path."""
        query = (
            "SELECT p.node, e.path, p.first_line, p.last_line FROM places p JOIN entries e ON e.id = p.entry "
            "WHERE p.node IN"
        )
        found: dict[int, list[Location]] = {}
        with self._lock:
            for node, path, first_line, last_line in self._among(query, ids):
                found.setdefault(node, []).append(Location(path, first_line, last_line))
        for places in found.values():
            places.sort(key=lambda place: (place.path, place.first_line))
        return found

    def entry_nodes(self, paths: Iterable[str]) -> dict[str, int]:
        """path of a file or directory -> id of its node."""
        with self._lock:
            return dict(self._among("SELECT path, node FROM entries WHERE node IS NOT NULL AND path IN", paths))

    def contents(self, ids: Iterable[int]) -> dict[int, Content]:
        width = int(str(self.meta("d_memory") or 0))
        query = (
            "SELECT n.id, n.level, n.scope, n.text, n.signature, m.memory FROM nodes n "
            "LEFT JOIN memories m ON m.id = n.id WHERE n.id IN"
        )
        with self._lock:
            rows = list(self._among(query, ids))
        return {
            id: Content(level, scope, text, signature, _memory(memory, width))
            for id, level, scope, text, signature, memory in rows
        }

    def vectors(self, digests: Iterable[bytes]) -> dict[bytes, tuple[np.ndarray, np.ndarray]]:
        """digest -> (key float16 [d_key], memory float16 [m, d_memory]), of those that have them."""
        query = (
            "SELECT n.digest, k.key, m.memory FROM nodes n JOIN keys k ON k.id = n.id JOIN memories m ON m.id = n.id "
            "WHERE n.digest IN"
        )
        with self._lock:
            width = int(str(self.meta("d_memory") or 0))
            rows = list(self._among(query, digests))
        return {digest: (np.frombuffer(key, np.float16), _memory(memory, width)) for digest, key, memory in rows}

    def file_digests(self) -> dict[str, bytes]:
        """path -> digest of its bytes when it was read, of every file."""
        with self._lock:
            return dict(self._db.execute("SELECT path, content FROM entries WHERE level = ?", (FILE,)))

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
        with self._lock:
            return {name: int(self._db.execute(*query).fetchone()[0]) for name, query in queries.items()}

    def skipped(self) -> dict[str, tuple[str, ...]]:
        """reason -> paths left out, as of the last look at them."""
        found: dict[str, list[str]] = {}
        with self._lock:
            for path, reason in self._db.execute("SELECT path, reason FROM skipped ORDER BY reason, path"):
                found.setdefault(reason, []).append(path)
        return {reason: tuple(paths) for reason, paths in found.items()}

    def _among(self, query: str, values: Iterable[object]) -> Iterator[tuple[Any, ...]]:
        return among(self._db, query, values)


def _memory(blob: bytes | None, width: int) -> np.ndarray:
    if blob is None or width == 0:
        return np.zeros((0, 0), np.float16)
    return np.frombuffer(blob, np.float16).reshape(-1, width)
