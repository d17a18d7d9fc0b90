"""What an index holds, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class IndexStats:
    """`chunks` counts places, `nodes` distinct living ones. `state`: "empty", "indexing", "incomplete" or "ready"."""

    files: int
    directories: int
    chunks: int
    nodes: int
    pending: int
    bytes: int
    generation: int
    state: str
    search: str  # "exact" or "hnsw"
    skipped: Mapping[str, tuple[str, ...]]
    last_error: str
    folder: Path


def bytes_in(folder: Path) -> int:
    """Size of the files in a folder; those that vanish meanwhile (SQLite's log does) count nothing."""
    total = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
