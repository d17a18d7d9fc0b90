"""The embedded fuser's vectors of this project: what int8 arithmetic and int8 packs change of them, and of searches.

Both are held against floats. Where a search gives another hit it is a tie: its score is that of the one that it stands
for, within what `TIE` says.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from indexer import Vectors, language_of
from indexer.chunking import chunk
from indexer.hierarchy import leaf_text
from indexer.sharing import LEAST_LIKENESS
from indexer.splitting import ChunkLimits
from indexer.team.pack import as_shared
from model.checkpoint.adapter import read_config
from model.encoder import Encoder
from model.engines.onnx.engine import OnnxEngine
from model.fusers import load_encoder

ROOT = Path(__file__).resolve().parents[3]
FUSER = ROOT / "model" / "pretrained"
HITS, TIE = 8, 0.004
FEW, MANY = 48, 1_500  # chunks
QUERIES = 60


class RealVectors:
    """Of `n` chunks of this project's indexer, by both arithmetics, and queries at places in the same files."""

    def __init__(self, n: int, most_chars: int) -> None:
        files = sorted((ROOT / "indexer").glob("*.py"))
        texts = {file: file.read_text(encoding="utf-8") for file in files}
        limits = ChunkLimits(64, most_chars)
        leaves = [
            leaf_text(part) for file in files for part in chunk(texts[file], language_of(file.name), limits)
        ]
        draw = random.Random(0)
        self.leaves = draw.sample(leaves, min(n, len(leaves)))
        self.encoders: Mapping[str, Encoder] = {
            dtype: load_encoder(FUSER, read_config(FUSER), OnnxEngine(dtype)) for dtype in ("float32", "int8")
        }
        places = [(texts[file], draw.randrange(len(texts[file]))) for file in draw.choices(files, k=QUERIES)]
        self.queries = {
            dtype: np.stack(
                [encoder.query(text[max(0, at - 900) : at], text[at : at + 300]) for text, at in places]
            )
            for dtype, encoder in self.encoders.items()
        }
        made = {dtype: encoder.embed(self.leaves) for dtype, encoder in self.encoders.items()}
        self.vectors = {dtype: Vectors(nodes.keys, nodes.memories) for dtype, nodes in made.items()}


@pytest.fixture(
    scope="module",
    params=[(FEW, 500), pytest.param((MANY, 1_600), marks=[pytest.mark.slow, pytest.mark.timeout(1_200)])],
    ids=["few", "many"],
)
def real(request: pytest.FixtureRequest) -> RealVectors:
    return RealVectors(*request.param)


def likeness(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    a, b = (rows.astype(np.float32).reshape(len(rows), -1) for rows in (some, others))
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def found(keys: np.ndarray, queries: np.ndarray) -> np.ndarray:
    return np.argsort(-(queries @ keys.astype(np.float32).T), axis=1, kind="stable")[:, :HITS]


def recall(some: np.ndarray, others: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / HITS for a, b in zip(some, others, strict=True)]))


def exchanged(keys: np.ndarray, queries: np.ndarray, others: np.ndarray) -> list[float]:
    """By how much the hits that `others` have, and a search of these keys has not, are worse than its last hit."""
    scores = queries @ keys.astype(np.float32).T
    own = found(keys, queries)
    return [
        float(row[mine[-1]] - row[hit])
        for row, mine, theirs in zip(scores, own, others, strict=True)
        for hit in set(theirs) - set(mine)
    ]


def test_a_pack_keeps_memories_to_four_nines_and_searches_as_they_are(real: RealVectors) -> None:
    own = real.vectors["float32"]
    shared = as_shared(own)
    before, after = (found(vectors.keys, real.queries["float32"]) for vectors in (own, shared))

    assert likeness(own.memories, shared.memories).min() >= 0.9999
    assert likeness(own.keys, shared.keys).min() >= 0.9999
    assert recall(before, after) >= 0.99
    assert max(exchanged(own.keys, real.queries["float32"], after), default=0.0) <= TIE


def test_a_pack_of_a_pack_is_the_same_to_the_bit(real: RealVectors) -> None:
    once = as_shared(real.vectors["int8"])
    twice = as_shared(once)

    assert np.array_equal(once.keys, twice.keys)
    assert np.array_equal(once.memories, twice.memories)


@pytest.mark.parametrize(("publisher", "reader"), [("float32", "int8"), ("int8", "float32")])
def test_vectors_of_another_arithmetic_are_found_as_ones_own(
    real: RealVectors, publisher: str, reader: str
) -> None:
    own, theirs = real.vectors[reader], as_shared(real.vectors[publisher])
    mixed = own.keys.copy()
    mixed[::2] = theirs.keys[::2]  # some pulled, some computed here
    queries = real.queries[reader]
    before = found(own.keys, queries)

    assert likeness(own.memories, theirs.memories).min() >= 0.9997
    assert likeness(own.keys, theirs.keys).min() >= 0.9997 > LEAST_LIKENESS
    for keys in (theirs.keys, mixed):
        after = found(keys, queries)
        assert recall(before, after) >= 0.97
        assert max(exchanged(own.keys, queries, after), default=0.0) <= TIE
