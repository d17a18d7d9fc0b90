"""Windows of lines as bags of words, ranked by Jaccard similarity (RepoCoder, arXiv 2303.12570) or by BM25.

An inverted index over arrays: one request costs the postings of its own words, so that the baselines are as fast as
they can be made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

_WORD = re.compile(r"\w+")
_K1, _B = 1.5, 0.75  # the usual constants of Okapi BM25


@dataclass(frozen=True)
class Window:
    """Rows `first` (0-based) to `last` (not included) of a file."""

    path: str
    first: int
    last: int
    score: float = 0.0


class Windows:
    """All windows of `size` lines of some texts, one every `step` lines."""

    def __init__(self, texts: Mapping[str, str], size: int, step: int) -> None:
        self._places: list[tuple[str, int, int]] = []
        self._of_path: dict[str, slice] = {}
        bags: list[Counter[str]] = []
        for path, text in texts.items():
            begin = len(self._places)
            for first, last, bag in _bags(text.split("\n"), size, step):
                self._places.append((path, first, last))
                bags.append(bag)
            self._of_path[path] = slice(begin, len(self._places))
        self._sizes = np.array([len(bag) for bag in bags], np.int64)
        self._lengths = np.array([bag.total() for bag in bags], np.int64)
        self._mean_length = self._lengths.sum() / max(1, len(bags))
        self._invert(bags)

    def jaccard(self, text: str, limit: int, without: str = "") -> list[Window]:
        """The windows that share most words with a text, relative to all words of both; none of the file `without`."""
        words = set(_WORD.findall(text))
        owners = [self._owners[self._postings(word)] for word in words]
        shared = self._sum(owners, None)
        return self._best(shared / np.maximum(1, self._sizes + len(words) - shared), limit, without)

    def bm25(self, text: str, limit: int, without: str = "") -> list[Window]:
        """The same by BM25 over words."""
        found = [self._postings(word) for word in set(_WORD.findall(text))]
        weights = [self._weights(postings) for postings in found]
        return self._best(self._sum([self._owners[postings] for postings in found], weights), limit, without)

    def _invert(self, bags: Iterable[Counter[str]]) -> None:
        """Postings of a word are a slice of `owners` (windows) and `counts`."""
        self._ids: dict[str, int] = {}
        words = np.array(
            [self._ids.setdefault(word, len(self._ids)) for bag in bags for word in bag], np.int32
        )
        order = np.argsort(words, kind="stable")
        owners = np.repeat(np.arange(len(self._sizes), dtype=np.int32), self._sizes)
        counts = np.fromiter(chain.from_iterable(bag.values() for bag in bags), np.int32, len(words))
        self._owners, self._counts = owners[order], counts[order]
        self._starts = np.searchsorted(words[order], np.arange(len(self._ids) + 1))

    def _postings(self, word: str) -> slice:
        known = self._ids.get(word)
        return slice(0, 0) if known is None else slice(self._starts[known], self._starts[known + 1])

    def _weights(self, postings: slice) -> np.ndarray:
        counts = self._counts[postings]
        rarity = np.log1p((len(self._sizes) - len(counts) + 0.5) / (len(counts) + 0.5))
        lengths = self._lengths[self._owners[postings]] / self._mean_length
        weights: np.ndarray = rarity * counts * (_K1 + 1) / (counts + _K1 * (1 - _B + _B * lengths))
        return weights

    def _sum(self, owners: list[np.ndarray], weights: list[np.ndarray] | None) -> np.ndarray:
        none = np.zeros(0, np.int32)
        together = None if weights is None else np.concatenate([none, *weights])
        return np.bincount(np.concatenate([none, *owners]), together, minlength=len(self._sizes))

    def _best(self, scores: np.ndarray, limit: int, without: str) -> list[Window]:
        scores = scores.astype(np.float64)
        scores[self._of_path.get(without, slice(0, 0))] = 0.0
        best = np.argsort(-scores, kind="stable")[:limit]
        found = [(self._places[i], float(scores[i])) for i in best if scores[i] > 0]
        return [Window(path, first, last, score) for (path, first, last), score in found]


def _bags(lines: list[str], size: int, step: int) -> Iterable[tuple[int, int, Counter[str]]]:
    """(first, last, words) of windows; the last one ends with the text. Blank windows say nothing."""
    words = [_WORD.findall(line) for line in lines]
    for first in range(0, max(1, len(lines) - size + step), step):
        last = min(first + size, len(lines))
        if bag := Counter(chain.from_iterable(words[first:last])):
            yield first, last, bag
