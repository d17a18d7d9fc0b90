"""Vectors of nodes in the cache: which are missing, writing them, and forgetting those that nothing uses any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from indexer.damage import check, reading
from indexer.database import Database
from indexer.hierarchy import CHUNK, DIGEST_BYTES, Vectors
from indexer.vector_blobs import sealed, unsealed


@dataclass(frozen=True)
class MissingNode:
    """A living node without vectors. `text` is what to embed of a leaf."""

    id: int
    digest: bytes
    text: str
    children: tuple[bytes, ...]


class VectorStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    def count_pending(self) -> int:
        return int(
            self._db.execute("SELECT count(*) FROM nodes WHERE alive = 1 AND embedded = 0").fetchone()[0]
        )

    def pending(self, height: int, after: int, limit: int) -> list[MissingNode]:
        """Living nodes of one height without vectors and with an id above `after`, in order of id."""
        rows = self._db.execute(
            "SELECT n.id, n.digest, n.level, n.height, n.children, n.crc, t.id, t.scope, t.text, t.signature, t.crc "
            "FROM nodes n LEFT JOIN texts t ON t.id = n.id "
            "WHERE n.alive = 1 AND n.embedded = 0 AND n.height = ? AND n.id > ? ORDER BY n.id LIMIT ?",
            (height, after, limit),
        )
        return [_pending(row[0], row[1:6], row[6:]) for row in rows]

    def pending_ids(self) -> dict[bytes, int]:
        """digest -> id of every living node without vectors."""
        rows = self._db.execute("SELECT digest, id FROM nodes WHERE alive = 1 AND embedded = 0")
        return dict(rows.fetchall())

    def missing(self, ids: Iterable[int]) -> list[MissingNode]:
        """Those of some nodes that still have no vectors, as `pending` gives them, in no promised order."""
        query = (
            "SELECT n.id, n.digest, n.level, n.height, n.children, n.crc, t.id, t.scope, t.text, t.signature, t.crc "
            "FROM nodes n LEFT JOIN texts t ON t.id = n.id WHERE n.alive = 1 AND n.embedded = 0 AND n.id IN"
        )
        return [_pending(row[0], row[1:6], row[6:]) for row in self._db.among(query, ids)]

    def living(self) -> dict[bytes, int]:
        """digest -> id of every living node that has its vectors, in the order of the digests."""
        rows = self._db.execute(
            "SELECT digest, id FROM nodes WHERE alive = 1 AND embedded = 1 ORDER BY digest"
        )
        return dict(rows.fetchall())

    def note_team(self, sentence: str) -> None:
        """Remember what is to be said of the vectors that others computed."""
        if self._db.meta("team") != sentence:
            with self._db.transaction():
                self._db.set_meta({"team": sentence})

    def pending_range(self, height: int) -> tuple[int, int]:
        """Smallest and largest id that `pending` would give; (0, 0) for none."""
        query = "SELECT min(id), max(id) FROM nodes WHERE alive = 1 AND embedded = 0 AND height = ?"
        first, last = self._db.execute(query, (height,)).fetchone()
        return first or 0, last or 0

    def pending_heights(self) -> list[int]:
        rows = self._db.execute(
            "SELECT DISTINCT height FROM nodes WHERE alive = 1 AND embedded = 0 ORDER BY height"
        )
        return [height for (height,) in rows]

    def memories(self, digests: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """digest -> float16 [m, d_memory], of those that have one."""
        query = "SELECT n.digest, m.memory FROM nodes n JOIN memories m ON m.id = n.id WHERE n.digest IN"
        with reading():
            rows = list(self._db.among(query, digests))
            shape = (self._db.number("m"), self._db.number("d_memory")) if rows else (0, 0)
            return {digest: unsealed(memory, digest, shape) for digest, memory in rows}

    def vectors(self, digests: Sequence[bytes]) -> Vectors:
        """Of nodes that have them, in this order. Raises DamagedError, also where one is not there."""
        query = (
            "SELECT n.digest, k.key, m.memory FROM nodes n JOIN keys k ON k.id = n.id JOIN memories m ON m.id = n.id "
            "WHERE n.digest IN"
        )
        with reading():
            d_key, m, d_memory = (self._db.number(name) for name in ("d_key", "m", "d_memory"))
            found = {digest: row for digest, *row in self._db.among(query, digests)}
            keys = [unsealed(found[digest][0], digest, (d_key,)) for digest in digests]
            memories = [unsealed(found[digest][1], digest, (m, d_memory)) for digest in digests]
            return Vectors(np.stack(keys), np.stack(memories))

    def set_vectors(self, ids: Sequence[int], vectors: Vectors) -> None:
        """Vectors of nodes. Raises ValueError when their widths differ from those stored."""
        keys = np.ascontiguousarray(vectors.keys, np.float16)
        memories = np.ascontiguousarray(vectors.memories, np.float16)
        if len(keys) != len(ids) or len(memories) != len(ids):
            raise ValueError(f"{len(ids)} nodes, but {len(keys)} keys and {len(memories)} memories")
        with self._db.transaction():
            self._check_widths(
                {"d_key": keys.shape[1], "m": memories.shape[1], "d_memory": memories.shape[2]}
            )
            generation = self._db.next_generation()
            digests: dict[int, bytes] = dict(self._db.among("SELECT id, digest FROM nodes WHERE id IN", ids))
            for table, rows in (("keys", keys), ("memories", memories)):
                self._db.executemany(
                    f"INSERT OR REPLACE INTO {table} VALUES (?, ?)",
                    [
                        (id, sealed(row, digests[id]))
                        for id, row in zip(ids, rows, strict=True)
                        if id in digests
                    ],
                )
            self._db.executemany(
                "UPDATE nodes SET embedded = 1, since = ? WHERE id = ?", [(generation, id) for id in ids]
            )

    def collect_garbage(self, keep: int) -> int:
        """Delete the longest unused nodes beyond `keep`; how many. At most 5,000, to keep the transaction short."""
        dead = int(self._db.execute("SELECT count(*) FROM nodes WHERE alive = 0").fetchone()[0])
        if dead <= keep:
            return 0
        with self._db.transaction():
            oldest = "SELECT id FROM nodes WHERE alive = 0 ORDER BY since LIMIT ?"
            ids = [(id,) for (id,) in self._db.execute(oldest, (min(dead - keep, 5_000),))]
            for table, column in (("keys", "id"), ("memories", "id"), ("nodes", "id")):
                self._db.executemany(f"DELETE FROM {table} WHERE {column} = ?", ids)
        return len(ids)

    def _check_widths(self, widths: Mapping[str, int]) -> None:
        if self._db.meta("d_key") is None:
            self._db.set_meta(widths)
        stored = {name: self._db.meta(name) for name in widths}
        if stored != widths:
            self._check_stored()
            raise ValueError(
                f"the embedder's vectors are {dict(widths)}, the store's {stored}: fingerprint not unique"
            )

    def _check_stored(self) -> None:
        """Raises DamagedError where it is the stored widths that are wrong."""
        joined = "keys k JOIN nodes n ON n.id = k.id JOIN memories m ON m.id = k.id"
        for digest, key, memory in self._db.execute(
            f"SELECT n.digest, k.key, m.memory FROM {joined} LIMIT 1"
        ):
            unsealed(key, digest, (self._db.number("d_key"),))
            unsealed(memory, digest, (self._db.number("m"), self._db.number("d_memory")))


def _pending(id: int, node: Sequence[Any], text: Sequence[Any]) -> MissingNode:
    *told, crc = node
    check(crc, *told)
    if told[1] != CHUNK:
        return MissingNode(id, told[0], "", _split_digests(told[3]))
    *said, crc = text
    check(crc, *said)
    return MissingNode(id, told[0], f"{said[1]}\n{said[2]}" if said[1] else said[2], ())


def _split_digests(joined: bytes) -> tuple[bytes, ...]:
    return tuple(joined[start : start + DIGEST_BYTES] for start in range(0, len(joined), DIGEST_BYTES))
