"""The files in which a repository says what it needs (`package.json`, `go.mod`, `Cargo.toml`), and where that lies.

They were written by strangers: names are checked letter by letter before they become paths, what is found counts only
where it is a folder and no link to one, and little is read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from indexer.reading import ReadingError, read_inside

MAX_BYTES = 2_000_000  # of one such file; a lock file is the largest
_MAX_MANIFESTS = 24  # of a repository, those near its root
_MAX_ENTRIES = 2_000  # of a folder that are looked at
_DEPTH = 2  # folders below the root in which one is looked for
_PASSED = frozenset({"node_modules", "vendor", "target", "dist", "build", "third_party", "testdata"})


def manifests(root: Path, name: str) -> list[str]:
    """Posix paths of the folders, from the root ("") on, that hold a file of this name; none through a link."""
    return list(islice(_holding(root, name), _MAX_MANIFESTS))


def text_of(root: Path, folder: str, name: str) -> str:
    """A file in a folder below the root, "" where it cannot be read."""
    try:
        return read_inside(root, f"{folder}/{name}" if folder else name, MAX_BYTES).decode("utf-8", "replace")
    except ReadingError:
        return ""


def is_folder(place: Path) -> bool:
    """Whether it is a folder itself, not a link to one."""
    try:
        return stat.S_ISDIR(place.lstat().st_mode)
    except (OSError, ValueError):
        return False


def folder_within(root: Path, path: str) -> Path | None:
    """The folder of a posix path below a root that no part of the path leads out of, links resolved; None for none."""
    home = os.path.realpath(root)
    try:
        found = os.path.realpath(os.path.join(home, path))
    except (OSError, ValueError):
        return None
    is_inside = found.startswith(os.path.join(home, ""))
    return Path(found) if is_inside and is_folder(Path(found)) else None


def _holding(root: Path, name: str) -> Iterator[str]:
    waiting = [("", 0)]
    while waiting:
        folder, depth = waiting.pop(0)
        files, folders = _entries(root / folder)
        if name in files:
            yield folder
        if depth < _DEPTH:
            waiting += [(f"{folder}/{inner}" if folder else inner, depth + 1) for inner in folders]


def _entries(folder: Path) -> tuple[set[str], list[str]]:
    """Names of the files and, in order, of the folders that may hold one."""
    try:
        with os.scandir(folder) as listing:
            entries = [
                (entry.name, entry.is_dir(follow_symlinks=False)) for entry in islice(listing, _MAX_ENTRIES)
            ]
    except OSError:
        return set(), []
    folders = sorted(name for name, is_dir in entries if is_dir and name not in _PASSED and name[0] != ".")
    return {name for name, is_dir in entries if not is_dir}, folders
