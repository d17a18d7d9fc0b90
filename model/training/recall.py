"""Stage `recall`: the few numbers by which the repository's text is weighed against the coder (`model.recall`).

Fitted on repositories that the coder was not trained on: the gate of the cache model by expectation maximization of the
mixture's likelihood, the ranker of lines by boosting, and how sure it must be by what then is right most often. What
the report says is measured on repositories that were left out of the fit, in turn.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.checkpoint.opening import CHECKSUMS, write_checksums
from model.loaded import LoadedModel
from model.recall.evidence import shares
from model.recall.ranking import Forest
from model.recall.weights import RecallWeights
from model.settings import EMBEDDED_TINY
from model.training.boosting import fit_forest
from model.training.cursors import UnseenRepository, collect
from model.training.recall_samples import Collector, RecallSample, load_samples, save_samples

_KINDS = {"rest": 0.3, "line": 0.7}  # shares of the rest of a line and of whole ones
_FOLDS = 4
_GATE_STEPS, _GATE_RATE, _GATE_DECAY = 300, 0.5, 1e-3
_SURE = np.arange(0.0, 1.01, 0.02)


@dataclass(frozen=True)
class RecallConfig:
    """Settings of the stage. `repositories`: a folder of folders; `coder`: as `model.name`; `samples`: what is worked
    out for each repository lies here and is not worked out again; `out`: a folder that gets `recall.json`."""

    repositories: Path
    samples: Path
    out: Path
    coder: str = EMBEDDED_TINY
    per_repository: int = 60
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Outcome:
    """Of each sample of left-out repositories, float [n]: whether coder, mixture and best line are right, and how sure
    the ranker is of that line."""

    coder: np.ndarray
    mixture: np.ndarray
    line: np.ndarray
    chance: np.ndarray

    def with_recall(self, sure: float | np.ndarray) -> np.ndarray:
        """Whether the line is right where the ranker is as sure, and the mixture elsewhere."""
        return np.where(self.chance >= sure, self.line, self.mixture)

    def bound(self, chosen: np.ndarray) -> float:
        """How sure the ranker must be to be right most often in these samples."""
        return float(max(_SURE, key=lambda sure: self.with_recall(sure)[chosen].sum()))


def run(config: RecallConfig) -> None:
    """Writes `recall.json` into `out` and prints what it is worth in repositories that were left out."""
    samples = _samples(config)
    folds = [sample.repository for sample in samples]
    names = sorted(set(folds))
    outcome = left_out(samples, [names.index(name) % _FOLDS for name in folds])
    inside = np.array([sample.inside for sample in samples])
    sure, sure_inside = outcome.bound(~inside), outcome.bound(inside)
    config.out.mkdir(parents=True, exist_ok=True)
    RecallWeights(fit_gate(samples), fit_ranker(samples), sure, sure_inside).save(config.out)
    if (config.out / CHECKSUMS).exists():
        write_checksums(config.out)
    print(report(samples, outcome, np.where(inside, sure_inside, sure)))


def _samples(config: RecallConfig) -> list[RecallSample]:
    def work_out(repository: UnseenRepository, model: LoadedModel, rng: random.Random) -> list[RecallSample]:
        collector = Collector(repository, model)
        places = repository.cursors(config.per_repository, _KINDS, rng)
        return [collector.sample(path, cut) for path, cut in places]

    return collect(config, work_out, save_samples, load_samples)


def left_out(samples: Sequence[RecallSample], folds: Sequence[int]) -> Outcome:
    """What numbers fitted on the other folds give for each sample."""
    rows = np.zeros((4, len(samples)))
    for fold in range(_FOLDS):
        rest = [sample for sample, of in zip(samples, folds, strict=True) if of != fold]
        gate, forest = fit_gate(rest), fit_ranker(rest)
        for i, (sample, of) in enumerate(zip(samples, folds, strict=True)):
            if of == fold:
                rows[:, i] = (*greedy_right(sample, gate), *best_line(sample, forest))
    return Outcome(*rows)


def fit_gate(samples: Sequence[RecallSample]) -> np.ndarray:
    """float [3, features]: softmax regression on the shares that explain each token best (Jordan and Jacobs, 1994)."""
    steps = [step for sample in samples for step in sample.steps]
    features = np.stack([step.features for step in steps])
    chances = np.stack([step.chances[0] for step in steps])
    there = np.stack([step.chances.sum(axis=0) > 0 for step in steps])
    gate = np.zeros((3, features.shape[1]))
    for _ in range(_GATE_STEPS):
        scores = np.where(there, features @ gate.T, -np.inf)
        prior = np.exp(scores - scores.max(axis=1, keepdims=True))
        prior /= prior.sum(axis=1, keepdims=True)
        joint = prior * chances + 1e-12 * there
        posterior = joint / joint.sum(axis=1, keepdims=True)
        gate += _GATE_RATE * ((posterior - prior).T @ features / len(features) - _GATE_DECAY * gate)
    return gate


def fit_ranker(samples: Sequence[RecallSample]) -> Forest:
    return fit_forest(
        np.concatenate([sample.table for sample in samples]),
        np.concatenate([sample.right for sample in samples]).astype(np.float64),
    )


def greedy_right(sample: RecallSample, gate: np.ndarray) -> tuple[bool, bool]:
    """Whether the coder alone, and the mixture, write the line: each of its tokens is the likeliest in turn."""
    alone = all(step.chances[:, 0].argmax() == 0 for step in sample.steps)
    weights = (shares(gate, step.features, *(step.chances[:, 1:].sum(axis=0) > 0)) for step in sample.steps)
    return alone, all((step.chances @ w).argmax() == 0 for step, w in zip(sample.steps, weights, strict=True))


def best_line(sample: RecallSample, forest: Forest) -> tuple[bool, float]:
    """Whether the ranker's first line is right, and how sure the ranker is."""
    if not len(sample.table):
        return False, -1.0
    chances = forest.predict(sample.table)
    return bool(sample.right[chances.argmax()]), float(chances.max())


def report(samples: Sequence[RecallSample], outcome: Outcome, sure: np.ndarray) -> str:
    """Exact match of a line in %, on repositories that the numbers were not fitted to."""
    there = np.array([sample.right.any() for sample in samples])
    columns = {
        "coder": outcome.coder,
        "coder + cache model": outcome.mixture,
        "lines alone": outcome.line,
        "all": outcome.with_recall(sure),
        "line is a candidate": there,
    }
    inside = np.array([sample.inside for sample in samples])
    rows = [f"| cursor | n | {' | '.join(columns)} |", f"|{' --- |' * (len(columns) + 2)}"]
    for name, chosen in (("start of a line", ~inside), ("inside a line", inside)):
        figures = " | ".join(f"{100 * column[chosen].mean():.1f}" for column in columns.values())
        rows.append(f"| {name} | {chosen.sum()} | {figures} |")
    repositories = len({sample.repository for sample in samples})
    return "\n".join([f"{repositories} repositories", "", *rows])
