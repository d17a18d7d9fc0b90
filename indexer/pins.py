"""Which versions a repository's own files pin its Python packages to, for packages that are not installed.

Strangers wrote these files: they are read as regular files inside of the root and to a bound, line by line, and what is
no name or no version of a package is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from indexer.reading import ReadingError, read_inside

_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock")
_LISTS = ("requirements.txt", "requirements.lock", "requirements-dev.txt", "pyproject.toml")
_MAX_BYTES = 8_000_000
_NAME, _VERSION = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", r"[0-9][A-Za-z0-9.!_-]{0,63}"
_IS_NAME = re.compile(_NAME)
_IS_VERSION = re.compile(_VERSION)
_LOCKED = re.compile(rf'^name = "({_NAME})"\r?\nversion = "({_VERSION})"', re.MULTILINE)
_PINNED = re.compile(
    rf"(?<![\w.-])({_NAME})(?:\[[^\]\n]{{0,99}}\])?[ \t]{{0,9}}={{2,3}}[ \t]{{0,9}}({_VERSION})(?![\w.*+!-])"
)
_SEPARATORS = re.compile("[-_.]+")


def normalized(name: str) -> str:
    """A distribution's name as PyPI compares them (PEP 503); "" for what is no such name."""
    return _SEPARATORS.sub("-", name).lower().strip("-") if _IS_NAME.fullmatch(name) else ""


def is_version(version: str) -> bool:
    """Whether a public index could have a version of this name: local ones (`+cpu`) it has not."""
    return _IS_VERSION.fullmatch(version) is not None


def pinned(root: Path) -> dict[str, str]:
    """Normalized name of a distribution -> its version, locks before lists; names with several versions left out."""
    found: dict[str, str] = {}
    for files, pattern in ((_LOCKS, _LOCKED), (_LISTS, _PINNED)):
        here: dict[str, set[str]] = {}
        for text in _texts(root, files):
            for name, version in pattern.findall(text):
                here.setdefault(normalized(name), set()).add(version)
        for name, versions in here.items():
            if len(versions) == 1:
                found.setdefault(name, *versions)
    return found


def _texts(root: Path, files: tuple[str, ...]) -> Iterator[str]:
    for file in files:
        with suppress(ReadingError):
            yield read_inside(root, file, _MAX_BYTES).decode("utf-8", "replace")
