"""Repositories to measure on: copies of real Python code on this machine."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SIZES = (100, 1_500, 9_000)  # Python files
_THIS_REPOSITORY = Path(__file__).parents[2]
_SKIPPED = frozenset({".venv", "node_modules", "__pycache__", ".git"})


@dataclass(frozen=True)
class Subject:
    """A copy that benchmarks may change. `cache` is where its index goes."""

    name: str
    root: Path
    cache: Path
    files: tuple[Path, ...]
    n_lines: int

    def sample(self, n: int) -> list[Path]:
        """About n files, evenly spread over the repository."""
        return list(self.files[:: max(1, len(self.files) // n)][:n])


def default_folders() -> list[tuple[Path, int]]:
    """For each of SIZES the smallest folder that has so many files (or else the largest), to take so many from it."""
    counted = sorted((_count(folder), folder) for folder in _candidates())
    return [(next((folder for n, folder in counted if n >= size), counted[-1][1]), size) for size in SIZES]


def copy_of(folder: Path, into: Path, limit: int | None = None) -> Subject:
    """Copy the Python files of a folder, at most `limit` of them, spread over it."""
    found = sorted(_python_files(folder))
    if limit is not None and len(found) > limit:
        found = [found[i * len(found) // limit] for i in range(limit)]
    root = into / folder.name
    copies, n_lines = [], 0
    for file in found:
        target = root / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        n_lines += target.read_bytes().count(b"\n")
        copies.append(target)
    return Subject(folder.name, root, into / "cache", tuple(copies), n_lines)


def _candidates() -> Iterator[Path]:
    packages = Path(sysconfig.get_path("purelib"))
    yield _THIS_REPOSITORY
    yield packages
    yield from sorted(folder for folder in packages.iterdir() if folder.is_dir())


def _count(folder: Path) -> int:
    return sum(1 for _ in _python_files(folder))


def _python_files(folder: Path) -> Iterable[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - _SKIPPED)
        yield from (Path(parent, name) for name in names if name.endswith(".py"))
