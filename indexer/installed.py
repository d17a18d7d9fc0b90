"""Which packages are installed beside a repository, found without importing or trusting any of them.

What lies in a repository's own environment was written by strangers like the rest of it: names are never paths, links
are not followed, only regular files are read, and no more of them than is bounded here.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from indexer.reading import ReadingError, read_inside

MAX_FILES = 20_000  # of a package
MAX_FOLDERS = 5_000
_MAX_DEPTH = 50
_MAX_DISTRIBUTIONS = 5_000
_MAX_LIST_BYTES = 65_536  # of the file in which a distribution names its modules
_SKIPPED = frozenset(
    {
        "test",
        "tests",
        "testing",
        "site-packages",
        "idlelib",
        "lib2to3",
        "encodings",
        "turtledemo",
        "pydoc_data",
    }
)
_LAYOUTS = ("lib/python3*/site-packages", "Lib/site-packages")  # of virtual environments
_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)


@dataclass(frozen=True)
class PackageFiles:
    """Which files of a package are read. `tiers`: endings, those of the first before those of the next; `without`:
    longer endings that do not count; `judged`: contents count by the rules for a repository's own."""

    tiers: tuple[tuple[str, ...], ...]
    skipped: frozenset[str]  # folders
    without: tuple[str, ...] = ()
    judged: bool = False

    def tier(self, name: str) -> int:
        """Of a file by its name; as many as there are for one that is not read."""
        if name.endswith(self.without or ("\0",)):
            return len(self.tiers)
        return next((n for n, endings in enumerate(self.tiers) if name.endswith(endings)), len(self.tiers))


PYTHON = PackageFiles(((".py",),), _SKIPPED)


@dataclass(frozen=True)
class Package:
    """`place` is a folder or a module; `name` and `version` together say what is in it."""

    name: str
    version: str
    place: Path
    sources: PackageFiles = PYTHON

    def files(self) -> Iterator[str]:
        """Its source files as posix paths below the folder that it lies in; through links there are none."""
        found = islice(self._files(), MAX_FILES)
        return found if len(self.sources.tiers) == 1 else iter(sorted(found, key=self.sources.tier))

    def _files(self) -> Iterator[str]:
        if self.place.is_symlink():
            return
        if self.place.is_file():
            yield self.place.name
            return
        waiting, sources = [(self.place.name, 0)], self.sources
        for _ in range(MAX_FOLDERS):
            if not waiting:
                return
            folder, depth = waiting.pop()
            folders, names = _entries(self.place.parent / folder)
            yield from (
                f"{folder}/{name}" for name in sorted(names) if sources.tier(name) < len(sources.tiers)
            )
            if depth < _MAX_DEPTH:  # no package is so deep, and a repository's may be without end
                waiting += [
                    (f"{folder}/{name}", depth + 1)
                    for name in sorted(folders - sources.skipped, reverse=True)
                ]


def imported(text: str) -> frozenset[str]:
    """Top-level modules that a Python file names in its import statements."""
    return frozenset(_IMPORT.findall(text))


def standard_library() -> Package:
    return Package("python", sys.version.partition(" ")[0], Path(sysconfig.get_path("stdlib")).resolve())


def site_packages(root: Path) -> Path:
    """Where a repository's packages are installed: its own environment, the active one, or that of this process.

    Its own is one that lies in it: a link called .venv can be cloned, and lead into anybody's home. Whoever made such a
    link has the same packages by activating what it leads to.
    """
    own = (
        folder for name in (".venv", "venv") for folder in _layouts(root / name) if _is_inside(root, folder)
    )
    users = _layouts(Path(os.environ.get("VIRTUAL_ENV") or sys.prefix))
    return next(own, None) or next(users, None) or Path(sysconfig.get_path("purelib"))


def installed(folder: Path, names: Iterable[str]) -> dict[str, Package]:
    """Those of some importable names that a distribution in `folder` provides."""
    wanted, found = {name for name in names if name.isidentifier()}, {}
    for entry in distributions(folder):
        name, _, version = entry.rpartition(".")[0].partition("-")
        for top in _provided(folder, entry, name, wanted):
            place = next((path for path in (folder / top, folder / f"{top}.py") if is_own(path)), None)
            if place:
                found[top] = Package(f"{name}.{top}", version, place)
    return found


def _entries(folder: Path) -> tuple[set[str], set[str]]:
    """Names of the folders and of all else in a folder; none where it cannot be read."""
    try:
        with os.scandir(folder) as listing:
            entries = {entry.name: entry.is_dir(follow_symlinks=False) for entry in listing}
    except OSError:
        return set(), set()
    folders = {name for name, is_folder in entries.items() if is_folder}
    return folders, entries.keys() - folders


def _layouts(home: Path) -> Iterator[Path]:
    return (folder for layout in _LAYOUTS for folder in sorted(home.glob(layout)) if folder.is_dir())


def _is_inside(root: Path, folder: Path) -> bool:
    """Whether no part of a path below `root` is a link."""
    return os.path.realpath(folder) == os.path.join(os.path.realpath(root), folder.relative_to(root))


def is_own(place: Path) -> bool:
    """A folder or a regular file, not a link to one."""
    try:
        mode = place.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) or stat.S_ISREG(mode)


def distributions(folder: Path) -> list[str]:
    """Names of the entries that describe a distribution: NAME-VERSION.dist-info, or the older .egg-info."""
    try:
        with os.scandir(folder) as listing:
            names = (entry.name for entry in listing if entry.name.endswith((".dist-info", ".egg-info")))
            return sorted(islice(names, _MAX_DISTRIBUTIONS))
    except OSError:
        return []


def _provided(folder: Path, entry: str, name: str, wanted: set[str]) -> set[str]:
    """The wanted names that a distribution says it provides; by its own name where it says nothing."""
    try:
        listed = (
            read_inside(folder, f"{entry}/top_level.txt", _MAX_LIST_BYTES).decode("utf-8", "replace").split()
        )
    except ReadingError:
        return {module for module in wanted if module.lower() == name.lower()}
    return wanted.intersection(listed)
