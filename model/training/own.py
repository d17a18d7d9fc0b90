"""Repositories of the user's own: read as the index reads them, with no license asked for; code of every language whose
syntax is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from indexer.files import Found, read, walk
from indexer.languages import TEXT, language_of
from indexer.rules import Rules
from indexer.settings import IndexSettings
from model.training.config import ConfigError
from model.training.filters import why_not
from model.training.sources import SourceFile, SourceRepository

OWN = "own"  # stands where a license does
_MARKS = (".git", ".hg", "pyproject.toml", "setup.py", "tsconfig.json", "go.mod", "Cargo.toml")


def read_own(folder: Path) -> Iterator[SourceRepository]:
    """`folder` itself where it looks like a repository, else each folder in it, without what git ignores, secrets, and
    files that nothing is learned from. Raises ConfigError where there is no such folder."""
    folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder of repositories")
    is_one = any((folder / mark).exists() for mark in _MARKS)
    roots = (
        [folder]
        if is_one
        else sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    )
    for root in roots:
        files = tuple(sorted(_files(root), key=lambda file: file.path))
        if files:
            yield SourceRepository(root.name, "", OWN, files)


def _files(root: Path) -> Iterator[SourceFile]:
    settings = IndexSettings()
    for found in walk(root, Rules(root, settings), settings):
        if not isinstance(found, Found) or language_of(found.path) == TEXT:
            continue
        content = read(root, found, settings)
        if isinstance(content, bytes):
            text = content.decode("utf-8", "replace").replace("\r\n", "\n")
            if why_not(found.path, text) is None:
                yield SourceFile(found.path, text)
