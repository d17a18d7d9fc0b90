"""Files of search graphs, which are derived from the store: their sums, and how they come to their place."""

from __future__ import annotations

import os
import zlib
from pathlib import Path


def checksum_of(path: Path) -> int:
    """CRC-32 of a file, read in pieces. Raises OSError."""
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def put_in_place(temporary: Path, path: Path) -> None:
    """Under its name a file appears whole or not at all. Raises OSError."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
