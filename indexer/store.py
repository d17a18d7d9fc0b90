"""The writing side of the cache: files, directories and their nodes, in short transactions. The source of truth.

A node exists once per digest, whoever uses it. Its text is stored when a file is read and goes when no file has it any
more; its vectors come whenever they are ready, and stay for a while: what is alive and has no vectors is the list of
work left, and survives a killed process. One thread writes; other processes may write the same file, so nothing is
remembered between transactions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from indexer.chunking import Chunk
from indexer.damage import check, checksum, reading
from indexer.database import Database
from indexer.entries import Entry, NodePlace, Stamp
from indexer.hierarchy import CHUNK, FILE, Node
from indexer.identifiers import terms


class Store:
    def __init__(self, db: Database) -> None:
        self._db = db

    # -- what is known ------------------------------------------------------------------------------------------

    @property
    def tree_stale(self) -> bool:
        """Whether some directories may not match the files below them: the last run was cut short."""
        return bool(self._db.number("tree_stale"))

    def stamps(self, below: str = "") -> dict[str, Stamp]:
        """Stored files at or under a path."""
        where, values = _at_or_under(below)
        query = (
            "SELECT path, parent, level, content, node, crc, size, mtime_ns, ctime_ns, inode FROM entries "
            f"WHERE level = ? {where}"
        )
        found = {}
        for path, parent, level, content, node, crc, size, mtime_ns, ctime_ns, inode in self._db.execute(
            query, (FILE, *values)
        ):
            check(crc, path, parent, level, content, node)
            found[path] = Stamp(size, mtime_ns, ctime_ns, inode, content)
        return found

    def children(self, directory: str) -> list[Node]:
        """Nodes of the files and directories directly in a directory, in no promised order; empty files have none."""
        rows = self._db.execute(
            "SELECT n.digest, n.level, n.height, n.children, n.crc FROM entries e JOIN nodes n ON n.id = e.node "
            "WHERE e.parent = ?",
            (directory,),
        )
        found = []
        for *node, crc in rows:
            check(crc, *node)
            found.append(Node(*node[:3]))
        return found

    def directories(self, level: str) -> set[str]:
        """Paths of the stored entries of a level."""
        found = set()
        query = "SELECT path, parent, level, content, node, crc FROM entries WHERE level = ?"
        for *entry, crc in self._db.execute(query, (level,)):
            check(crc, *entry)
            found.add(entry[0])
        return found

    # -- what changes -------------------------------------------------------------------------------------------

    def follow_recipe(self, recipe: str) -> None:
        """Forget what was read under other chunking rules: every file then counts as changed."""
        if self._db.meta("recipe") == recipe:
            return
        with self._db.transaction():
            for id, path, parent, level, node in self._db.execute(
                "SELECT id, path, parent, level, node FROM entries WHERE level = ?", (FILE,)
            ).fetchall():
                crc = checksum(path, parent, level, b"", node)
                query = "UPDATE entries SET mtime_ns = 0, content = x'', crc = ? WHERE id = ?"
                self._db.execute(query, (crc, id))
            self._db.set_meta({"recipe": recipe})

    def touch(self, stamps: Mapping[str, Stamp]) -> None:
        """New times of files whose content is the same."""
        with self._db.transaction():
            self._db.executemany(
                "UPDATE entries SET size = ?, mtime_ns = ?, ctime_ns = ?, inode = ? WHERE path = ?",
                [(new.size, new.mtime_ns, new.ctime_ns, new.inode, path) for path, new in stamps.items()],
            )

    def put(self, entries: Sequence[Entry]) -> int:
        """Insert or replace files or directories; how many of their chunks were known.

        The directories above do not match them until `settle_tree`.
        """
        if not entries:
            return 0
        places = [place for entry in entries for place in entry.places]
        with reading(), self._db.transaction():
            generation = self._begin()
            ids, inserted = self._node_ids(places)
            touched = set(ids.values())
            for entry in entries:
                touched |= self._put_entry(entry, ids)
            chunks = {ids[place.node.digest]: place.chunk for place in places if place.chunk}
            self._settle(touched, chunks, generation)
        return sum(place.chunk is not None for place in places) - inserted

    def remove(self, paths: Iterable[str]) -> None:
        """Drop files or directories; their vectors stay for a while."""
        paths = list(paths)
        if not paths:
            return
        with reading(), self._db.transaction():
            generation = self._begin()
            touched: set[int] = set()
            for (entry,) in self._db.among("SELECT id FROM entries WHERE path IN", paths):
                touched |= self._clear_places(entry)
                self._db.execute("DELETE FROM entries WHERE id = ?", (entry,))
            self._settle(touched, {}, generation)

    def settle_tree(self) -> None:
        """Directories match the files again."""
        if self.tree_stale:
            with self._db.transaction():
                self._db.set_meta({"tree_stale": 0})

    def set_skipped(self, skipped: Mapping[str, str], looked_at: Collection[str]) -> None:
        """path -> reason of files left out. `looked_at`: files or directories seen whole; "" is the repository."""
        if not skipped and not looked_at:
            return
        with self._db.transaction():
            for scope in looked_at:
                where, values = _at_or_under(scope)
                self._db.execute(f"DELETE FROM skipped WHERE 1 {where}", values)
            self._db.executemany("INSERT OR REPLACE INTO skipped VALUES (?, ?)", skipped.items())

    # -- inside a transaction -----------------------------------------------------------------------------------

    def _begin(self) -> int:
        self._db.set_meta({"tree_stale": 1})
        return self._db.next_generation()

    def _node_ids(self, places: Sequence[NodePlace]) -> tuple[dict[bytes, int], int]:
        """digest -> id of the places' nodes, inserted where new; how many chunks were."""
        wanted = {place.node.digest: place for place in places}
        ids: dict[bytes, int] = dict(self._db.among("SELECT digest, id FROM nodes WHERE digest IN", wanted))
        new = [place for digest, place in wanted.items() if digest not in ids]
        for place in new:
            ids[place.node.digest] = self._insert_node(place)
        return ids, sum(place.chunk is not None for place in new)

    def _insert_node(self, place: NodePlace) -> int:
        node = place.node
        values = (node.digest, node.level, node.height, b"".join(node.children))
        query = "INSERT INTO nodes(digest, level, height, children, crc) VALUES (?, ?, ?, ?, ?)"
        return int(self._db.execute(query, (*values, checksum(*values))).lastrowid or 0)

    def _put_entry(self, entry: Entry, ids: Mapping[bytes, int]) -> set[int]:
        """Write one entry; the nodes it had before."""
        node = ids[entry.places[-1].node.digest] if entry.places else None
        stamp = entry.stamp
        row = self._db.execute("SELECT id FROM entries WHERE path = ?", (entry.path,)).fetchone()
        before = self._clear_places(row[0]) if row else set()
        what = (entry.path, entry.parent, entry.level, stamp.content, node)
        looks = (stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode)
        cursor = self._db.execute(
            "INSERT OR REPLACE INTO entries"
            "(id, path, parent, level, content, node, crc, size, mtime_ns, ctime_ns, inode) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (row[0] if row else None, *what, checksum(*what), *looks),
        )
        id = int(cursor.lastrowid or 0)
        rows = [
            (id, ordinal, ids[place.node.digest], place.first_line, place.last_line)
            for ordinal, place in enumerate(entry.places)
        ]
        self._db.executemany(
            "INSERT INTO places VALUES (?, ?, ?, ?, ?, ?)", [(*row, checksum(*row)) for row in rows]
        )
        return before

    def _clear_places(self, entry: int) -> set[int]:
        before = {node for (node,) in self._db.execute("SELECT node FROM places WHERE entry = ?", (entry,))}
        if before:
            self._db.execute("DELETE FROM places WHERE entry = ?", (entry,))
        return before

    def _settle(self, touched: Iterable[int], chunks: Mapping[int, Chunk], generation: int) -> None:
        """Let each node be alive exactly when some place uses it, and its text be stored exactly while it is."""
        query = (
            "SELECT id, level, alive FROM nodes "
            "WHERE alive <> EXISTS (SELECT 1 FROM places WHERE node = nodes.id) AND id IN"
        )
        changed = list(self._db.among(query, touched))
        self._db.executemany(
            "UPDATE nodes SET alive = ?, since = ? WHERE id = ?",
            [(1 - alive, generation, id) for id, _, alive in changed],
        )
        self._say([(id, chunks[id]) for id, level, alive in changed if level == CHUNK and not alive])
        self._fall_silent([id for id, level, alive in changed if level == CHUNK and alive], generation)

    def _say(self, born: Sequence[tuple[int, Chunk]]) -> None:
        texts = [(id, chunk.scope, chunk.text.rstrip(), chunk.signature) for id, chunk in born]
        symbols = [(id, found.name, found.kind) for id, chunk in born for found in chunk.symbols]
        words = [(id, words_of(scope, text)) for id, scope, text, _ in texts]
        self._db.executemany(
            "INSERT INTO texts VALUES (?, ?, ?, ?, ?)", [(*row, checksum(*row)) for row in texts]
        )
        self._db.executemany(
            "INSERT INTO symbols VALUES (?, ?, ?, ?)", [(*row, checksum(*row)) for row in symbols]
        )
        self._db.executemany("INSERT INTO words(rowid, terms) VALUES (?, ?)", words)

    def _fall_silent(self, gone: Sequence[int], generation: int) -> None:
        if not gone:
            return
        words = []
        for *row, crc in self._db.among(
            "SELECT id, scope, text, signature, crc FROM texts WHERE id IN", gone
        ):
            check(crc, *row)
            words.append((row[0], words_of(row[1], row[2])))
        self._db.executemany("INSERT INTO words(words, rowid, terms) VALUES ('delete', ?, ?)", words)
        for table, column in (("texts", "id"), ("symbols", "node")):
            self._db.executemany(f"DELETE FROM {table} WHERE {column} = ?", [(id,) for id in gone])
        self._db.set_meta({"removed": generation})


def words_of(scope: str, text: str) -> str:
    """What the full-text index is given of a chunk: distinct terms, a blank between them."""
    return " ".join(terms(f"{scope}\n{text}"))


def _at_or_under(path: str) -> tuple[str, tuple[str, ...]]:
    # "0" is the character after "/": a range finds what is below without LIKE and its special characters.
    return (
        ("AND (path = ? OR (path >= ? AND path < ?))", (path, path + "/", path + "0")) if path else ("", ())
    )
