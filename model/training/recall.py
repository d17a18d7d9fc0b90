"""Stage `recall`: the few numbers by which the repository's text is weighed against the coder (`model.recall`).

Fitted on repositories that the coder was not trained on: the gate of the cache model by expectation maximization of the
mixture's likelihood, the ranker of lines by boosting, and how sure it must be by what then is right most often. What
the report says is measured on repositories that were left out of the fit, in turn.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.checkpoint.opening import CHECKSUMS, write_checksums
from model.evaluation.sampling import interval
from model.loaded import LoadedModel
from model.recall.evidence import shares
from model.recall.ranking import Forest
from model.recall.weights import LIKELY, RecallWeights
from model.settings import EMBEDDED_TINY
from model.training.boosting import fit_forest
from model.training.config import ConfigError
from model.training.cursors import UnseenRepository, collect
from model.training.recall_samples import Collector, RecallSample, load_samples, save_samples

_KINDS = {"rest": 0.3, "line": 0.7}  # shares of the rest of a line and of whole ones
_UNASKED_KINDS = {"rest": 0.3, "line": 0.4, "block": 0.3}
_FOLDS = 4
_GATE_STEPS, _GATE_RATE, _GATE_DECAY = 300, 0.5, 1e-3
_SURE = np.arange(0.0, 1.01, 0.02)

Rank = Callable[[Sequence[RecallSample]], Forest]  # samples to learn from -> ranker


@dataclass(frozen=True)
class RecallConfig:
    """Settings of the stage. `repositories`: a folder of folders; `coder`: as `model.name`; `samples`: what is worked
    out for each repository lies here and is not worked out again; `out`: a folder that gets `recall.json`.

    `unasked_per_repository`: cursors at which the coder is not asked, which is what takes the time; the ranker learns
    from them, too. `ranked`: a folder of repositories that the coder may have seen, so that only the ranker, which
    does not know the coder, learns from them. `trees`: a folder whose `recall.json` has the ranker, which then is not
    fitted here; where it learned from the same repositories, the report is a little too good. `others`: a folder with
    the `recall.json` of another coder, which is measured as well.
    """

    repositories: Path
    samples: Path
    out: Path
    coder: str = EMBEDDED_TINY
    per_repository: int = 60
    unasked_per_repository: int = 0
    seed: int = 1
    ranked: Path | None = None
    ranked_per_repository: int = 200
    trees: Path | None = None
    others: Path | None = None

    @property
    def unasked(self) -> RecallConfig | None:
        """How the cursors in `ranked` are worked out."""
        if self.ranked is None:
            return None
        return replace(
            self,
            repositories=self.ranked,
            samples=self.samples / "ranked",
            per_repository=0,
            unasked_per_repository=self.ranked_per_repository,
        )


@dataclass(frozen=True, eq=False)
class Outcome:
    """Of each sample of left-out repositories, float [n]: whether coder, mixture and best line are right, and how sure
    the ranker is of that line."""

    coder: np.ndarray
    mixture: np.ndarray
    line: np.ndarray
    chance: np.ndarray

    @classmethod
    def of(cls, samples: Sequence[RecallSample], gate: np.ndarray, forest: Forest) -> Outcome:
        """What these numbers give; each sample has steps."""
        return cls(*np.array([(*greedy_right(s, gate), *best_line(s, forest)) for s in samples], float).T)

    def with_recall(self, sure: float | np.ndarray) -> np.ndarray:
        """Whether the line is right where the ranker is as sure, and the mixture elsewhere."""
        return np.where(self.chance >= sure, self.line, self.mixture)

    def bound(self, chosen: np.ndarray) -> float:
        """How sure the ranker must be to be right most often in these samples; of bounds that are as good the highest,
        which leaves most to the coder."""
        return float(max(_SURE[::-1], key=lambda sure: self.with_recall(sure)[chosen].sum()))

    def bounds(self, inside: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """Of each sample the bound of its kind of cursor in the other folds."""
        found = np.zeros(len(folds))
        for fold in set(folds.tolist()):
            for kind in (inside, ~inside):
                found[kind & (folds == fold)] = self.bound(kind & (folds != fold))
        return found


def run(config: RecallConfig) -> None:
    """Writes `recall.json` into `out` and prints what it is worth in repositories that were left out."""
    samples = [*_samples(config), *(_samples(config.unasked) if config.unasked else [])]
    asked = [sample for sample in samples if sample.steps]
    folds = _folds(samples)
    rank = fit_ranker if config.trees is None else _as_in(config.trees)
    outcome = left_out(samples, asked, folds, rank)
    inside = np.array([sample.inside for sample in asked])
    fitted = RecallWeights(fit_gate(asked), rank(samples), outcome.bound(~inside), outcome.bound(inside))
    config.out.mkdir(parents=True, exist_ok=True)
    fitted.save(config.out)
    if (config.out / CHECKSUMS).exists():
        write_checksums(config.out)
    columns = {
        "coder": outcome.coder,
        "coder + cache model": outcome.mixture,
        "lines alone": outcome.line,
        "all": outcome.with_recall(outcome.bounds(inside, np.array([folds[s.repository] for s in asked]))),
        "all, bound 0.5": outcome.with_recall(LIKELY),
    }
    if others := RecallWeights.beside(config.others) if config.others else None:
        others = others.for_another_coder()
        unfitted = Outcome.of(asked, others.gate, others.forest)
        columns["another coder's numbers"] = unfitted.with_recall(_bounds(others, inside))
    columns["line is a candidate"] = np.array([sample.right.any() for sample in asked], float)
    print(report(asked, columns))


def _as_in(folder: Path) -> Rank:
    """The ranker that is there already. Raises ConfigError where none is."""
    found = RecallWeights.beside(folder)
    if found is None:
        raise ConfigError(f"trees: there is no recall.json in {folder}")
    return lambda samples: found.forest


def _bounds(weights: RecallWeights, inside: np.ndarray) -> np.ndarray:
    return np.where(inside, weights.sure_inside, weights.sure)


def _samples(config: RecallConfig) -> list[RecallSample]:
    def work_out(repository: UnseenRepository, model: LoadedModel, rng: random.Random) -> list[RecallSample]:
        collector = Collector(repository, model)
        asked = list(repository.cursors(config.per_repository, _KINDS, rng))
        unasked = repository.cursors(config.unasked_per_repository, _UNASKED_KINDS, rng)
        samples = [collector.sample(path, cut) for path, cut in asked]
        return samples + [sample for path, cut in unasked for sample in collector.unasked(path, cut)]

    return collect(config, work_out, save_samples, load_samples)


def _folds(samples: Sequence[RecallSample]) -> dict[str, int]:
    """Of each repository."""
    return {name: n % _FOLDS for n, name in enumerate(sorted({sample.repository for sample in samples}))}


def left_out(
    samples: Sequence[RecallSample],
    asked: Sequence[RecallSample],
    folds: Mapping[str, int],
    rank: Rank,
) -> Outcome:
    """What numbers fitted on the other folds of repositories give for each of `asked`, which are those with steps."""
    rows = np.zeros((4, len(asked)))
    for fold in range(_FOLDS):
        rest = [sample for sample in samples if folds[sample.repository] != fold]
        gate, forest = fit_gate([sample for sample in rest if sample.steps]), rank(rest)
        own = [i for i, sample in enumerate(asked) if folds[sample.repository] == fold]
        if own:
            rows[:, own] = list(vars(Outcome.of([asked[i] for i in own], gate, forest)).values())
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


def report(samples: Sequence[RecallSample], columns: Mapping[str, np.ndarray]) -> str:
    """Exact match of a line in %, with 95 % intervals over repositories; `columns`: of each sample 0 or 1, by numbers
    that were not fitted to its repository."""
    inside = np.array([sample.inside for sample in samples])
    rows = [f"| cursor | n | {' | '.join(columns)} |", f"|{' --- |' * (len(columns) + 2)}"]
    kinds = (("start of a line", ~inside), ("inside a line", inside), ("all", np.ones_like(inside)))
    for name, chosen in kinds:
        of = [sample.repository for sample, here in zip(samples, chosen, strict=True) if here]
        figures = " | ".join(_percent(of, column[chosen]) for column in columns.values())
        rows.append(f"| {name} | {chosen.sum()} | {figures} |")
    repositories = len({sample.repository for sample in samples})
    return "\n".join([f"{repositories} repositories", "", *rows])


def _percent(repositories: Sequence[str], right: np.ndarray) -> str:
    if not len(right):
        return "-"
    low, high = interval((100 * right).tolist(), repositories)
    return f"{100 * right.mean():.1f} ({low:.1f} to {high:.1f})"
