"""How likely what was written is to be right, line by line: what an editor needs to know to be quiet when unsure.

A logistic function of what a completion knows anyway, so that it costs no pass: the chance of a line that recall
planned, else how likely the line's tokens were among those that they were chosen from. Tokens and scores are the same
with drafts, with a cache that is reused, and for an answer that was worked out ahead, and so is this.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import numpy as np

from model.checkpoint.fields import Fields
from model.checkpoint.files import WeightsError, read_json
from model.vocabulary import Vocabulary

FILE = "confidence.json"  # beside the weights
FEATURES = (
    "planned",
    "planned_chance",
    "planned_first",
    "written",
    "written_sum",
    "written_least",
    "written_first",
)
_LANGUAGES = "languages"
_LEAST = 1e-4  # chance that is told from none
_LARGEST = 100.0  # weight; those that were fitted are around 1


@dataclass(frozen=True)
class WrittenLine:
    """A line of an answer. `log_chances`: of its tokens, with the line's end; `planned`: recall's chance of the
    whole line, None where it was written token by token; `first`: it is the answer's first."""

    log_chances: tuple[float, ...]
    planned: float | None
    first: bool


@dataclass(frozen=True, eq=False)
class Confidence:
    """Fitted by `python -m model.training confidence`. `weights`: float [FEATURES].

    `languages`: LSP's id -> what is added to the logit of a first line in that language, where its chances were found
    to say too much (`python -m model.evaluation.calibration --offsets`); none in most.
    """

    weights: np.ndarray
    languages: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def beside(cls, folder: Path) -> Confidence | None:
        """That of the coder in `folder`; None when nothing was fitted to it. Raises WeightsError."""
        file = folder / FILE
        if not file.exists():
            return None
        fields = Fields(read_json(file))
        try:
            weights = np.array([fields.number(name, -_LARGEST, _LARGEST) for name in FEATURES])
            return cls(weights, fields.object(_LANGUAGES).numbers(-_LARGEST, _LARGEST))
        except ValueError as problem:
            raise WeightsError(f"{FILE} in {folder} is not a confidence's ({problem})") from problem

    def save(self, folder: Path) -> None:
        named: dict[str, object] = dict(zip(FEATURES, self.weights.round(5).tolist(), strict=True))
        named |= {_LANGUAGES: dict(self.languages)} if self.languages else {}
        (folder / FILE).write_text(json.dumps(named) + "\n", encoding="utf-8")

    def chances(self, lines: Sequence[WrittenLine], language: str = "") -> tuple[float, ...]:
        """How likely each line is to be right where those before it are; a line that took no token goes with them."""
        more = np.array([self.languages.get(language, 0.0) * line.first for line in lines])
        chances = self.predict(np.array([features(line) for line in lines]), more)
        return tuple(
            round(float(c), 4) if line.log_chances else 1.0 for line, c in zip(lines, chances, strict=True)
        )

    def predict(self, table: np.ndarray, more: np.ndarray | float = 0.0) -> np.ndarray:
        """float [n, FEATURES] -> float [n]; `more`: float [n], added to the logits."""
        return np.asarray(1.0 / (1.0 + np.exp(-table @ self.weights - more)))


def features(line: WrittenLine) -> tuple[float, ...]:
    """In the order of FEATURES."""
    if line.planned is not None:
        chance = min(max(line.planned, _LEAST), 1 - _LEAST)
        return (1.0, float(np.log(chance / (1 - chance))), float(line.first), 0.0, 0.0, 0.0, 0.0)
    return (0.0, 0.0, 0.0, 1.0, sum(line.log_chances), min(line.log_chances, default=0.0), float(line.first))


def written_lines(
    vocabulary: Vocabulary,
    begin: str,
    ids: Sequence[int],
    log_chances: Sequence[float],
    planned: Callable[[int], float | None],
) -> Iterator[WrittenLine]:
    """The lines of an answer, as its text splits at "\\n". A token belongs to the line in which it begins.

    `begin`: what the first id begins with and the text does not (`StopLimits`); `log_chances`: one for each id, and
    one for the end where it was chosen; `planned(n)`: recall's chance of a line that it planned behind the first n ids.
    """
    ends = [vocabulary.token_bytes(token).count(b"\n") for token in ids]
    rows = [max(0, row) for row in accumulate(ends, initial=-begin.count("\n"))]
    for row in range(rows[-1] + 1):
        own = [n for n in range(len(log_chances)) if rows[n] == row]
        chance = planned(own[0]) if own else None
        yield WrittenLine(tuple(log_chances[n] for n in own), chance, row == 0)
