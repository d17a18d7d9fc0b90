"""What the store keeps of one file or directory: how it looked when it was read, and the nodes it consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from indexer.chunking import Chunk, chunk
from indexer.files import Found
from indexer.hierarchy import FILE, Node, leaf, parents
from indexer.languages import language_of
from indexer.settings import IndexSettings
from indexer.splitting import ChunkLimits


@dataclass(frozen=True)
class Stamp:
    """How a file looked when it was read: while it looks the same it need not be read again.

    Size and time of modification are anybody's to set; inode and time of change are the file system's.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    content: bytes

    def is_of(self, file: Found) -> bool:
        seen = (file.size, file.mtime_ns, file.ctime_ns, file.inode)
        return (self.size, self.mtime_ns, self.ctime_ns, self.inode) == seen


NO_STAMP = Stamp(0, 0, 0, 0, b"")


@dataclass(frozen=True)
class NodePlace:
    """A node in a file or directory; lines are 1-based, 0 where there are none. `chunk` is given for leaves."""

    node: Node
    first_line: int = 0
    last_line: int = 0
    chunk: Chunk | None = None


@dataclass(frozen=True)
class Entry:
    """A file or directory: its places in order, its own node last; an empty file has none."""

    path: str
    level: str
    stamp: Stamp
    places: Sequence[NodePlace]

    @property
    def parent(self) -> str | None:
        return self.path.rpartition("/")[0] if self.path else None


def entry_of(path: str, text: str, stamp: Stamp, fingerprint: str, settings: IndexSettings) -> Entry:
    """A file's chunks and the nodes over them; the same for the disk and for an open document."""
    chunks = chunk(text, language_of(path), ChunkLimits(settings.chunk_max_lines, settings.chunk_max_chars))
    leaves = [
        NodePlace(leaf(found, fingerprint), found.first_line, found.last_line, found) for found in chunks
    ]
    last_line = chunks[-1].last_line if chunks else 0
    above = parents(FILE, [place.node for place in leaves])
    spans = [(0, 0)] * (len(above) - 1) + [(1, last_line)]
    return Entry(
        path,
        FILE,
        stamp,
        [*leaves, *(NodePlace(node, *span) for node, span in zip(above, spans, strict=False))],
    )
