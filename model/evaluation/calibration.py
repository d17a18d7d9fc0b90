"""`python -m model.evaluation.calibration PREDICTIONS...`: whether the chances that are shown hold, by language.

An answer that is at least so sure is shown; of those shown so many are right. Both are what a user sees, so that a
language in which a chance says less than in Python needs numbers of its own, or none at all.
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
    try:
        answers = latest(one for file in parser.parse_args(argv).predictions for one in read(file))
        found = calibrations(answers)
        if not found:
            raise EvaluationError("no answer in the files has a chance")
        print(table(found))
    except EvaluationError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
