"""What each coder has of one folder: its files and packages as its tokens, and its blocks.

Two coders have something here only while one takes over from the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from indexer import Index, SuffixIndex, Tokenizer
from lsp_server.kept_blocks import KeptBlocks
from lsp_server.trouble import described
from model.engines.machine import give_back

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Reader:
    """A coder as a folder sees it. `on_packages`: None where no packages are read."""

    coder: str  # its fingerprint
    tokenizer: Tokenizer | None = None
    open_blocks: Callable[[Index], KeptBlocks | None] = lambda index: None
    on_packages: Callable[[bool], None] | None = None


@dataclass(frozen=True, eq=False)
class Holding:
    """Each is None where it is not there, or not yet. `wait`: until the packages are read, at most so many seconds."""

    tokens: SuffixIndex | None = None
    packages: SuffixIndex | None = None
    blocks: KeptBlocks | None = None
    wait: Callable[[float], None] = lambda seconds: None


NOBODY, NOTHING = Reader(""), Holding()


class Holdings:
    """`of` on any thread, everything else on the index thread."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._holdings: Mapping[str, Holding] = {}  # by the coder's fingerprint
        self._tokenizers: dict[str, Tokenizer] = {}
        self._kept: dict[str, KeptBlocks] = {}  # of all who have read here: their blocks go with their texts

    def of(self, coder: str) -> Holding:
        """What a coder has here."""
        return self._holdings.get(coder, NOTHING)

    def add(self, reader: Reader, cancelled: Callable[[], bool]) -> None:
        """Have what a coder reads, beside what others do, as far as it goes before it is cancelled."""
        if reader.coder in self._holdings:
            return
        blocks = self._open_blocks(reader)
        holding = Holding(blocks=blocks)
        if reader.tokenizer:
            self._tokenizers[reader.coder] = reader.tokenizer
            mirrors = self._index.mirrors
            found = mirrors.read_as(
                reader.tokenizer, reader.on_packages, self._index.files, lambda *_: not cancelled()
            )
            holding = Holding(found.tokens, found.packages, blocks, found.wait)
        self._holdings = {**self._holdings, reader.coder: holding}

    def keep_only(self, coder: str) -> None:
        """This one has taken over: what the others had in memory goes."""
        if coder not in self._holdings:
            return
        for other, holding in self._holdings.items():
            if other != coder and holding.blocks:
                holding.blocks.retire()
        self._holdings = {coder: self._holdings[coder]}
        if tokenizer := self._tokenizers.get(coder):
            self._index.mirrors.speak(tokenizer)
        give_back()

    def follow(self, *, whole: bool) -> None:
        """The index has been updated; `whole`: it has looked at all there is."""
        for kept in self._kept.values():
            kept.follow(self._index.files(), whole=whole)

    def hold_back(self, paths: Collection[str]) -> None:
        """See `KeptBlocks.hold_back`."""
        for kept in self._kept.values():
            kept.hold_back(paths)

    def drop(self, paths: Collection[str]) -> None:
        """See `KeptBlocks.drop`."""
        for kept in self._kept.values():
            kept.drop(paths)

    def close(self) -> None:
        self._holdings = {}
        for kept in self._kept.values():
            kept.close()

    def _open_blocks(self, reader: Reader) -> KeptBlocks | None:
        if reader.coder in self._kept:
            return self._kept[reader.coder]  # it was here before, and comes again
        try:
            blocks = reader.open_blocks(self._index)
        except Exception as error:  # suggestions go on without what is kept
            log.warning("The blocks of %s cannot be kept: %s", self._index.root.name, described(error))
            return None
        if blocks:
            self._kept[reader.coder] = blocks
        return blocks
