"""Related windows of the same repository, found by the tokens they share: contexts for pretraining, without an index.

Every repository is cut into windows of about `size` tokens at line ends. A window is remembered as the set of its
tokens (one bit each), and a query's rare tokens weigh most (inverse document frequency).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.training.tokens import TokenFile

_QUERY_TOKENS = 48  # rarest distinct tokens of a query that are looked up


@dataclass(frozen=True)
class NeighborWindow:
    """Tokens [start, end) of the token file, which belong to file `file` of its repository."""

    file: int
    start: int
    end: int


class Neighbors:
    """Window lookup within each repository of a token file."""

    def __init__(self, corpus: TokenFile, ends_line: np.ndarray, vocab_size: int, size: int = 128) -> None:
        """`ends_line` bool [vocab]: whether a token's text ends with a newline."""
        self._corpus = corpus
        self._windows: list[list[NeighborWindow]] = []
        for repository in corpus.repositories:
            windows: list[NeighborWindow] = []
            for i, span in enumerate(repository.files):
                breaks = np.flatnonzero(ends_line[corpus.tokens[span.start : span.end]]) + 1
                windows += _cut(i, span.start, span.end, breaks, size)
            self._windows.append(windows)
        self._bits = [self._presence(windows, vocab_size) for windows in self._windows]
        seen = np.zeros(vocab_size, np.int64)
        for bits in self._bits:
            seen += np.unpackbits(bits, axis=1, count=vocab_size).sum(axis=0, dtype=np.int64)
        n_windows = sum(map(len, self._windows))
        self._weight = np.log((1 + n_windows) / (1 + seen)).astype(np.float32)

    def _presence(self, windows: Sequence[NeighborWindow], vocab_size: int) -> np.ndarray:
        """uint8 [n, vocab / 8]: bit t of row i says whether window i holds token t."""
        packed = np.zeros((len(windows), -(-vocab_size // 8)), np.uint8)
        row = np.zeros(vocab_size, np.uint8)
        for i, window in enumerate(windows):
            tokens = self._corpus.tokens[window.start : window.end]
            row[tokens] = 1
            packed[i] = np.packbits(row)
            row[tokens] = 0
        return packed

    def similar(
        self, repository: int, query: np.ndarray, hidden: tuple[int, int], k: int
    ) -> list[NeighborWindow]:
        """The k windows that share most with `query` (token ids), best first; none that touches `hidden`."""
        ids = np.unique(query)
        ids = ids[np.argsort(-self._weight[ids])][:_QUERY_TOKENS]
        bits = (self._bits[repository][:, ids >> 3] >> (7 - (ids & 7)).astype(np.uint8)) & 1
        order = np.argsort(-(bits @ self._weight[ids]), kind="stable")
        windows = self._windows[repository]
        found = (windows[i] for i in order[: 4 * k])
        return [w for w in found if w.end <= hidden[0] or w.start >= hidden[1]][:k]

    def any(
        self, repository: int, rng: np.random.Generator, hidden: tuple[int, int], k: int
    ) -> list[NeighborWindow]:
        """Windows at random: what a useless retrieval looks like."""
        windows = self._windows[repository]
        found = (windows[i] for i in rng.integers(len(windows), size=k))
        return [w for w in found if w.end <= hidden[0] or w.start >= hidden[1]]


def _cut(file: int, start: int, end: int, breaks: np.ndarray, size: int) -> list[NeighborWindow]:
    windows, at = [], 0
    length = end - start
    while at < length:
        # The last line end within `size` tokens; a longer line is cut anywhere.
        i = int(np.searchsorted(breaks, at + size, side="right")) - 1
        to = int(breaks[i]) if i >= 0 and breaks[i] > at else min(at + size, length)
        windows.append(NeighborWindow(file, start + at, start + to))
        at = to
    return windows
