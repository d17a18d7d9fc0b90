"""Samples -> training rows in the layouts of serving, for every context mode.

`model.prompt` lays the rows out, so training and serving cannot drift apart.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.blocks.block import SPAN
from model.context import LATE_TOKENS
from model.families import FimOrder
from model.layout import DocumentName, document_ids
from model.prompt import (
    PSEUDO,
    Budget,
    Head,
    build_prompt,
    exact_text,
    fit_documents,
    worst_first,
)
from model.training.samples import Passage, Sample
from model.vocabulary import Vocabulary

_MIN_TEXT = 64  # tokens around the cursor that even the shortest prompt has


@dataclass(frozen=True)
class RowShape:
    """Sizes in tokens, as in serving (`model.settings`)."""

    length: int = 768
    shortest: float = (
        1.0  # prompts get between this share of the length and all of it: serving has short ones, too
    )
    suffix: int = 160
    middle: int = 96
    snippets: int = 384
    hybrid_text: int = 256
    signatures: int = 48
    blocks: int = 512  # on top of the length, their sink among them
    recite: int = 56  # of each chunk
    text_weight: float = 0.4  # of a token that the prompt gives, against 1 of a token of the middle


@dataclass(frozen=True)
class ContextRow:
    """`ids` [n] with PSEUDO in the slots, `weights` [n] of predicting each id, `middle`: where the middle begins;
    `sizes` of the blocks behind the first token, which is their sink then, and how many of the ids behind them do not
    see them (`block_rows.py`)."""

    ids: list[int]
    weights: list[float]
    middle: int
    sizes: tuple[int, ...] = ()
    n_early: int = 0


class RowBuilder:
    """Lays out samples for one vocabulary and prompt order."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        order: FimOrder,
        shape: RowShape,
        m: int,
        reader: Vocabulary | None = None,
    ) -> None:
        """`m`: pseudo-tokens of a node. `reader`: the fuser's vocabulary, where it is not the coder's."""
        self._vocabulary, self._order, self.shape, self._m = vocabulary, order, shape, m
        self._reader = reader or vocabulary

    @property
    def mark(self) -> int:
        """The fuser's token between the two halves of a query."""
        return self._reader.fim.prefix

    def none(self, sample: Sample, share: float = 1.0) -> ContextRow:
        """`share` of the length is the row's, here and below."""
        return self._row(sample, [], share)

    def snippets(self, sample: Sample, hits: Sequence[Passage]) -> ContextRow:
        """`hits` best first, as everywhere."""
        documents = [(p.path, p.text) for p in hits]
        return self._row(sample, self._documents(documents, self._room(0, self.shape.snippets)), 1.0)

    def blocks(
        self, sample: Sample, hits: Sequence[Passage], share: float = 1.0, n_late: int = LATE_TOKENS
    ) -> ContextRow:
        """The row without context behind the blocks of `hits`, which come on top of its length; the middle and
        `n_late` tokens before it see them."""
        row, sink = self._row(sample, [], share), self._vocabulary.fim.end
        shown: list[list[int]] = []
        for hit in hits:
            ids = document_ids(self._vocabulary, hit.path, hit.text)[:SPAN]
            if 1 + sum(map(len, shown)) + len(ids) > self.shape.blocks:
                break
            shown.insert(0, ids)
        if not shown:
            return row
        front = [sink, *(token for ids in shown for token in ids)]
        skipped = int(row.ids[0] == sink)  # left to right, a row begins with one
        # The first token of a block, and of what follows, is not predicted from what stands before it.
        given = [w for ids in shown for w in (0.0, *[self.shape.text_weight] * (len(ids) - 1))]
        weights = [0.0, *given, 0.0, *row.weights[skipped + 1 :]]
        middle = row.middle + len(front) - skipped
        n_early = max(0, row.middle - skipped - n_late)
        return ContextRow(front + row.ids[skipped:], weights, middle, tuple(map(len, shown)), n_early)

    def pseudo(self, sample: Sample, n_nodes: int, share: float = 1.0) -> ContextRow:
        return self._row(sample, [PSEUDO] * (n_nodes * self._m), share)

    def hybrid(self, sample: Sample, n_nodes: int, hits: Sequence[Passage], share: float = 1.0) -> ContextRow:
        told = [(p.path, p.text, p.signature) for p in hits]
        text = self._room(n_nodes * self._m, self.shape.hybrid_text)
        signatures = self._room(n_nodes * self._m + text, self.shape.signatures)
        ids = exact_text(self._vocabulary, told, text, signatures)
        return self._row(sample, [*[PSEUDO] * (n_nodes * self._m), *ids], share)

    def _room(self, taken: int, wanted: int) -> int:
        """Tokens of text, `wanted` at most, that a row has room for behind so many of its context."""
        return max(0, min(wanted, self.shape.length - self.shape.middle - _MIN_TEXT - taken))

    def share(self, rng: random.Random) -> float:
        """How much of the length the next row gets."""
        return rng.uniform(self.shape.shortest, 1.0)

    def recite(self, passages: Sequence[Passage], rng: random.Random) -> ContextRow:
        """The memories of chunks, then a stretch of each in another order: where what was just written stands in one
        of them, that one says what follows (the first lesson, after REFRAG, arXiv 2509.01092)."""
        slots = [PSEUDO] * (len(passages) * self._m)
        stretches = [self._stretch(p, rng) for p in rng.sample(passages, len(passages))]
        text = [token for stretch in stretches for token in stretch][: max(0, self.shape.length - len(slots))]
        return ContextRow(slots + text, [0.0] * (len(slots) + 1) + [1.0] * (len(text) - 1), len(slots))

    def _stretch(self, passage: Passage, rng: random.Random) -> list[int]:
        """Some lines of a chunk, from its beginning in a part of the cases."""
        lines = passage.leaf.splitlines(keepends=True)
        first = rng.randrange(len(lines)) if lines and rng.random() < 0.8 else 0
        return document_ids(self._vocabulary, passage.path, "".join(lines[first:]))[: self.shape.recite]

    def chunk_ids(self, passage: Passage, limit: int) -> list[int]:
        """What the fuser reads of a passage."""
        return self._reader.encode(passage.leaf)[:limit]

    def query_ids(self, sample: Sample, before: int, after: int) -> tuple[list[int], list[int]]:
        encode = self._reader.encode
        return encode(sample.prefix[-8 * before :])[-before:], encode(sample.suffix[: 8 * after])[:after]

    def _documents(self, documents: Sequence[tuple[str, str]], budget: int) -> list[int]:
        return list(worst_first(fit_documents(self._vocabulary, documents, budget)))

    def _row(self, sample: Sample, head: list[int], share: float) -> ContextRow:
        shape = self.shape
        # Left to right, more text follows the middle: its end is nothing to learn.
        end = [] if self._order == "ltr" else [self._vocabulary.fim.end]
        middle = [*self._vocabulary.encode(sample.middle), *end][: shape.middle]
        wanted = max(int(share * shape.length) - len(middle), len(head) + _MIN_TEXT)
        budget = Budget(min(wanted, shape.length - len(middle)), shape.suffix)
        slots = np.zeros((head.count(PSEUDO), 1), np.float32)
        prompt = build_prompt(
            self._vocabulary,
            self._order,
            Head(tuple(head), slots),
            sample.prefix,
            sample.suffix,
            budget,
            DocumentName(sample.path),
        )
        given = [0.0 if token == PSEUDO else shape.text_weight for token in prompt.ids]
        return ContextRow([*prompt.ids, *middle], given + [1.0] * len(middle), len(prompt.ids))


@dataclass(frozen=True)
class ModeMix:
    """Shares of the context modes; `recite` only during the first `recite_until` of the budget."""

    none: float = 0.15
    snippets: float = 0.3
    pseudo: float = 0.35
    hybrid: float = 0.2
    blocks: float = 0.0
    recite: float = 0.3
    recite_until: float = 0.35
    foreign: float = 0.04  # of the rows with pseudo-tokens: nodes of another repository
    noise: float = 0.04  # of them: random vectors
    deep: float = 0.3  # of the parents: directories instead of files
    parents: float = 0.3  # of those rows: a file or a directory among the nodes
    fewest_nodes: int = 2
    max_nodes: int = 8

    def draw(self, rng: random.Random, progress: float) -> str:
        if progress < self.recite_until and rng.random() < self.recite:
            return "recite"
        modes = ("none", "snippets", "pseudo", "hybrid", "blocks")
        return rng.choices(modes, [self.none, self.snippets, self.pseudo, self.hybrid, self.blocks])[0]
