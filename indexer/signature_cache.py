"""Signatures of installed packages in the user's cache, so that a package is read once: a file for each place.

Files are named by digests, since packages' names are strangers', and say where the package was that they are of: with
it they go.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from indexer.cache_folder import write_whole
from indexer.installed import Package
from indexer.package_cache import UNUSED_DAYS, is_gone, short_hash
from indexer.reading import ReadingError, read_regular
from indexer.signatures import MAX_FOLDED_BYTES, SIGNATURES_VERSION, SignatureTable, folded, unfolded

FOLDER = "signatures"  # in the cache home
_MAX_KEPT = 64
_MAX_PLACE_BYTES = 16_384


class SignatureCache:
    """Used by one thread. `home`: the folder for all caches."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER / short_hash(f"format {SIGNATURES_VERSION}")

    def get(self, package: Package, name: str) -> SignatureTable | None:
        """What was read of a package at its place, if it has that version. `name`: its distribution's."""
        file = self._file(package)
        with suppress(ReadingError, ValueError):
            _, content = _parts(read_regular(file, MAX_FOLDED_BYTES + _MAX_PLACE_BYTES))
            table = unfolded(content, name, package.version)
            with suppress(OSError):
                os.utime(file)
            return table
        return None

    def put(self, package: Package, table: SignatureTable) -> None:
        """Keep it, where that can be written."""
        with suppress(OSError):
            for above in (self._folder.parents[1], self._folder.parent, self._folder):
                above.mkdir(mode=0o700, parents=True, exist_ok=True)
            place = str(package.place).encode("utf-8", "surrogateescape")
            write_whole(self._file(package), place + b"\0" + folded([table]))

    def forget_gone(self) -> None:
        """Delete what is of packages that are gone, that nobody used for long, or beyond what is kept."""
        oldest = time.time() - UNUSED_DAYS * 86_400
        with suppress(OSError):
            files = sorted(self._files(), key=lambda file: -file.lstat().st_mtime)
            for number, file in enumerate(files):
                if number >= _MAX_KEPT or file.lstat().st_mtime < oldest or _is_of_none(file):
                    file.unlink()

    def _file(self, package: Package) -> Path:
        return self._folder / short_hash(str(package.place))

    def _files(self) -> Iterator[Path]:
        return (file for file in self._folder.iterdir() if file.is_file() and not file.is_symlink())


def _parts(content: bytes) -> tuple[str, bytes]:
    """Where the package was, and its signatures. Raises ValueError."""
    place, nul, rest = content.partition(b"\0")
    if not nul:
        raise ValueError("no place")
    return place.decode("utf-8", "surrogateescape"), rest


def _is_of_none(file: Path) -> bool:
    try:
        return is_gone(_parts(read_regular(file, MAX_FOLDED_BYTES + _MAX_PLACE_BYTES))[0])
    except (ReadingError, ValueError):
        return True
