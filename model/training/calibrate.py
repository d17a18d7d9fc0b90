"""Stage `calibrate`: what chances that were fitted in Python are worth in other languages (`model.confidence`).

From the predictions of an evaluation on tasks of the stage `foreign`, drawn from other packages than those that figures
are reported of: two numbers for each language (Platt, 1999), drawn towards those of all languages together, which stand
for every language that was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.checkpoint.opening import CHECKSUMS, write_checksums
from model.confidence import OTHERS, Confidence, log_odds
from model.evaluation.predictions import Prediction, latest, read
from model.evaluation.tasks import PYTHON
from model.training.config import ConfigError

_AS_IT_IS = np.array([0.0, 1.0])
_STEPS = 50
_PULL = np.array([5.0, 20.0])  # towards what stands for all, as a number of answers would
_LEAST_SLOPE = 0.05  # what is likelier in Python is never less likely elsewhere


@dataclass(frozen=True)
class CalibrateConfig:
    """Settings of the stage. `predictions`: files of `model.evaluation --predictions`, of one mode and one coder;
    `out`: the folder of that coder, whose `confidence.json` gets the numbers."""

    predictions: tuple[Path, ...]
    out: Path


def run(config: CalibrateConfig) -> None:
    """Raises ConfigError without a fitted coder or without answers in other languages."""
    confidence = Confidence.beside(config.out)
    if confidence is None:
        raise ConfigError(f"{config.out} has no confidence to calibrate: run stage confidence first")
    answers = [
        one for one in latest(one for file in config.predictions for one in read(file)) if _counts(one)
    ]
    if not answers:
        raise ConfigError("the predictions have no answer in another language whose chance is known")
    found = fit(answers, confidence)
    replace(confidence, languages=found).save(config.out)
    if (config.out / CHECKSUMS).exists():
        write_checksums(config.out)
    for name, (offset, slope) in found.items():
        n = sum(one.language == name for one in answers)
        print(f"{name}: {n or len(answers)} answers, {offset:+.2f} and {slope:.2f} times the log odds")


def fit(answers: Sequence[Prediction], confidence: Confidence) -> Mapping[str, tuple[float, float]]:
    """By language, and of all together. What the chances were calibrated by before is taken back."""
    odds = np.array([_raw(one, confidence) for one in answers])
    right = np.array([one.quality["em"] / 100 for one in answers])
    pooled = _platt(odds, right, _AS_IT_IS)
    found = {OTHERS: (float(pooled[0]), float(pooled[1]))}
    for language in sorted({one.language for one in answers}):
        mine = np.array([one.language == language for one in answers])
        offset, slope = _platt(odds[mine], right[mine], pooled)
        found[language] = (float(offset), float(slope))
    return found


def _counts(one: Prediction) -> bool:
    return one.confidence is not None and one.language != PYTHON


def _raw(one: Prediction, confidence: Confidence) -> float:
    offset, slope = confidence.calibration(one.language)
    return float((log_odds(np.array([one.confidence]))[0] - offset) / slope)


def _platt(odds: np.ndarray, right: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """(offset, slope), by Newton's method, with a ridge around `towards`."""
    table = np.stack([np.ones(len(odds)), odds], axis=1)
    found = towards.copy()
    for _ in range(_STEPS):
        chances = 1.0 / (1.0 + np.exp(-table @ found))
        slope = table.T @ (right - chances) - _PULL * (found - towards)
        found = found + np.linalg.solve((table.T * (chances * (1 - chances))) @ table + np.diag(_PULL), slope)
    return np.array([found[0], max(_LEAST_SLOPE, found[1])])
