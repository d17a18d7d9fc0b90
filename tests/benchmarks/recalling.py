"""What recall costs beside the coder: proposals at a cursor and one token's mixture, on folders of different size.

Both must not grow with the repository (DESIGN 8). The completion itself is timed by `completion`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np

from indexer import Index
from model.loaded import LoadedModel
from model.prompt import Budget, at_token_boundary, build_prompt, empty_head
from model.recall.evidence import NOTHING, gate_features
from model.recall.mixer import RecallMixer
from model.recall.ranking import FEATURES, Forest
from model.recall.weights import RecallWeights
from model.request import Request
from tests.benchmarks.completion import Cursor, cursors
from tests.benchmarks.measurement import Measurement, percentiles
from tests.benchmarks.subjects import Subject

N_CURSORS = 60


def looked_up(subject: Subject, model: LoadedModel) -> Iterator[Measurement]:
    """One row each for a cursor at the start of its line and inside it."""
    weights = model.recall or _any_weights()
    with closing(
        Index.open(subject.root, None, subject.cache / "recall", tokenizer=model.vocabulary)
    ) as index:
        index.update()
        for case, inside in (("start of a line", False), ("inside a line", True)):
            times: list[tuple[float, float]] = []
            for cursor in cursors(subject, N_CURSORS):
                mixer, before = _at(cursor, weights, model, index, inside)
                times.append(_timed(mixer, before))
            proposals, mixture = zip(*times, strict=True)
            values = {f"proposals_{name}": n for name, n in percentiles(proposals).items()}
            values |= {f"mixture_{name}": n for name, n in percentiles(mixture).items()}
            yield Measurement(
                "recall", subject.name, len(subject.files), case, values, "the same at every size"
            )


def _timed(mixer: RecallMixer, before: tuple[int, ...]) -> tuple[float, float]:
    """Milliseconds of the proposals at a cursor, and of what the mixture of one token looks up."""
    start = time.perf_counter()
    mixer.propose(before, ())
    proposed = time.perf_counter()
    mixer.evidence(before)
    return (proposed - start) * 1e3, (time.perf_counter() - proposed) * 1e3


def _at(
    cursor: Cursor, weights: RecallWeights, model: LoadedModel, index: Index, inside: bool
) -> tuple[RecallMixer, tuple[int, ...]]:
    typed = cursor.line[: len(cursor.line) // 2] if inside else ""
    prefix, rest = cursor.prefix.rpartition("\n")[0] + "\n" + typed, cursor.suffix
    request = Request(cursor.path, prefix, rest, tokens=index.tokens, lines=index.lines)
    head, budget = empty_head(model.decoder.hidden_size), Budget(model.decoder.capacity, 192)
    prompt = build_prompt(
        model.vocabulary, model.fim_order, head, at_token_boundary(model.vocabulary, prefix)[0], rest, budget
    )
    mixer = RecallMixer(request, prompt, model.vocabulary, weights)
    mixer.evidence(prompt.before)  # tokenizes the document, once for all tokens
    return mixer, prompt.before


def _any_weights() -> RecallWeights:
    """Costs as much as fitted ones."""
    n = len(gate_features(NOTHING, NOTHING, np.ones(2) / 2, first=True))
    trees = np.zeros((90, 7), np.int64)
    return RecallWeights(
        np.zeros((3, n)), Forest(trees % len(FEATURES), trees * 0.0, np.zeros((90, 8)), 0.0), 1.0, 1.0
    )
