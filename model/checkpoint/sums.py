"""Checksums of files of gigabytes, kept in our cache folder, so that a file is read once and not at every start.

A sum that is kept holds for a file of the same place, inode, size and times, of which a change is the kernel's to note.
That tells damage, not malice: who may write into the cache folder may write there what he likes.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from model.checkpoint.files import WeightsError, read_bytes, sha256_of, stamp
from model.news import News, Told, to_nobody
from model.privacy import cache_home

SETTLED_SECONDS = 2.0  # since the last change: clocks of file systems tick up to so slowly
_FILE, _MAX_BYTES = "sha256", 1_000


def kept_sha256(file: Path, told: Told = to_nobody) -> str:
    """The sha256 of a file, read whole only where it is not known. Raises WeightsError as `sha256_of` does."""
    try:
        about = file.stat()
    except OSError as problem:
        raise WeightsError(f"{file.name} cannot be read ({problem.strerror})") from problem
    place = blake2b(os.fsencode(file.resolve()), digest_size=8).hexdigest()
    folder, stamped = cache_home() / "checksums" / place, stamp(about)
    if known := _read(folder / _FILE, stamped):
        return known
    checksum = sha256_of(file, lambda done: told(News("checking", done, about.st_size)))
    if max(about.st_mtime, about.st_ctime) < time.time() - SETTLED_SECONDS:
        _write(folder, f"{checksum} {stamped}")
    return checksum


def _read(file: Path, stamped: str) -> str:
    """ "" where none is kept for what the file is now."""
    with suppress(WeightsError, ValueError):
        checksum, _, about = read_bytes(file, _MAX_BYTES).decode("ascii").partition(" ")
        if about == stamped and len(checksum) == 64:
            return checksum
    return ""


def _write(folder: Path, content: str) -> None:
    """Where it cannot be written the next start reads the file again."""
    with suppress(OSError):
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, encoding="ascii", delete=False) as draft:
            draft.write(content)
        os.replace(draft.name, folder / _FILE)
