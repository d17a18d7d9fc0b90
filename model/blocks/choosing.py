"""Which texts a prompt wants as blocks: what retrieval found, and of the document what the window leaves out.

A coder that was never taught to fill a hole has nothing behind the cursor in its window. It reads the text below the
cursor's line as a block, which stays the same while somebody types in that line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from model.blocks.block import SPAN, n_kept
from model.blocks.library import BlockText
from model.blocks.parts import nearest_parts, splitting
from model.layout import document_ids
from model.prompt import Prompt
from model.repository import PACKAGE_LEVEL, ContextItem
from model.vocabulary import CHARS_PER_TOKEN, Vocabulary

_OWN_SHARE = 0.5  # of the rows, for the document; what one side does not need is the other's


class BlockChoice:
    """Chooses for one coder. `rows`: that all blocks of a prompt may have; `share`: of a text's tokens that is kept;
    `reads_below`: whether the text below the cursor's line is one."""

    def __init__(self, vocabulary: Vocabulary, rows: int, share: float, *, reads_below: bool = False) -> None:
        self._vocabulary = vocabulary
        self._split = splitting(vocabulary)
        self._rows = rows
        self._share = share
        self._reads_below = reads_below

    def choose(
        self, items: Sequence[ContextItem], window: Prompt, prefix: str, suffix: str
    ) -> tuple[tuple[BlockText, ...], tuple[ContextItem, ...]]:
        """The texts, the most wanted first, and the items among them: of `items` (best first) and of the far parts of
        the document, `prefix` and `suffix`, as many as the rows hold beside `below`."""
        below = self.below(suffix)
        rows = self._rows - (self._n_rows(below) if below else 0)
        told = [(item, BlockText(_file(item), ids)) for item in items for ids in self._documents(item)]
        needed = sum(self._n_rows(text) for _, text in told)
        own_rows = max(int(rows * _OWN_SHARE), rows - needed)
        start, end = self._read(window, prefix, suffix, below)
        parts = nearest_parts(
            self._split, prefix + suffix, start, len(prefix), end, int(own_rows / self._share)
        )
        own = [BlockText(None, ids) for ids in parts]
        ends = np.cumsum([self._n_rows(text) for _, text in told])
        chosen = told[: int((ends <= rows - sum(map(self._n_rows, own))).sum())]
        texts = {text.ids: text for text in (*(text for _, text in chosen), *own)}
        return tuple(texts.values()), tuple(item for item, _ in chosen)

    def below(self, suffix: str, beside: Sequence[BlockText] = ()) -> BlockText | None:
        """The beginning of what stands below the cursor's line, as much as has room beside what was chosen before; None
        where that is blank, where it is no block, and where there are no rows for it."""
        text = _below_line(suffix[: SPAN * CHARS_PER_TOKEN * 2])
        if not self._reads_below or not text.strip():
            return None
        room = min(SPAN, int((self._rows - sum(map(self._n_rows, beside))) / self._share))
        if room < 1:
            return None
        return BlockText(None, tuple(self._vocabulary.encode(text[: SPAN * CHARS_PER_TOKEN])[:room]))

    def _read(self, window: Prompt, prefix: str, suffix: str, below: BlockText | None) -> tuple[int, int]:
        """Between which characters of the document all is read already, in the window and below it."""
        n_before, n_after = (_n_chars(self._vocabulary, ids) for ids in (window.before, window.after))
        if self._reads_below:
            n_below = _n_chars(self._vocabulary, below.ids) if below else 0
            n_after = len(suffix) - len(_below_line(suffix)) + n_below
        return max(0, len(prefix) - n_before - 1), len(prefix) + n_after

    def _documents(self, item: ContextItem) -> Iterator[tuple[int, ...]]:
        """Ids of an item, the path in front of them."""
        if item.text:
            yield tuple(document_ids(self._vocabulary, item.path, item.text)[:SPAN])

    def _n_rows(self, text: BlockText) -> int:
        return n_kept(len(text.ids), self._share)


def _file(item: ContextItem) -> str | None:
    """Whose changes drop the block; a package's lies in memory only."""
    return None if item.level == PACKAGE_LEVEL else item.path


def _n_chars(vocabulary: Vocabulary, ids: Sequence[int]) -> int:
    return len(b"".join(map(vocabulary.token_bytes, ids)).decode("utf-8", "ignore"))


def _below_line(suffix: str) -> str:
    return suffix.partition("\n")[2]
