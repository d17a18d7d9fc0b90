"""Row number -> training row. A pure function, so that the position in the data is one integer of the checkpoint.

A row is filled with documents in the very layout of completion (`model/prompt.py`): related windows of the
repository as `<|file_sep|>path` snippets, then suffix, prefix and middle, or a stretch of a file as it stands.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from model.prompt import fim_layout
from model.training.fim import cut_at
from model.training.neighbors import Neighbors
from model.training.tokens import TokenFile, TokenSpan
from model.vocabulary import Vocabulary

_SPACING = 512  # tokens between the places that an epoch visits
_MIN_DOCUMENT = 96  # a smaller rest of a row is padded


@dataclass(frozen=True)
class Mix:
    """Shares and sizes (in tokens) of what a row holds."""

    length: int = 1024
    fim: float = 0.7
    context: float = 0.6  # of the documents, with related windows in front
    unrelated: float = 0.15  # of those contexts, windows at random: retrieval is not always right
    max_context: int = 512
    max_suffix: int = 192
    max_middle: int = 160
    middle_weight: float = 1.5
    seed: int = 1


@dataclass(frozen=True)
class TrainingRow:
    """`ids` int64 [length + 1]; of ids[:-1], `documents` int64 [length]: the number of each token's document in the
    row; of predicting ids[1:], `weights` float32 [length]: none where a document begins."""

    ids: np.ndarray
    documents: np.ndarray
    weights: np.ndarray


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
        ids: list[int] = []
        documents: list[int] = []
        weights: list[float] = []
        room = self._mix.length + 1
        anchor = place * _SPACING + int(rng.integers(_SPACING))
        while room - len(ids) >= _MIN_DOCUMENT:
            document, weight = self._document(min(anchor, len(self._corpus.tokens) - 1), room - len(ids), rng)
            ids += document
            documents += [len(ids)] * len(document)
            weights += [0.0, *weight[1:]]
            anchor = int(rng.integers(len(self._corpus.tokens)))
        padding = room - len(ids)
        ids += [self._vocabulary.fim.end] * padding
        documents += [len(ids)] * padding
        weights += [0.0] * padding
        return TrainingRow(
            np.array(ids, np.int64), np.array(documents[:-1], np.int64), np.array(weights[1:], np.float32)
        )

    def _order(self, epoch: int) -> np.ndarray:
        """The places in the order in which an epoch visits them. Kept: a large corpus has millions."""
        if self._epoch != epoch:
            self._epoch, self._places = (
                epoch,
                np.random.default_rng([self._mix.seed, epoch]).permutation(self._n_places),
            )
        return self._places

    def _document(self, anchor: int, room: int, rng: np.random.Generator) -> tuple[list[int], list[float]]:
        """Tokens and weights of one document around token `anchor`, at most `room`."""
        r, f = self._files[int(np.searchsorted(self._starts, anchor, side="right")) - 1]
        span = self._corpus.repositories[r].files[f]
        if rng.random() < self._mix.fim:
            return self._fim_document(r, span, anchor, room, rng)
        start = self._line_start(span, anchor)
        hidden = (start, min(span.end, start + room))
        context = self._context(r, self._corpus.tokens[slice(*hidden)][:128], hidden, room // 2, rng)
        head = self._header(span.path)
        body = self._corpus.tokens[slice(*hidden)].tolist()
        end = [self._vocabulary.fim.end] if hidden[1] == span.end else []
        ids = [*context, *head, *body, *end][:room]
        return ids, [1.0] * len(ids)

    def _fim_document(
        self, r: int, span: TokenSpan, anchor: int, room: int, rng: np.random.Generator
    ) -> tuple[list[int], list[float]]:
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
        middle = self._vocabulary.encode(cut.middle)[: min(mix.max_middle, room // 2)]
        n_suffix = 0 if rng.random() < 0.1 else int(rng.integers(8, mix.max_suffix))
        suffix = self._vocabulary.encode(cut.suffix)[: min(n_suffix, room // 4)]
        prefix = self._vocabulary.encode(cut.prefix)
        left = room - len(middle) - len(suffix) - 3
        query = np.array(suffix[:32] + prefix[-96:], np.int64)
        context = self._context(r, query, (start, end), min(left // 2, left), rng)
        prefix = prefix[-(left - len(context)) :]
        head = fim_layout(self._vocabulary.fim, "spm", context, prefix, suffix)
        tail = [*middle, self._vocabulary.fim.end]
        return head + tail, [1.0] * len(head) + [mix.middle_weight] * len(tail)

    def _context(
        self, r: int, query: np.ndarray, hidden: tuple[int, int], room: int, rng: np.random.Generator
    ) -> list[int]:
        """Snippets, worst first, so that the best stands nearest to the cursor."""
        mix = self._mix
        if rng.random() >= mix.context or not len(query):
            return []
        budget = min(room, int(rng.integers(64, mix.max_context)))
        if rng.random() < mix.unrelated:
            windows = self._neighbors.any(r, rng, hidden, 4)
        else:
            windows = self._neighbors.similar(r, query, hidden, 4)
        context: list[int] = []
        for window in windows:
            path = self._corpus.repositories[r].files[window.file].path
            tokens = self._corpus.tokens[window.start : window.end].tolist()
            snippet = [*self._header(path), *tokens]
            if len(context) + len(snippet) > budget:
                break
            context = snippet + context
        return context

    def _line_start(self, span: TokenSpan, near: int) -> int:
        """The last start of a line at or before token `near` of a file."""
        near = max(near, span.start)
        ends = np.flatnonzero(self._ends_line[self._corpus.tokens[span.start : near]])
        return span.start + (int(ends[-1]) + 1 if len(ends) else 0)

    def _header(self, path: str) -> list[int]:
        separator = self._vocabulary.fim.file_sep
        assert separator is not None, "our own tokenizer has all control tokens"
        return [separator, *self._vocabulary.encode(path + "\n")]

    def _text(self, start: int, end: int) -> str:
        ids = self._corpus.tokens[start:end].tolist()
        text: str = self._vocabulary.tokenizer.decode(ids, skip_special_tokens=False)
        return text
