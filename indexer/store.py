"""The writing side of the cache: files, tree, nodes and vectors, in short transactions. The source of truth.

A node exists once per digest, whoever uses it. Its text is stored when a file is read, its vectors whenever they
are ready: what is alive and has no vectors is the list of work left, and survives a killed process. One thread writes;
other processes may write the same file, so nothing is remembered between transactions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.chunking import Chunk
from indexer.database import open_database
from indexer.hierarchy import CHUNK, FILE, Node, Vectors
from indexer.identifiers import terms

_MANY = 500  # parameters of one statement
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Stamp:
    """How a file looked when it was read: an equal size and time mean that it need not be read again."""

    size: int
    mtime_ns: int
    content: bytes


NO_STAMP = Stamp(0, 0, b"")


@dataclass(frozen=True)
class Place:
    """A node in a file or directory; lines are 1-based, 0 where there are none. `chunk` is given for leaves."""

    node: Node
    first_line: int = 0
    last_line: int = 0
    chunk: Chunk | None = None


@dataclass(frozen=True)
class Entry:
    """A file or directory: its places in order, its own node last; an empty file has none."""

    path: str
    level: str
    stamp: Stamp
    places: Sequence[Place]

    @property
    def parent(self) -> str | None:
        return self.path.rpartition("/")[0] if self.path else None


@dataclass(frozen=True)
class Pending:
    """A living node without vectors. `text` is what to embed of a leaf."""

    id: int
    digest: bytes
    text: str
    children: tuple[bytes, ...]


class Store:
    def __init__(self, folder: Path) -> None:
        self._db = open_database(folder)

    def close(self) -> None:
        self._db.close()

    # -- what is known ------------------------------------------------------------------------------------------

    def meta(self, name: str) -> object:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def stamps(self, below: str = "") -> dict[str, Stamp]:
        """Stored files at or under a path."""
        where, values = _at_or_under(below)
        rows = self._db.execute(f"SELECT path, size, mtime_ns, content FROM entries WHERE level = ? {where}", (FILE, *values))
        return {path: Stamp(size, mtime_ns, content) for path, size, mtime_ns, content in rows}

    def children(self, directory: str) -> list[Node]:
        """Nodes of the files and directories directly in a directory, in no promised order; empty files have none."""
        rows = self._db.execute(
            "SELECT n.digest, n.level, n.height FROM entries e JOIN nodes n ON n.id = e.node WHERE e.parent = ?",
            (directory,),
        )
        return [Node(digest, level, height) for digest, level, height in rows]

    def directories(self, level: str) -> set[str]:
        """Paths of the stored entries of a level."""
        return {path for (path,) in self._db.execute("SELECT path FROM entries WHERE level = ?", (level,))}

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
        shape = (-1, int(str(self.meta("d_memory") or 1)))
        query = "SELECT n.digest, m.memory FROM nodes n JOIN memories m ON m.id = n.id WHERE n.digest IN"
        return {
            digest: np.frombuffer(memory, np.float16).reshape(shape) for digest, memory in self._among(query, digests)
        }

    # -- what changes -------------------------------------------------------------------------------------------

    def follow_recipe(self, recipe: str) -> None:
        """Forget what was read under other chunking rules: every file then counts as changed."""
        if self.meta("recipe") != recipe:
            with self._transaction():
                self._db.execute("UPDATE entries SET mtime_ns = 0, content = x'' WHERE level = ?", (FILE,))
                self._set_meta({"recipe": recipe})

    def touch(self, stamps: Mapping[str, Stamp]) -> None:
        """New times of files whose content is the same."""
        with self._transaction():
            self._db.executemany(
                "UPDATE entries SET size = ?, mtime_ns = ? WHERE path = ?",
                [(stamp.size, stamp.mtime_ns, path) for path, stamp in stamps.items()],
            )

    def put(self, entries: Sequence[Entry], *, tree_stale: bool) -> int:
        """Insert or replace files or directories; how many of their chunks were known.

        `tree_stale`: the directories above do not match them yet.
        """
        if not entries:
            return 0
        places = [place for entry in entries for place in entry.places]
        with self._transaction():
            generation = self._next_generation(tree_stale)
            ids, inserted = self._node_ids(places)
            touched = set(ids.values())
            for entry in entries:
                touched |= self._put_entry(entry, ids)
            self._settle(touched, generation)
        return sum(place.chunk is not None for place in places) - inserted

    def remove(self, paths: Iterable[str], *, tree_stale: bool) -> None:
        """Drop files or directories; their nodes stay for a while."""
        paths = list(paths)
        if not paths:
            return
        with self._transaction():
            generation = self._next_generation(tree_stale)
            touched: set[int] = set()
            for (entry,) in self._among("SELECT id FROM entries WHERE path IN", paths):
                touched |= self._clear_places(entry)
                self._db.execute("DELETE FROM entries WHERE id = ?", (entry,))
            self._settle(touched, generation)

    def set_vectors(self, ids: Sequence[int], vectors: Vectors) -> None:
        """Vectors of nodes. Raises ValueError when their widths differ from those stored."""
        keys = np.ascontiguousarray(vectors.keys, np.float16)
        memories = np.ascontiguousarray(vectors.memories, np.float16)
        if len(keys) != len(ids) or len(memories) != len(ids):
            raise ValueError(f"{len(ids)} nodes, but {len(keys)} keys and {len(memories)} memories")
        with self._transaction():
            self._check_widths({"d_key": keys.shape[1], "m": memories.shape[1], "d_memory": memories.shape[2]})
            generation = self._next_generation(tree_stale=False)
            self._db.executemany(
                "INSERT OR REPLACE INTO keys VALUES (?, ?)", zip(ids, map(np.ndarray.tobytes, keys), strict=True)
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO memories VALUES (?, ?)", zip(ids, map(np.ndarray.tobytes, memories), strict=True)
            )
            self._db.executemany("UPDATE nodes SET embedded = 1, since = ? WHERE id = ?", [(generation, id) for id in ids])

    def settle_tree(self) -> None:
        """Directories match the files again."""
        if self.meta("tree_stale"):
            with self._transaction():
                self._set_meta({"tree_stale": 0})

    def set_skipped(self, skipped: Mapping[str, str], looked_at: Iterable[str]) -> None:
        """path -> reason of files left out. `looked_at`: files or directories seen whole; "" is the repository."""
        with self._transaction():
            for scope in looked_at:
                where, values = _at_or_under(scope)
                self._db.execute(f"DELETE FROM skipped WHERE 1 {where}", values)
            self._db.executemany("INSERT OR REPLACE INTO skipped VALUES (?, ?)", skipped.items())

    def collect_garbage(self, keep: int) -> int:
        """Delete the longest unused nodes beyond `keep`; how many. At most 5,000, to keep the transaction short."""
        dead = int(self._db.execute("SELECT count(*) FROM nodes WHERE alive = 0").fetchone()[0])
        if dead <= keep:
            return 0
        with self._transaction():
            oldest = "SELECT id FROM nodes WHERE alive = 0 ORDER BY since LIMIT ?"
            ids = [(id,) for (id,) in self._db.execute(oldest, (min(dead - keep, 5_000),))]
            for table, column in (("keys", "id"), ("memories", "id"), ("symbols", "node"), ("nodes", "id")):
                self._db.executemany(f"DELETE FROM {table} WHERE {column} = ?", ids)
        return len(ids)

    # -- inside a transaction -----------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _next_generation(self, tree_stale: bool) -> int:
        if tree_stale:
            self._set_meta({"tree_stale": 1})
        row = self._db.execute("UPDATE meta SET value = value + 1 WHERE name = 'generation' RETURNING value").fetchone()
        return int(row[0])

    def _set_meta(self, values: Mapping[str, object]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def _check_widths(self, widths: Mapping[str, int]) -> None:
        if self.meta("d_key") is None:
            self._set_meta(widths)
        stored = {name: self.meta(name) for name in widths}
        if stored != widths:
            raise ValueError(f"the embedder's vectors are {dict(widths)}, the store's {stored}: fingerprint not unique")

    def _node_ids(self, places: Sequence[Place]) -> tuple[dict[bytes, int], int]:
        """digest -> id of the places' nodes, inserted where new; how many chunks were."""
        wanted = {place.node.digest: place for place in places}
        ids: dict[bytes, int] = dict(self._among("SELECT digest, id FROM nodes WHERE digest IN", wanted))
        new = [place for digest, place in wanted.items() if digest not in ids]
        for place in new:
            ids[place.node.digest] = self._insert_node(place)
        leaves = [(ids[place.node.digest], place.chunk) for place in new if place.chunk]
        symbols = [(id, found.name, found.kind) for id, chunk in leaves for found in chunk.symbols]
        self._db.executemany("INSERT INTO symbols VALUES (?, ?, ?)", symbols)
        return ids, len(leaves)

    def _insert_node(self, place: Place) -> int:
        node, chunk = place.node, place.chunk
        texts = (chunk.scope, chunk.text.rstrip(), chunk.signature) if chunk else ("", "", "")
        cursor = self._db.execute(
            "INSERT INTO nodes(digest, level, height, children, scope, text, signature) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (node.digest, node.level, node.height, b"".join(node.children), *texts),
        )
        return int(cursor.lastrowid or 0)

    def _put_entry(self, entry: Entry, ids: Mapping[bytes, int]) -> set[int]:
        """Write one entry; the nodes it had before."""
        node = ids[entry.places[-1].node.digest] if entry.places else None
        row = self._db.execute(
            "INSERT INTO entries(path, parent, level, size, mtime_ns, content, node) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT(path) DO UPDATE SET parent = excluded.parent, level = excluded.level, size = excluded.size, "
            "mtime_ns = excluded.mtime_ns, content = excluded.content, node = excluded.node RETURNING id",
            (entry.path, entry.parent, entry.level, entry.stamp.size, entry.stamp.mtime_ns, entry.stamp.content, node),
        ).fetchone()
        before = self._clear_places(row[0])
        self._db.executemany(
            "INSERT INTO places VALUES (?, ?, ?, ?, ?)",
            [
                (row[0], ordinal, ids[place.node.digest], place.first_line, place.last_line)
                for ordinal, place in enumerate(entry.places)
            ],
        )
        return before

    def _clear_places(self, entry: int) -> set[int]:
        before = {node for (node,) in self._db.execute("SELECT node FROM places WHERE entry = ?", (entry,))}
        if before:
            self._db.execute("DELETE FROM places WHERE entry = ?", (entry,))
        return before

    def _settle(self, touched: Iterable[int], generation: int) -> None:
        """Let each node be alive exactly when some place uses it, and searchable by words exactly while it is."""
        query = (
            "SELECT id, level, scope, text, alive FROM nodes "
            "WHERE alive <> EXISTS (SELECT 1 FROM places WHERE node = nodes.id) AND id IN"
        )
        changed = list(self._among(query, touched))
        self._db.executemany(
            "UPDATE nodes SET alive = ?, since = ? WHERE id = ?", [(1 - row[4], generation, row[0]) for row in changed]
        )
        documents = [(row[0], " ".join(terms(f"{row[2]}\n{row[3]}")), row[4]) for row in changed if row[1] == CHUNK]
        born = [(id, words) for id, words, was_alive in documents if not was_alive]
        gone = [(id, words) for id, words, was_alive in documents if was_alive]
        self._db.executemany("INSERT INTO words(rowid, terms) VALUES (?, ?)", born)
        self._db.executemany("INSERT INTO words(words, rowid, terms) VALUES ('delete', ?, ?)", gone)

    def _among(self, query: str, values: Iterable[object]) -> Iterator[tuple]:
        """Rows of a query that ends in IN, over any number of values."""
        listed = list(values)
        for start in range(0, len(listed), _MANY):
            part = listed[start : start + _MANY]
            yield from self._db.execute(f"{query} ({','.join('?' * len(part))})", part).fetchall()


def _at_or_under(path: str) -> tuple[str, tuple[str, ...]]:
    # "0" is the character after "/": a range finds what is below without LIKE and its special characters.
    return ("AND (path = ? OR (path >= ? AND path < ?))", (path, path + "/", path + "0")) if path else ("", ())


def _split_digests(joined: bytes) -> tuple[bytes, ...]:
    return tuple(joined[start : start + _DIGEST_BYTES] for start in range(0, len(joined), _DIGEST_BYTES))
