"""Which texts a prompt wants as blocks: what retrieval found, and of the document what the window leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from model.blocks.block import SPAN, n_kept
from model.blocks.library import BlockText
from model.blocks.parts import nearest_parts
from model.prompt import Prompt, document_ids
from model.repository import ContextItem
from model.vocabulary import Vocabulary

_OWN_SHARE = 0.5  # of the rows, for the document; what one side does not need is the other's


class BlockChoice:
    """Chooses for one coder. `rows`: that all blocks of a prompt may have; `share`: of a text's tokens that is kept."""

    def __init__(self, vocabulary: Vocabulary, rows: int, share: float) -> None:
        self._vocabulary = vocabulary
        self._rows = rows
        self._share = share

    def choose(
        self, items: Sequence[ContextItem], window: Prompt, prefix: str, suffix: str
    ) -> tuple[tuple[BlockText, ...], tuple[ContextItem, ...]]:
        """The texts, the most wanted first, and the items among them: of `items` (best first) and of the far parts of
        the document, `prefix` and `suffix`, as many as the rows hold."""
        told = [(item, BlockText(item.path, ids)) for item in items for ids in self._documents(item)]
        needed = sum(self._n_rows(text) for _, text in told)
        own_rows = max(int(self._rows * _OWN_SHARE), self._rows - needed)
        before, after = far_texts(self._vocabulary, window, prefix, suffix)
        parts = nearest_parts(self._vocabulary, before, after, int(own_rows / self._share))
        own = [BlockText(None, ids) for ids in parts]
        ends = np.cumsum([self._n_rows(text) for _, text in told])
        chosen = told[: int((ends <= self._rows - sum(map(self._n_rows, own))).sum())]
        texts = {text.ids: text for text in (*(text for _, text in chosen), *own)}
        return tuple(texts.values()), tuple(item for item, _ in chosen)

    def _documents(self, item: ContextItem) -> Iterator[tuple[int, ...]]:
        """Ids of an item, the path in front of them."""
        if item.text:
            yield tuple(document_ids(self._vocabulary, item.path, item.text)[:SPAN])

    def _n_rows(self, text: BlockText) -> int:
        return n_kept(len(text.ids), self._share)


def far_texts(vocabulary: Vocabulary, window: Prompt, prefix: str, suffix: str) -> tuple[str, str]:
    """What of a document lies in front of the window's part of it, and behind."""
    n_before, n_after = (
        len(b"".join(map(vocabulary.token_bytes, ids)).decode("utf-8", "ignore"))
        for ids in (window.before, window.after)
    )
    return prefix[: max(0, len(prefix) - n_before - 1)], suffix[n_after:]
