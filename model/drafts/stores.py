"""Where drafts come from: token sequences in which the end of a context is looked up, and what followed it there.

Those of a repository are sorted (`indexer.SuffixIndex`). The document at hand and what was written lately are short
and change with every token: there a plain scan with numpy, some 10 us per thousand tokens, beats any index.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LONGEST = 16  # tokens of a context that are compared
WIDTH = 10  # tokens that are taken of what followed
LIMIT = 32  # places that are looked at
_END = -1


@dataclass(frozen=True, eq=False)
class Scanned:
    """A `TokenMatch`."""

    length: int
    continuations: np.ndarray


def scan(tokens: np.ndarray, context: Sequence[int]) -> Scanned:
    """Where the longest end of `context` occurs in `tokens` (int32 [n], -1 between sequences), the latest places.

    A copy that reaches the end of `tokens` goes on with what it has copied, as in LZ77: loops are foreseen in full.
    """
    nested = suffix_places(tokens, context)
    if not nested:
        return Scanned(0, np.zeros((0, WIDTH), np.int32))
    found = nested[-1][-LIMIT:, None]
    rows = tokens[found + 1 + np.arange(WIDTH) % (len(tokens) - 1 - found)]
    rows[np.logical_or.accumulate(rows == _END, axis=1)] = _END
    return Scanned(len(nested), rows)


def suffix_places(tokens: np.ndarray, context: Sequence[int]) -> list[np.ndarray]:
    """Where the last 1, 2, ... tokens of `context` end in `tokens` (int [n], -1 between sequences) with a token behind
    them, ascending; as far as there are any, and at most LONGEST."""
    if not len(context):
        return []
    places = np.flatnonzero((tokens[:-1] == context[-1]) & (tokens[1:] != _END))
    nested: list[np.ndarray] = []
    while len(places):
        nested.append(places)
        n = len(nested)
        if n == min(LONGEST, len(context)):
            break
        places = places[places >= n]
        places = places[tokens[places - n] == context[-1 - n]]
    return nested


class DocumentTokens:
    """The document around the cursor, which grows with what is written. Nothing that the cursor replaces is in it."""

    def __init__(self, before: Sequence[int], after: Sequence[int], room: int) -> None:
        """`room`: tokens that may be written."""
        self._start = len(after) + 1
        self._tokens = np.full(self._start + len(before) + room, _END, np.int32)
        self._tokens[: len(after)] = after
        self._n_context = 0

    def find(self, context: Sequence[int]) -> Scanned:
        """`context` is all that stands before; it begins with what it was at the last call."""
        end = self._start + len(context)
        self._tokens[self._start + self._n_context : end] = context[self._n_context :]
        self._n_context = len(context)
        return scan(self._tokens[:end], context)


class SessionTokens:
    """What was written and accepted lately, in any document; of the least recent it forgets first.

    FastCoder's cache (3.5) is consulted from its 50th sequence on, which completions of 10 to 50 tokens never reach:
    this one outlives the completion and counts from the first.
    """

    def __init__(self, max_tokens: int = 16_384) -> None:
        self._max_tokens = max_tokens
        self._sequences: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._tokens = np.zeros(0, np.int32)

    def learn(self, ids: Sequence[int]) -> None:
        """Remember a sequence, as the most recent one."""
        sequence = np.array([*ids, _END], np.int32)[-self._max_tokens :]
        self._sequences[sequence.tobytes()] = sequence
        self._sequences.move_to_end(sequence.tobytes())
        while sum(map(len, self._sequences.values())) > self._max_tokens:
            self._sequences.popitem(last=False)
        self._tokens = np.concatenate([*self._sequences.values()])

    def find(self, context: Sequence[int]) -> Scanned:
        return scan(self._tokens, context)
