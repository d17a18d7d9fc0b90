"""`python -m model.evaluation.calibration PREDICTIONS...`: whether the chances that are shown hold, by language.

An answer that is at least so sure is shown; of those shown so many are right. Both are what a user sees, so that a
language in which a chance says less than in Python needs a number of its own. `--offsets` tells it: what, added to the
logits, makes the chances of a language right in the mean. Judge it on other repositories.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.evaluation.predictions import Prediction, latest, read
from model.evaluation.tasks import EvaluationError

LEVELS = (0.25, 0.4, 0.6)  # the first is what the server shows by itself
_LEAST, _NEWTON_STEPS = 1e-4, 30
_HEAD = ("language", "mode", "n", "right", "mean chance", *(f"shown at {level}; right" for level in LEVELS))


@dataclass(frozen=True)
class Calibration:
    """Of the answers whose chance is known, in %. `shown`: level -> (how many are that sure, how many of those are
    right); the second is None where none is."""

    language: str
    mode: str
    n: int
    right: float
    chance: float
    shown: dict[float, tuple[float, float | None]]


def calibrations(answers: Iterable[Prediction]) -> list[Calibration]:
    """By language and mode; modes that have no chances are left out."""
    groups: dict[tuple[str, str], list[Prediction]] = {}
    for one in answers:
        if one.confidence is not None:
            groups.setdefault((one.language, one.system.mode), []).append(one)
    return [_calibration(*key, group) for key, group in sorted(groups.items())]


def _calibration(language: str, mode: str, answers: Sequence[Prediction]) -> Calibration:
    chances = np.array([one.confidence for one in answers], float)
    right = np.array([one.quality["em"] for one in answers])
    shown = {}
    for level in LEVELS:
        sure = chances >= level
        shown[level] = (100 * float(sure.mean()), float(right[sure].mean()) if sure.any() else None)
    return Calibration(language, mode, len(answers), float(right.mean()), 100 * float(chances.mean()), shown)


def offsets(answers: Iterable[Prediction]) -> dict[str, float]:
    """By language, of one mode: fitted by likelihood, drawn to 0 as by one answer."""
    groups: dict[str, list[Prediction]] = {}
    for one in answers:
        if one.confidence is not None:
            groups.setdefault(one.language, []).append(one)
    return {language: _offset(group) for language, group in sorted(groups.items())}


def _offset(answers: Sequence[Prediction]) -> float:
    chances = np.clip([one.confidence or 0.0 for one in answers], _LEAST, 1 - _LEAST)
    right = np.array([one.quality["em"] for one in answers]) / 100
    logits, offset = np.log(chances / (1 - chances)), 0.0
    for _ in range(_NEWTON_STEPS):
        now = 1 / (1 + np.exp(-logits - offset))
        offset -= float((now - right).sum() + offset) / float((now * (1 - now)).sum() + 1)
    return offset


def table(found: Sequence[Calibration]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(_HEAD)} |", "| --- | --- " + "| ---: " * (len(_HEAD) - 2) + "|"]
    for one in found:
        shown = (f"{n:.1f}; " + ("-" if right is None else f"{right:.1f}") for n, right in one.shown.values())
        cells = (one.language, one.mode, str(one.n), f"{one.right:.1f}", f"{one.chance:.1f}", *shown)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong usage or bad input."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluation.calibration", description=__doc__)
    parser.add_argument("predictions", type=Path, nargs="+", help="files of --predictions")
    parser.add_argument("--offsets", action="store_true", help="tell the number of each language, too")
    arguments = parser.parse_args(argv)
    try:
        answers = list(latest(one for file in arguments.predictions for one in read(file)))
        found = calibrations(answers)
        if not found:
            raise EvaluationError("no answer in the files has a chance")
        if arguments.offsets and len({one.mode for one in found}) > 1:
            raise EvaluationError("offsets are of one mode: the answers are of several")
        print(table(found))
        if arguments.offsets:
            print(", ".join(f"{language} {offset:+.2f}" for language, offset in offsets(answers).items()))
    except EvaluationError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
