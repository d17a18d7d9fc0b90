"""Vectors of nodes in the cache: which are missing, writing them, and forgetting those that nothing uses any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.database import Database
from indexer.hierarchy import DIGEST_BYTES, Vectors


@dataclass(frozen=True)
class Pending:
    """A living node without vectors. `text` is what to embed of a leaf."""

    id: int
    digest: bytes
    text: str
    children: tuple[bytes, ...]


class VectorStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    def count_pending(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM nodes WHERE alive = 1 AND embedded = 0").fetchone()[0])

    def pending(self, height: int, after: int, limit: int) -> list[Pending]:
        """Living nodes of one height without vectors and with an id above `after`, in order of id."""
        rows = self._db.execute(
            "SELECT id, digest, scope, text, children FROM nodes "
            "WHERE alive = 1 AND embedded = 0 AND height = ? AND id > ? ORDER BY id LIMIT ?",
            (height, after, limit),
        )
        return [
            Pending(id, digest, f"{scope}\n{text}" if scope else text, _split_digests(children))
            for id, digest, scope, text, children in rows
        ]

    def pending_range(self, height: int) -> tuple[int, int]:
        """Smallest and largest id that `pending` would give; (0, 0) for none."""
        query = "SELECT min(id), max(id) FROM nodes WHERE alive = 1 AND embedded = 0 AND height = ?"
        first, last = self._db.execute(query, (height,)).fetchone()
        return first or 0, last or 0

    def pending_heights(self) -> list[int]:
        rows = self._db.execute("SELECT DISTINCT height FROM nodes WHERE alive = 1 AND embedded = 0 ORDER BY height")
        return [height for (height,) in rows]

    def memories(self, digests: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """digest -> float16 [m, d_memory], of those that have one."""
        shape = (-1, int(str(self._db.meta("d_memory") or 1)))
        query = "SELECT n.digest, m.memory FROM nodes n JOIN memories m ON m.id = n.id WHERE n.digest IN"
        return {
            digest: np.frombuffer(memory, np.float16).reshape(shape)
            for digest, memory in self._db.among(query, digests)
        }

    def set_vectors(self, ids: Sequence[int], vectors: Vectors) -> None:
        """Vectors of nodes. Raises ValueError when their widths differ from those stored."""
        keys = np.ascontiguousarray(vectors.keys, np.float16)
        memories = np.ascontiguousarray(vectors.memories, np.float16)
        if len(keys) != len(ids) or len(memories) != len(ids):
            raise ValueError(f"{len(ids)} nodes, but {len(keys)} keys and {len(memories)} memories")
        with self._db.transaction():
            self._check_widths({"d_key": keys.shape[1], "m": memories.shape[1], "d_memory": memories.shape[2]})
            generation = self._db.next_generation()
            self._db.executemany(
                "INSERT OR REPLACE INTO keys VALUES (?, ?)",
                zip(ids, map(np.ndarray.tobytes, keys), strict=True),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO memories VALUES (?, ?)",
                zip(ids, map(np.ndarray.tobytes, memories), strict=True),
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
            for table, column in (("keys", "id"), ("memories", "id"), ("symbols", "node"), ("nodes", "id")):
                self._db.executemany(f"DELETE FROM {table} WHERE {column} = ?", ids)
        return len(ids)

    def _check_widths(self, widths: Mapping[str, int]) -> None:
        if self._db.meta("d_key") is None:
            self._db.set_meta(widths)
        stored = {name: self._db.meta(name) for name in widths}
        if stored != widths:
            raise ValueError(f"the embedder's vectors are {dict(widths)}, the store's {stored}: fingerprint not unique")


def _split_digests(joined: bytes) -> tuple[bytes, ...]:
    return tuple(joined[start : start + DIGEST_BYTES] for start in range(0, len(joined), DIGEST_BYTES))
