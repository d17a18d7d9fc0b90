"""Cache language model: what followed these tokens before, mixed into what the coder expects next.

Code repeats itself most where it is nearest (Hellendoorn and Devanbu, 2017): the document and the repository each give
a distribution by the longest ends of the context that they have seen (PPM's escape, method C), and a gate that sees how
sure each of the three is decides how much each counts, as in kNN-LM (Khandelwal et al., 2020) but learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model.drafts.stores import suffix_places

_SHORTEST = 2
_PLACES = 64  # of each length that are counted
_ENOUGH = 0.05  # what still escapes to shorter contexts is not worth a look


@dataclass(frozen=True, eq=False)
class Evidence:
    """A distribution over what comes next: int [k] tokens, none twice, and their probabilities (sum 1; k may be 0).

    `length`: tokens of the longest end of the context that was seen, `count`: how often.
    """

    tokens: np.ndarray
    chances: np.ndarray
    length: int = 0
    count: int = 0

    def of(self, tokens: Sequence[int]) -> np.ndarray:
        """The probabilities of these tokens."""
        known = dict(zip(self.tokens.tolist(), self.chances.tolist(), strict=True))
        return np.array([known.get(token, 0.0) for token in tokens])


NOTHING = Evidence(np.zeros(0, np.int64), np.zeros(0))


def evidence(matches: Iterable[tuple[int, np.ndarray]]) -> Evidence:
    """From (length of the match, int [n] what followed), the longest first; each holds all of those before it."""
    tokens, chances, left = [NOTHING.tokens], [NOTHING.chances], 1.0
    longest, count = 0, 0
    for length, followed in matches:
        seen, counts = np.unique(followed, return_counts=True)
        n = int(counts.sum())
        if not longest:
            longest, count = length, n
        # Method C: a context with many different successors has more to come.
        escape = len(seen) / (n + len(seen)) if len(seen) > 1 or n < 2 else 0.5 / (n + 1)
        tokens.append(seen)
        chances.append(left * (1 - escape) * counts / n)
        left *= escape
        if left < _ENOUGH:
            break
    if not longest:
        return NOTHING
    distinct, places = np.unique(np.concatenate(tokens), return_inverse=True)
    summed = np.bincount(places, np.concatenate(chances))
    return Evidence(distinct, summed / summed.sum(), longest, count)


def matches_within(ids: np.ndarray, context: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """`evidence`'s matches of the end of `context` in one sequence, int [n], that is not in an index; -1 is a gap."""
    nested = suffix_places(ids, context)
    n_before = 0
    for length in range(len(nested), _SHORTEST - 1, -1):
        if len(nested[length - 1]) > n_before:
            n_before = len(nested[length - 1])
            yield length, ids[nested[length - 1][-_PLACES:] + 1]


def gate_features(own: Evidence, other: Evidence, coder: np.ndarray, *, first: bool) -> np.ndarray:
    """What the gate sees; `coder`: its probabilities, float [vocab]. `first`: nothing was written yet."""
    tops = [int(e.tokens[e.chances.argmax()]) if e.length else -1 for e in (own, other)]
    sure = [float(e.chances.max()) if e.length else 0.0 for e in (own, other)]
    agreed = [float(coder[top]) if top >= 0 else 0.0 for top in tops]
    entropy = float(-(coder * np.log(coder + 1e-9)).sum())
    return np.array(
        [
            1.0,
            own.length / 8,
            other.length / 8,
            np.log1p(own.count),
            np.log1p(other.count),
            *sure,
            tops[0] == tops[1] >= 0,
            entropy,
            coder.max(),
            *agreed,
            own.length >= 8,
            other.length >= 8,
            first,
            own.length > other.length,
        ]
    )


def shares(gate: np.ndarray, features: np.ndarray, has_own: bool, has_other: bool) -> np.ndarray:
    """How much coder, document and repository count, float [3]: softmax of `gate` [3, features] over those that are."""
    scores = gate @ features
    scores = np.where([True, has_own, has_other], scores, -np.inf)
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum())


def mixed(coder: np.ndarray, own: Evidence, other: Evidence, weights: np.ndarray) -> np.ndarray:
    """The mixture of the three distributions, float32 [vocab]."""
    result = weights[0] * coder
    result[own.tokens] += weights[1] * own.chances
    result[other.tokens] += weights[2] * other.chances
    return np.asarray(result, np.float32)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax of one row."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())
