"""What a completer has of blocks: those that are made, and a list of those that are wanted, made while nobody types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.blocks.block import Block, digest_of
from model.blocks.making import BlockMaker
from model.blocks.shelf import Shelf

_MOST_WANTED = 512  # who jumps through files wants what is here, not all that was there


@dataclass(frozen=True)
class BlockText:
    """What a block reads: `ids`, made from the file at `path`."""

    path: str
    ids: tuple[int, ...]

    @property
    def digest(self) -> bytes:
        return digest_of(self.ids)


class BlockLibrary:
    """Lives on the decoder's thread, as its maker does."""

    def __init__(self, maker: BlockMaker, shelf: Shelf) -> None:
        self._maker = maker
        self._shelf = shelf
        self._wanted: dict[bytes, BlockText] = {}  # the most wanted last

    def find(self, texts: Sequence[BlockText]) -> tuple[Block, ...]:
        """The sink and the blocks of `texts` (the most wanted first) that are made; the others are wanted now."""
        digests = [text.digest for text in texts]
        found = self._shelf.find(digests)
        for text, digest in zip(reversed(texts), reversed(digests), strict=True):
            if digest not in found:
                self._wanted.pop(digest, None)
                self._wanted[digest] = text
        while len(self._wanted) > _MOST_WANTED:
            del self._wanted[next(iter(self._wanted))]
        return (self._maker.sink, *(found[digest] for digest in digests if digest in found))

    @property
    def n_wanted(self) -> int:
        return len(self._wanted)

    def tend(self, interrupted: Callable[[], bool]) -> bool:
        """Make what is wanted most, one block; whether there is more to do. When it is interrupted the next call goes
        on where it was."""
        if not self._wanted:
            return False
        digest, text = next(reversed(self._wanted.items()))
        block = self._maker.make(text.ids, interrupted)
        if block is not None:
            self._shelf.add(text.path, block)
            del self._wanted[digest]
        return bool(self._wanted)
