"""Which candidate line is right, and how surely: a small forest of boosted trees over what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from model.checkpoint.fields import Fields
from model.recall.candidates import Candidate
from model.recall.cursor import NAME, Cursor

_NEAR_CHARS = 3_000  # before the cursor, and half of it behind: where a line's names are looked for
_NEAR_LINES = 30
_MOST_WRITTEN, _LARGEST_GAP = 4, 4  # lines that are told apart

FEATURES = (
    "same_before",
    "same_after",
    "same",
    "next_before",
    "next_after",
    "like_before",
    "like_after",
    "score",
    "behind_best",
    "rank",
    "share",
    "n_places",
    "n_own",
    "own",
    "distance",
    "step",
    "column_to_below",
    "n_matched",
    "inside",
    "adapted",
    "length",
    "names",
    "names_before",
    "names_after",
    "equals_above",
    "equals_below",
    "n_near",
    "n_candidates",
    "best_score",
    "whole",
    "shared",
    "agreeing",
    "agreeing_files",
    "agreement",
    "n_ways",
    "nearness",
    "in_a_row",
    "run",
    "exchanged",
    "known",
    "n_written",
    "gap",
    "shared_above",
    "agreeing_above",
    "agreement_above",
    "exchanging",
)


@dataclass(frozen=True, eq=False)
class Forest:
    """Complete binary trees of one depth, nodes in heap order. A row goes right where its feature is above the
    threshold. int [trees, inner] features, float [trees, inner] thresholds, float [trees, leaves] values."""

    features: np.ndarray
    thresholds: np.ndarray
    values: np.ndarray
    bias: float

    @classmethod
    def from_json(cls, fields: Fields) -> Forest:
        """Raises ValueError by name."""
        features, thresholds, values = (
            fields.array("features", "i"),
            fields.array("thresholds"),
            fields.array("values"),
        )
        n_trees, n_inner = features.shape if features.ndim == 2 else (0, 0)
        if not n_trees or n_inner & (n_inner + 1):
            raise ValueError("features are not those of complete trees")
        if (thresholds.shape, values.shape) != (features.shape, (n_trees, n_inner + 1)):
            raise ValueError("features, thresholds and values are not those of the same trees")
        if features.min() < 0 or features.max() >= len(FEATURES):
            raise ValueError(f"features are not from 0 to {len(FEATURES) - 1}")
        return cls(features, thresholds, values, fields.number("bias", -1e6, 1e6))

    def json(self) -> dict[str, Any]:
        rounded = {"thresholds": self.thresholds.round(5).tolist(), "values": self.values.round(5).tolist()}
        return {"features": self.features.tolist(), **rounded, "bias": round(self.bias, 5)}

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """float [n, features] -> float [n], the probability that each is right."""
        n_inner = self.features.shape[1]
        trees = np.arange(len(self.features))
        node = np.zeros((len(rows), len(trees)), np.int64)
        while node.size and node[0, 0] < n_inner:
            chosen = np.take_along_axis(rows, self.features[trees, node], axis=1)
            node = 2 * node + 1 + (chosen > self.thresholds[trees, node])
        scores = self.values[trees, node - n_inner].sum(axis=1) + self.bias
        return np.asarray(1.0 / (1.0 + np.exp(-scores)))


def features(cursor: Cursor, found: Sequence[Candidate], n_written: int = 0) -> np.ndarray:
    """float [candidates, FEATURES]. `n_written`: lines of the answer that stand before this one.

    What the coder thinks of a line is not among them: its log-probabilities, of the first token or of all, made the
    ranking no better (model/LOG.md), and without them a line can be decided on before the coder is asked.
    """
    surroundings = _Surroundings(cursor)
    scores = np.array([candidate.score for candidate in found])
    best = scores.max(initial=0.0)
    where = [min(n_written, _MOST_WRITTEN), gap(cursor)]
    rows = [
        [
            *surroundings.describe(one),
            len(found),
            best,
            *agreed(cursor, one),
            *followed(one),
            *where,
            one.above.length,
            np.log1p(one.above.n_places),
            one.above.share,
            exchanged(cursor, one),
        ]
        for one in found
    ]
    table = np.array(rows, dtype=np.float64).reshape(len(found), len(FEATURES))
    table[:, FEATURES.index("behind_best")] = best - scores
    table[:, FEATURES.index("rank")] = (scores[None, :] > scores[:, None]).sum(axis=1)
    return table


def agreed(cursor: Cursor, candidate: Candidate) -> list[float]:
    """What the places that share most with the cursor say of a candidate, and how near it lies."""
    agreement = candidate.agreement
    return [
        candidate.seen.whole,
        agreement.length,
        np.log1p(agreement.n_places),
        np.log1p(agreement.n_files),
        agreement.share,
        np.log1p(agreement.n_texts),
        nearness(cursor.path, candidate.seen.path),
    ]


def followed(candidate: Candidate) -> list[float]:
    """How far the lines above are those of its place: just taken from there, or the same but for names; how many names
    were exchanged, and which part of the line's words these lines have."""
    run, seen = candidate.likeness.run, candidate.seen
    names = set(NAME.findall(seen.line))
    known = len(names & run.words.keys()) / max(1, len(names))
    return [seen.in_a_row, run.length, run.n_exchanged, known]


def exchanged(cursor: Cursor, candidate: Candidate) -> float:
    """The part of the names of a whole line, as it stands at its place, that became others in the lines above."""
    if cursor.start.strip():
        return 0.0
    line = candidate.seen.line
    return candidate.likeness.run.exchanges(line) / max(1, len(set(NAME.findall(line))))


def gap(cursor: Cursor) -> int:
    """Blank lines between the cursor and what stands below it, which may be wanted further down; many at the end."""
    below = cursor.after.numbers
    return min(below[0] - cursor.number - 1, _LARGEST_GAP) if below else _LARGEST_GAP


def nearness(here: str, there: str) -> float:
    """1 for the same file, less for each folder that lies between them."""
    if here == there:
        return 1.0
    mine, theirs = PurePosixPath(here).parts[:-1], PurePosixPath(there).parts[:-1]
    n_common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(mine, theirs, strict=False)))
    return 1 / (2 + len(mine) + len(theirs) - 2 * n_common)


class _Surroundings:
    """What of the text around the cursor the candidates are compared with; worked out once for all of them."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.lines_before = cursor.before.texts[-_NEAR_LINES:]
        self.names_before = set(
            NAME.findall("\n".join(cursor.before.texts[-80:])[-_NEAR_CHARS:] + cursor.start)
        )
        self.names_after = set(NAME.findall("\n".join(cursor.after.texts[:40])[: _NEAR_CHARS // 2]))
        self.start = cursor.start.lstrip()

    def describe(self, candidate: Candidate) -> list[float]:
        """The features that need no other candidate; two places are left for those that do."""
        cursor, seen, like = self.cursor, candidate.seen, candidate.likeness
        line = (self.start + candidate.text).strip()
        names = set(NAME.findall(candidate.text))
        below = cursor.after.columns[0] if cursor.after.columns else 0
        return [
            like.same_before,
            like.same_after,
            like.same_before + like.same_after,
            like.next_before,
            like.next_after,
            like.like_before,
            like.like_after,
            candidate.score,
            0.0,
            0.0,
            candidate.share,
            np.log1p(candidate.n_places),
            candidate.n_own,
            seen.distance >= 0,
            np.log1p(max(0, seen.distance)),
            seen.step,
            cursor.column_above + seen.step - below,
            seen.n_matched,
            bool(self.start),
            candidate.adapted,
            len(candidate.text),
            len(names),
            len(names & self.names_before) / max(1, len(names)),
            len(names & self.names_after) / max(1, len(names)),
            line == cursor.above,
            line == cursor.below,
            self.lines_before.count(line),
        ]
