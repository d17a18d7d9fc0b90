"""The writing side of the cache: files, directories and their nodes, in short transactions. The source of truth.

A node exists once per digest, whoever uses it. Its text is stored when a file is read, its vectors whenever they
are ready: what is alive and has no vectors is the list of work left, and survives a killed process. One thread writes;
other processes may write the same file, so nothing is remembered between transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from indexer.database import Database
from indexer.entries import Entry, Place, Stamp
from indexer.hierarchy import CHUNK, FILE, Node
from indexer.identifiers import terms


class Store:
    def __init__(self, db: Database) -> None:
        self._db = db

    # -- what is known ------------------------------------------------------------------------------------------

    @property
    def tree_stale(self) -> bool:
        """Whether some directories may not match the files below them: the last run was cut short."""
        return bool(self._db.meta("tree_stale"))

    def stamps(self, below: str = "") -> dict[str, Stamp]:
        """Stored files at or under a path."""
        where, values = _at_or_under(below)
        rows = self._db.execute(
            f"SELECT path, size, mtime_ns, content FROM entries WHERE level = ? {where}", (FILE, *values)
        )
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

    # -- what changes -------------------------------------------------------------------------------------------

    def follow_recipe(self, recipe: str) -> None:
        """Forget what was read under other chunking rules: every file then counts as changed."""
        if self._db.meta("recipe") != recipe:
            with self._db.transaction():
                self._db.execute("UPDATE entries SET mtime_ns = 0, content = x'' WHERE level = ?", (FILE,))
                self._db.set_meta({"recipe": recipe})

    def touch(self, stamps: Mapping[str, Stamp]) -> None:
        """New times of files whose content is the same."""
        with self._db.transaction():
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
        with self._db.transaction():
            generation = self._begin(tree_stale)
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
        with self._db.transaction():
            generation = self._begin(tree_stale)
            touched: set[int] = set()
            for (entry,) in self._db.among("SELECT id FROM entries WHERE path IN", paths):
                touched |= self._clear_places(entry)
                self._db.execute("DELETE FROM entries WHERE id = ?", (entry,))
            self._settle(touched, generation)

    def settle_tree(self) -> None:
        """Directories match the files again."""
        if self.tree_stale:
            with self._db.transaction():
                self._db.set_meta({"tree_stale": 0})

    def set_skipped(self, skipped: Mapping[str, str], looked_at: Iterable[str]) -> None:
        """path -> reason of files left out. `looked_at`: files or directories seen whole; "" is the repository."""
        with self._db.transaction():
            for scope in looked_at:
                where, values = _at_or_under(scope)
                self._db.execute(f"DELETE FROM skipped WHERE 1 {where}", values)
            self._db.executemany("INSERT OR REPLACE INTO skipped VALUES (?, ?)", skipped.items())

    # -- inside a transaction -----------------------------------------------------------------------------------

    def _begin(self, tree_stale: bool) -> int:
        if tree_stale:
            self._db.set_meta({"tree_stale": 1})
        return self._db.next_generation()

    def _node_ids(self, places: Sequence[Place]) -> tuple[dict[bytes, int], int]:
        """digest -> id of the places' nodes, inserted where new; how many chunks were."""
        wanted = {place.node.digest: place for place in places}
        ids: dict[bytes, int] = dict(self._db.among("SELECT digest, id FROM nodes WHERE digest IN", wanted))
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
            (
                entry.path,
                entry.parent,
                entry.level,
                entry.stamp.size,
                entry.stamp.mtime_ns,
                entry.stamp.content,
                node,
            ),
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
        changed = list(self._db.among(query, touched))
        self._db.executemany(
            "UPDATE nodes SET alive = ?, since = ? WHERE id = ?",
            [(1 - row[4], generation, row[0]) for row in changed],
        )
        documents = [(row[0], " ".join(terms(f"{row[2]}\n{row[3]}")), row[4]) for row in changed if row[1] == CHUNK]
        born = [(id, words) for id, words, was_alive in documents if not was_alive]
        gone = [(id, words) for id, words, was_alive in documents if was_alive]
        self._db.executemany("INSERT INTO words(rowid, terms) VALUES (?, ?)", born)
        self._db.executemany("INSERT INTO words(words, rowid, terms) VALUES ('delete', ?, ?)", gone)


def _at_or_under(path: str) -> tuple[str, tuple[str, ...]]:
    # "0" is the character after "/": a range finds what is below without LIKE and its special characters.
    return ("AND (path = ? OR (path >= ? AND path < ?))", (path, path + "/", path + "0")) if path else ("", ())
