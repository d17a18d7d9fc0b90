"""What an index holds and what a run did, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.embedding import Embedding
from indexer.progress import UpdateReport
from indexer.updating import Update


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
    search: str  # "exact", "hnsw" or "mapped"
    skipped: Mapping[str, tuple[str, ...]]
    last_error: str
    folder: Path
    team: str = ""  # a sentence about the vectors that others computed


NOTHING: Mapping[str, Any] = {
    **dict.fromkeys(("files", "directories", "chunks", "nodes", "pending", "generation"), 0),
    "state": "incomplete",
    "search": "exact",
    "skipped": {},
}  # of a store that cannot be read


def bytes_in(folder: Path) -> int:
    """Size of the files in a folder; those that vanish meanwhile (SQLite's log does) count nothing."""
    total = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def report_of(
    update: Update, embedding: Embedding | None, totals: Mapping[str, int], cancelled: bool, seconds: float
) -> UpdateReport:
    """What a run did. `totals`: of the whole index behind it."""
    skipped: dict[str, list[str]] = {}
    for path, reason in sorted(update.skipped.items()):
        skipped.setdefault(reason, []).append(path)
    return UpdateReport(
        files=totals["files"],
        chunks=totals["chunks"],
        embedded=embedding.embedded if embedding else 0,
        reused=update.reused,
        seconds=seconds,
        changed=len(update.changed),
        removed=len(update.removed),
        fused=embedding.fused if embedding else 0,
        cancelled=cancelled,
        skipped={reason: tuple(paths) for reason, paths in skipped.items()},
        pulled=embedding.pulled if embedding else 0,
        team=embedding.team if embedding else "",
    )
