"""What a completer has of blocks: those that are made, and a list of those that are wanted, made while nobody types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from model.blocks.block import Block, digest_of
from model.blocks.making import BlockMaker
from model.blocks.packing import Packing
from model.blocks.shelf import Shelf
from model.blocks.store import BlockStore
from model.settings import BlockSettings

_MOST_WANTED = 512  # who jumps through files wants what is here, not all that was there


@dataclass(frozen=True)
class BlockText:
    """What a block reads: `ids`, made from the file at `path`; None: from the document itself, which may never be
    saved, or from what is no file of the repository."""

    path: str | None
    ids: tuple[int, ...]

    @property
    def digest(self) -> bytes:
        return digest_of(self.ids)


class BlockLibrary:
    """Lives on the decoder's thread, as its maker does. Each repository has a shelf of its own, and what belongs to
    none has one in memory."""

    def __init__(self, maker: BlockMaker, settings: BlockSettings, coder: str) -> None:
        """`coder`: its fingerprint."""
        self.share = settings.share
        layers, kv_heads, _, head_dim = maker.sink.rows.keys.shape
        self._maker = maker
        self._settings = settings
        self._coder = sha256(f"{coder} {settings.share}".encode()).hexdigest()  # whose rows are kept
        self._packing = Packing(layers, kv_heads, head_dim)
        self._own = Shelf(self._packing, settings)
        self._wanted: dict[bytes, tuple[BlockText, Shelf]] = {}  # the most wanted last

    def shelf(self, folder: Path) -> Shelf:
        """A new one, with a file in an existing folder that is private."""
        return Shelf(self._packing, self._settings, BlockStore(folder, self._coder, self._packing))

    def find(self, texts: Sequence[BlockText], shelf: Shelf | None = None) -> tuple[Block, ...]:
        """The sink and the blocks of `texts` (the most wanted first) that are made; the others are wanted now."""
        shelf = shelf or self._own
        digests = [text.digest for text in texts]
        found = shelf.find(digests)
        for text, digest in zip(reversed(texts), reversed(digests), strict=True):
            if digest not in found:
                self._wanted.pop(digest, None)
                self._wanted[digest] = text, shelf
        while len(self._wanted) > _MOST_WANTED:
            del self._wanted[next(iter(self._wanted))]
        return (self._maker.sink, *(found[digest] for digest in digests if digest in found))

    def tend(self, interrupted: Callable[[], bool]) -> bool:
        """Make what is wanted most, one block; whether there is more to do. When it is interrupted the next call goes
        on where it was."""
        if not self._wanted:
            return False
        digest, (text, shelf) = next(reversed(self._wanted.items()))
        block = self._maker.make(text.ids, interrupted)
        if block is not None:
            shelf.add(text.path, block)
            del self._wanted[digest]
        return bool(self._wanted)
