"""The first half of an update, which brings the store's text up to date with the disk: find, read, chunk, store.

Text first, vectors second: words and names can be searched seconds after the start, and what is left to embed is a
query on the store, so a killed run continues where it stopped. The same run serves the first index, one changed
file, and `--reindex`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from indexer.entries import NO_STAMP, Entry, NodePlace, Stamp, entry_of
from indexer.files import Found, Skipped, is_utf8, look, read, walk
from indexer.hierarchy import DIRECTORY, FILE, REPOSITORY, directory_parents
from indexer.progress import Listener, Progress
from indexer.reading import VANISHED
from indexer.rules import Rules, relative_path
from indexer.settings import IndexSettings
from indexer.store import Store

# Chunks and files stored per transaction: some 100 ms, the longest that another process waits.
_BATCH_ROWS = 400
_RACY_NS = (
    2_000_000_000  # a file changed so shortly before it was read may change again within the clock's tick
)
_IGNORE_FILES = frozenset({".gitignore", ".hefignore"})


class Update:
    """One run; make a new one for the next."""

    def __init__(
        self, root: Path, store: Store, fingerprint: str, settings: IndexSettings, listener: Listener
    ) -> None:
        """`fingerprint`: of the embedder, "" for none."""
        self._root = root
        self._store = store
        self._fingerprint = fingerprint
        self._settings = settings
        self._listener = listener
        self._rules = Rules(root, settings)
        self.changed: list[str] = []
        self.removed: list[str] = []
        self.skipped: dict[str, str] = {}
        self.reused = 0

    def run(self, paths: Iterable[Path] | None) -> None:
        """Bring `paths` (None: everything) up to date. Raises StoppedError."""
        was_stale = self._store.tree_stale
        scopes = [""] if paths is None else self._scopes(paths)
        for scope in scopes:
            self._bring_up_to_date(scope)
        for place, reason in self._rules.problems.items():
            self._skip(Skipped(place, reason))
        self._store.set_skipped(self.skipped, scopes)
        self._grow_tree(None if was_stale else {*self.changed, *self.removed})

    # -- files --------------------------------------------------------------------------------------------------

    def _scopes(self, paths: Iterable[Path]) -> list[str]:
        """Repository paths to look at; a changed ignore file may concern everything beside and below it."""
        found = {inside for path in paths if (inside := _inside(self._root, path)) is not None}
        found = {
            path.rpartition("/")[0] if PurePosixPath(path).name in _IGNORE_FILES else path for path in found
        }
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
            file
            for path, file in sorted(found.items())
            if (stamp := before.get(path)) is None or not stamp.is_of(file)
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
            self._listener.check()
            if isinstance(item, Found):
                found[item.path] = item
            elif item is not None:
                self._skip(item)
        return found

    def _skip(self, item: Skipped) -> None:
        self.skipped[item.path.encode("utf-8", "replace").decode()] = (
            item.reason
        )  # a name on disk may be any bytes

    def _remove(self, paths: Iterable[str]) -> None:
        listed = sorted(paths)
        if listed:
            self._store.remove(listed)
            self.removed += listed
            self._listener.committed()

    def _read_all(self, files: list[Found], before: Mapping[str, Stamp]) -> None:
        """Read, chunk and store files, in batches small enough to lose and to wait for."""
        waiting: list[Entry] = []
        n_rows = 0
        touched: dict[str, Stamp] = {}
        for number, file in enumerate(files):
            self._listener.check()
            self._listener.progress(Progress(number, len(files), file.path))
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
                n_rows += 1 + len(entry.places)  # an empty file has none
            if n_rows >= _BATCH_ROWS:
                self._put(waiting)
                waiting, n_rows = [], 0
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
        stamp = Stamp(
            file.size, mtime_ns, file.ctime_ns, file.inode, blake2b(content, digest_size=16).digest()
        )
        if old is not None and old.content == stamp.content:
            return Entry(file.path, FILE, stamp, [])
        return entry_of(file.path, content.decode("utf-8"), stamp, self._fingerprint, self._settings)

    def _put(self, entries: list[Entry]) -> None:
        if entries:
            self.reused += self._store.put(entries)
            self._listener.committed()

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
            self._store.put([entry for entry in grown if entry.places])
            self._store.remove([entry.path for entry in grown if not entry.places])
        self._store.settle_tree()
        self._listener.committed()

    def _grow(self, directory: str) -> Entry:
        nodes = directory_parents(DIRECTORY if directory else REPOSITORY, self._store.children(directory))
        return Entry(
            directory, DIRECTORY if directory else REPOSITORY, NO_STAMP, [NodePlace(node) for node in nodes]
        )


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
