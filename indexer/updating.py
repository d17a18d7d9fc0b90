"""One run that brings the store up to date with the disk: find, read, chunk, store; then fill in vectors.

Text first, vectors second: words and names can be searched seconds after the start, and what is left to embed is a
query on the store, so a killed run continues where it stopped. The same run serves the first index, one changed
file, and `--reindex`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path, PurePosixPath

import numpy as np

from indexer.entries import NO_STAMP, Entry, Place, Stamp, entry_of
from indexer.files import Found, Skipped, is_utf8, look, read, walk
from indexer.hierarchy import DIRECTORY, FILE, REPOSITORY, Embedder, Vectors, directory_parents
from indexer.reading import VANISHED
from indexer.rules import Rules, relative_path
from indexer.settings import IndexSettings
from indexer.store import Store
from indexer.vectors import Pending, VectorStore

_BATCH_CHUNKS = 400  # stored per transaction: some 100 ms, the longest that another process waits
_RACY_NS = 2_000_000_000  # a file changed so shortly before it was read may change again within the clock's tick
_SHARED_NODES = 1_000
_IGNORE_FILES = frozenset({".gitignore", ".hefignore"})


@dataclass(frozen=True)
class Progress:
    """`done` of `total` in one stage: "reading" files, "embedding" nodes, "arranging" very many of them for search.

    `path` is "" but in the first.
    """

    done: int
    total: int
    path: str
    stage: str = "reading"


@dataclass(frozen=True)
class UpdateReport:
    """What a run did. `files` and `chunks` count the whole index; `embedded` leaves, `fused` parents, this run.

    `reused`: chunks of the files read in this run whose text was known. `cancelled`: it stopped early; run it again.
    """

    files: int
    chunks: int
    embedded: int
    reused: int
    seconds: float
    changed: int = 0
    removed: int = 0
    fused: int = 0
    cancelled: bool = False
    skipped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class StoppedError(Exception):
    """The caller asked to stop; everything committed stays."""


class Update:
    """One run; make a new one for the next. `known`: vectors by digest that need not be computed (open documents')."""

    def __init__(
        self,
        root: Path,
        store: Store,
        vectors: VectorStore,
        embedder: Embedder | None,
        settings: IndexSettings,
        *,
        known: Mapping[bytes, tuple[np.ndarray, np.ndarray]],
        progress: Callable[[Progress], None],
        cancelled: Callable[[], bool],
        committed: Callable[[], None],
        settled: Callable[[], None],
    ) -> None:
        self._root = root
        self._store = store
        self._vectors = vectors
        self._embedder = embedder
        self._settings = settings
        self._known = known
        self._progress = progress
        self._cancelled = cancelled
        self._committed = committed
        self._settled = settled  # all files are read, none is embedded
        self._rules = Rules(root, settings)
        self.changed: list[str] = []
        self.removed: list[str] = []
        self.skipped: dict[str, str] = {}
        self.reused = 0
        self.embedded = 0
        self.fused = 0

    def run(self, paths: Iterable[Path] | None) -> None:
        """Bring `paths` (None: everything) up to date. Raises StoppedError, or what the embedder raises."""
        was_stale = self._store.tree_stale
        scopes = [""] if paths is None else self._scopes(paths)
        for scope in scopes:
            self._bring_up_to_date(scope)
        for place, reason in self._rules.problems.items():
            self._skip(Skipped(place, reason))
        self._store.set_skipped(self.skipped, scopes)
        self._grow_tree(None if was_stale else {*self.changed, *self.removed})
        self._settled()
        self._check()
        self._fill()
        self._vectors.collect_garbage(self._settings.keep_vanished)

    # -- files --------------------------------------------------------------------------------------------------

    def _scopes(self, paths: Iterable[Path]) -> list[str]:
        """Repository paths to look at; a changed ignore file may concern everything beside and below it."""
        found = {inside for path in paths if (inside := _inside(self._root, path)) is not None}
        found = {path.rpartition("/")[0] if PurePosixPath(path).name in _IGNORE_FILES else path for path in found}
        if ".git/info/exclude" in found:
            found.add("")
        return [""] if "" in found else sorted(found)

    def _bring_up_to_date(self, scope: str) -> None:
        if not self._root.is_dir():
            self.skipped[""] = VANISHED  # an unmounted disk must not empty the index
            return
        before = self._store.stamps(scope)
        found = self._find(scope)
        self._remove(before.keys() - found.keys())
        stale = [
            file for path, file in sorted(found.items()) if (stamp := before.get(path)) is None or not stamp.is_of(file)
        ]
        self._read_all(stale, before)

    def _find(self, scope: str) -> dict[str, Found]:
        path = self._root / scope
        if path.is_dir() and not path.is_symlink():
            if scope and (self._rules.excludes(scope) or self._rules.is_ignored(scope, True)):
                return {}
            seen: Iterable[Found | Skipped | None] = walk(self._root, self._rules, self._settings, scope)
        else:
            seen = [look(self._root, scope, self._rules, self._settings)]
        found = {}
        for item in seen:
            self._check()
            if isinstance(item, Found):
                found[item.path] = item
            elif item is not None:
                self._skip(item)
        return found

    def _skip(self, item: Skipped) -> None:
        self.skipped[item.path.encode("utf-8", "replace").decode()] = item.reason  # a name on disk may be any bytes

    def _remove(self, paths: Iterable[str]) -> None:
        listed = sorted(paths)
        if listed:
            self._store.remove(listed, tree_stale=True)
            self.removed += listed
            self._committed()

    def _read_all(self, files: list[Found], before: Mapping[str, Stamp]) -> None:
        """Read, chunk and store files, in batches small enough to lose and to wait for."""
        waiting: list[Entry] = []
        touched: dict[str, Stamp] = {}
        for number, file in enumerate(files):
            self._check()
            self._progress(Progress(number, len(files), file.path))
            old = before.get(file.path)
            entry = self._read(file, old)
            if entry is None:
                if old is not None:
                    self._remove([file.path])
            elif old is not None and old.content == entry.stamp.content:
                touched[file.path] = entry.stamp
            else:
                waiting.append(entry)
                self.changed.append(file.path)
            if sum(len(entry.places) for entry in waiting) >= _BATCH_CHUNKS:
                self._put(waiting)
                waiting = []
        self._put(waiting)
        if touched:
            self._store.touch(touched)

    def _read(self, file: Found, old: Stamp | None) -> Entry | None:
        now = time.time_ns()
        content = read(self._root, file, self._settings)
        if isinstance(content, Skipped):
            self._skip(content)
            return None
        mtime_ns = 0 if now - max(file.mtime_ns, file.ctime_ns) < _RACY_NS else file.mtime_ns
        stamp = Stamp(file.size, mtime_ns, file.ctime_ns, file.inode, blake2b(content, digest_size=16).digest())
        if old is not None and old.content == stamp.content:
            return Entry(file.path, FILE, stamp, [])
        fingerprint = self._embedder.fingerprint if self._embedder else ""
        return entry_of(file.path, content.decode("utf-8"), stamp, fingerprint, self._settings)

    def _put(self, entries: list[Entry]) -> None:
        if entries:
            self.reused += self._store.put(entries, tree_stale=True)
            self._committed()

    # -- directories --------------------------------------------------------------------------------------------

    def _grow_tree(self, changed: set[str] | None) -> None:
        """Recompute the directories above changed files, deepest first; all of them after an interrupted run (None)."""
        if changed is not None and not changed:
            return
        files = self._store.stamps() if changed is None else changed
        directories = {directory for path in files for directory in _above(path)} | {""}
        if changed is None:
            directories |= self._store.directories(DIRECTORY)
        by_depth: dict[int, list[str]] = {}
        for directory in directories:
            by_depth.setdefault(_depth(directory), []).append(directory)
        for depth in sorted(by_depth, reverse=True):
            grown = [self._grow(directory) for directory in sorted(by_depth[depth])]
            self._store.put([entry for entry in grown if entry.places], tree_stale=True)
            self._store.remove([entry.path for entry in grown if not entry.places], tree_stale=True)
        self._store.settle_tree()
        self._committed()

    def _grow(self, directory: str) -> Entry:
        nodes = directory_parents(DIRECTORY if directory else REPOSITORY, self._store.children(directory))
        return Entry(directory, DIRECTORY if directory else REPOSITORY, NO_STAMP, [Place(node) for node in nodes])

    # -- vectors ------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Compute the vectors that are missing, children before parents, each call's result committed at once."""
        if self._embedder is None:
            return
        total, done = self._vectors.count_pending(), 0
        for height in self._vectors.pending_heights():
            for batch in self._pending(height):
                self._check()
                self._progress(Progress(done, max(total, done), "", "embedding"))
                if height == 0:
                    self._embed(batch, self._embedder)
                else:
                    self._fuse(batch, self._embedder)
                done += len(batch)
                self._committed()

    def _pending(self, height: int) -> Iterator[list[Pending]]:
        """Batches of what is left. Long lists are begun at a place that differs by process, and wrapped around: two
        processes on one store then share the work and do not follow each other text for text."""
        first, last = self._vectors.pending_range(height)
        far = first + (last - first) * (os.getpid() % 7) // 7 if last - first > _SHARED_NODES else 0
        for after in {far: None, 0: None}:
            while batch := self._vectors.pending(height, after, self._settings.batch_texts):
                after = batch[-1].id
                yield batch

    def _embed(self, batch: list[Pending], embedder: Embedder) -> None:
        known = [node for node in batch if node.digest in self._known]
        if known:
            keys, memories = zip(*(self._known[node.digest] for node in known), strict=True)
            self._vectors.set_vectors([node.id for node in known], Vectors(np.stack(keys), np.stack(memories)))
        missing = [node for node in batch if node.digest not in self._known]
        if missing:
            vectors = embedder.embed([node.text for node in missing])
            self._vectors.set_vectors([node.id for node in missing], vectors)
            self.embedded += len(missing)

    def _fuse(self, batch: list[Pending], embedder: Embedder) -> None:
        memories = self._vectors.memories({digest for node in batch for digest in node.children})
        # Another process may have added a parent whose children it is still embedding: that one is its to do.
        ready = [node for node in batch if all(digest in memories for digest in node.children)]
        if ready:
            groups = [np.stack([memories[digest] for digest in node.children]) for node in ready]
            self._vectors.set_vectors([node.id for node in ready], embedder.fuse(groups))
            self.fused += len(ready)

    def _check(self) -> None:
        if self._cancelled():
            raise StoppedError


def _inside(root: Path, path: Path) -> str | None:
    """A path below the root; None for any that cannot be in the store."""
    try:
        found = relative_path(root, path)
        return found if found is not None and is_utf8(found) else None
    except (ValueError, OSError):  # a NUL in it, or more than the system takes
        return None


def _above(path: str) -> list[str]:
    return [str(parent) for parent in PurePosixPath(path).parents if str(parent) != "."]


def _depth(path: str) -> int:
    return path.count("/") + 1 if path else 0
