"""Row number -> training row. A pure function, so that the position in the data is one integer of the checkpoint.

A row is filled with documents in the very layout of completion (`model/prompt.py`): related windows of the
repository as `<|file_sep|>path` snippets, then suffix, prefix and middle, or a stretch of a file as it stands. The
windows stand as text or as blocks (`block_rows.py`); either way their tokens are learned, too. A coder that was taught
no holes reads on: what stands below the cursor's line is a block then, as `model.blocks.choosing` makes it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from model.blocks.block import SPAN
from model.context import LATE_ALLOWED as LATE
from model.layout import fim_layout, title_ids
from model.training.block_rows import begins, places
from model.training.fim import Cut, cut_at
from model.training.neighbors import Neighbors
from model.training.tokens import TokenFile, TokenSpan
from model.vocabulary import Vocabulary

_SPACING = 512  # tokens between the places that an epoch visits
_MIN_DOCUMENT = 96  # a smaller rest of a row is padded
_UNSEEN = 0.1  # of the holes, of which nothing behind the cursor is shown
_LINE_END = re.compile(r"\n\s*|")


@dataclass(frozen=True)
class Mix:
    """Shares and sizes (in tokens) of what a row holds."""

    length: int = 1024
    fim: float = 0.7
    context: float = 0.6  # of the documents, with related windows in front
    unrelated: float = 0.15  # of those contexts, windows at random: retrieval is not always right
    block_share: float = 0.0  # of those contexts, as blocks instead of text
    max_context: int = 512
    max_suffix: int = 192
    max_middle: int = 160
    middle_weight: float = 1.5
    seed: int = 1


@dataclass(frozen=True)
class TrainingRow:
    """`ids` int64 [length + 1]; of ids[:-1], each int64 [length]: `positions`, counted in each document, `documents`,
    the number of each token's document in the row, and `blocks`, that of its block in the document, 0 outside. Of
    predicting ids[1:], `weights` float32 [length]: none where a document or a block begins, or what follows blocks."""

    ids: np.ndarray
    positions: np.ndarray
    documents: np.ndarray
    blocks: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class _Part:
    """Tokens of a row and the weights of predicting them; `sizes` of the blocks behind the first token, a sink then,
    and how many of the tokens behind them do not see them."""

    ids: list[int]
    weights: list[float]
    sizes: Sequence[int] = ()
    n_early: int = 0

    def before(self, ids: Sequence[int], weights: Sequence[float], n_late: int | None = None) -> _Part:
        """This part and what follows it in the same document, the last `n_late` of which see its blocks (None: all)."""
        n_early = max(0, len(ids) - n_late) if self.sizes and n_late is not None else 0
        return _Part([*self.ids, *ids], [*self.weights, *weights], self.sizes, n_early)

    def beside(self, ids: Sequence[int]) -> _Part:
        """This part, a sink with blocks or without, and another block."""
        return _Part([*self.ids, *ids], [*self.weights, *[1.0] * len(ids)], [*self.sizes, len(ids)])


class Sequences:
    """Training rows over one token file."""

    def __init__(self, corpus: TokenFile, vocabulary: Vocabulary, mix: Mix) -> None:
        self._corpus, self._vocabulary, self._mix = corpus, vocabulary, mix
        vocab_size = vocabulary.tokenizer.get_vocab_size()
        self._ends_line = np.array([vocabulary.token_bytes(i).endswith(b"\n") for i in range(vocab_size)])
        self._neighbors = Neighbors(corpus, self._ends_line, vocab_size)
        self._files = [(r, f) for r, repo in enumerate(corpus.repositories) for f in range(len(repo.files))]
        self._starts = np.array([corpus.repositories[r].files[f].start for r, f in self._files])
        self._n_places = max(1, len(corpus.tokens) // _SPACING)
        self._epoch, self._places = -1, np.zeros(0, np.int64)

    def row(self, number: int) -> TrainingRow:
        """Row `number`; epochs visit the places of the corpus in different orders."""
        epoch, turn = divmod(number, self._n_places)
        place = int(self._order(epoch)[turn])
        rng = np.random.default_rng([self._mix.seed, 1, number])
        parts: list[_Part] = []
        left = self._mix.length + 1
        anchor = place * _SPACING + int(rng.integers(_SPACING))
        while left >= _MIN_DOCUMENT:
            part = self._document(min(anchor, len(self._corpus.tokens) - 1), left, rng)
            parts.append(part)
            left -= len(part.ids)
            anchor = int(rng.integers(len(self._corpus.tokens)))
        return _joined([*parts, _Part([self._vocabulary.fim.end] * left, [0.0] * left)])

    def _order(self, epoch: int) -> np.ndarray:
        """The places in the order in which an epoch visits them. Kept: a large corpus has millions."""
        if self._epoch != epoch:
            self._epoch, self._places = (
                epoch,
                np.random.default_rng([self._mix.seed, epoch]).permutation(self._n_places),
            )
        return self._places

    def _document(self, anchor: int, room: int, rng: np.random.Generator) -> _Part:
        """One document around token `anchor`, at most `room` tokens."""
        r, f = self._files[int(np.searchsorted(self._starts, anchor, side="right")) - 1]
        span = self._corpus.repositories[r].files[f]
        if rng.random() < self._mix.fim:
            return self._fim_document(r, span, anchor, room, rng)
        start = self._line_start(span, anchor)
        hidden = (start, min(span.end, start + room))
        query = self._corpus.tokens[slice(*hidden)][:128]
        context = self._led(self._context(r, query, hidden, room // 2, rng))
        head = title_ids(self._vocabulary, span.path)
        body = self._corpus.tokens[slice(*hidden)].tolist()
        end = [self._vocabulary.fim.end] if hidden[1] == span.end else []
        ids = [*head, *body, *end][: room - len(context.ids)]
        return context.before(ids, [1.0] * len(ids))

    def _fim_document(
        self, r: int, span: TokenSpan, anchor: int, room: int, rng: np.random.Generator
    ) -> _Part:
        mix = self._mix
        start, end = (
            self._line_start(span, anchor - room),
            min(span.end, anchor + mix.max_suffix + mix.max_middle),
        )
        before = self._text(start, anchor)
        text = before + self._text(anchor, end)
        cut = cut_at(text, len(before), random.Random(int(rng.integers(2**32))))
        if cut is None:
            return self._document(int(rng.integers(len(self._corpus.tokens))), room, rng)
        if not self._vocabulary.fim.fills:
            return self._read_on(r, cut, (start, end), room, rng)
        middle = self._vocabulary.encode(cut.middle)[: min(mix.max_middle, room // 2)]
        n_suffix = 0 if rng.random() < _UNSEEN else int(rng.integers(8, mix.max_suffix))
        suffix = self._vocabulary.encode(cut.suffix)[: min(n_suffix, room // 4)]
        prefix = self._vocabulary.encode(cut.prefix)
        left = room - len(middle) - len(suffix) - 3
        query = np.array(suffix[:32] + prefix[-96:], np.int64)
        context = self._context(r, query, (start, end), min(left // 2, left), rng)
        prefix = prefix[-(left - len(context.ids)) :]
        head = fim_layout(self._vocabulary.fim, "spm", (), prefix, suffix)
        tail = [*middle, self._vocabulary.fim.end]
        n_late = len(tail) + int(rng.integers(LATE.start, LATE.stop)) if context.sizes else None
        return context.before(head + tail, [1.0] * len(head) + [mix.middle_weight] * len(tail), n_late)

    def _read_on(
        self, r: int, cut: Cut, hidden: tuple[int, int], room: int, rng: np.random.Generator
    ) -> _Part:
        """Prefix and middle as one text, to where the next line's text begins, and what stands below it as a block."""
        mix, encode = self._mix, self._vocabulary.encode
        ending = _LINE_END.match(cut.suffix)
        assert ending is not None, "it matches nothing at all, too"
        before = encode(cut.prefix)
        text = encode(cut.prefix + cut.middle + ending[0])[: len(before) + mix.max_middle]
        is_seen = mix.block_share > 0 and rng.random() >= _UNSEEN
        below = encode(cut.suffix.partition("\n")[2])[: min(SPAN, room // 4)] if is_seen else []
        query = np.array(below[:32] + before[-96:], np.int64)
        context = self._context(r, query, hidden, (room - len(below)) // 2, rng)
        shows_text = bool(context.ids) and not context.sizes
        context = self._led(context)
        if below and not shows_text:
            context = context.beside(below)
        n_middle = max(1, len(text) - len(before))
        text = text[-(room - len(context.ids)) :]
        weights = [*[1.0] * (len(text) - n_middle), *[mix.middle_weight] * n_middle][-len(text) :]
        n_late = n_middle + int(rng.integers(LATE.start, LATE.stop)) if context.sizes else None
        return context.before(text, weights, n_late)

    def _context(
        self, r: int, query: np.ndarray, hidden: tuple[int, int], room: int, rng: np.random.Generator
    ) -> _Part:
        """Snippets, worst first, so that the best stands nearest to the cursor."""
        mix = self._mix
        if rng.random() >= mix.context or not len(query):
            return _Part([], [])
        # Without blocks nothing is drawn: the rows stay those of older runs.
        as_blocks = mix.block_share > 0 and rng.random() < mix.block_share
        budget = min(room, int(rng.integers(64, mix.max_context))) - int(as_blocks)  # for the sink
        if rng.random() < mix.unrelated:
            windows = self._neighbors.any(r, rng, hidden, 4)
        else:
            windows = self._neighbors.similar(r, query, hidden, 4)
        snippets: list[list[int]] = []
        for window in windows:
            path = self._corpus.repositories[r].files[window.file].path
            tokens = self._corpus.tokens[window.start : window.end].tolist()
            snippet = [*title_ids(self._vocabulary, path), *tokens][: SPAN if as_blocks else None]
            if sum(map(len, snippets)) + len(snippet) > budget:
                break
            snippets.insert(0, snippet)
        ids = [token for snippet in snippets for token in snippet]
        if not as_blocks or not ids:
            return _Part(ids, [1.0] * len(ids))
        return _Part([self._vocabulary.fim.end, *ids], [1.0] * (1 + len(ids)), [*map(len, snippets)])

    def _led(self, context: _Part) -> _Part:
        """What a document begins with: a coder that was taught no holes has the mark between texts in front of all."""
        fim = self._vocabulary.fim
        is_begun = fim.fills or bool(context.sizes)
        return context if is_begun else _Part([fim.end, *context.ids], [1.0, *context.weights])

    def _line_start(self, span: TokenSpan, near: int) -> int:
        """The last start of a line at or before token `near` of a file."""
        near = max(near, span.start)
        ends = np.flatnonzero(self._ends_line[self._corpus.tokens[span.start : near]])
        return span.start + (int(ends[-1]) + 1 if len(ends) else 0)

    def _text(self, start: int, end: int) -> str:
        ids = self._corpus.tokens[start:end].tolist()
        text: str = self._vocabulary.tokenizer.decode(ids, skip_special_tokens=False)
        return text


def _joined(parts: Sequence[_Part]) -> TrainingRow:
    """A row of documents; it is one token longer than what it teaches."""
    lengths = [len(part.ids) for part in parts]
    laid_out = [places(part.sizes, len(part.ids), part.n_early) for part in parts]
    positions, blocks = (np.concatenate([np.array(each[i], np.int64) for each in laid_out]) for i in (0, 1))
    documents = np.repeat(np.cumsum(lengths), lengths)
    untold = (np.diff(documents) != 0) | begins(torch.from_numpy(blocks)).numpy()
    weights = np.array([weight for part in parts for weight in part.weights], np.float32)[1:]
    return TrainingRow(
        np.array([token for part in parts for token in part.ids], np.int64),
        positions[:-1],
        documents[:-1],
        blocks[:-1],
        np.where(untold, np.float32(0), weights),
    )
