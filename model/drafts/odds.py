"""What drafts are worth here: how often matches are right, and what a wider pass costs, both measured as they go by."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from model.drafts.stores import LONGEST

# Chance that the next greedy token is the one that followed a match of 0, 1, ... 16 tokens: inside a line and at the
# start of one, in the document and elsewhere. Measured with the embedded model on held-out repositories, smoothed.
_DOCUMENT = (
    (0, 0.26, 0.56, 0.69, 0.73, 0.79, 0.83, 0.83, 0.87, 0.87, 0.90, 0.90, 0.92, 0.92, 0.93, 0.97, 0.98),
    (0, 0.46, 0.68, 0.90, 0.90, 0.92, 0.92, 0.92, 0.92, 0.92, 0.95, 0.95, 0.95, 0.95, 0.95, 0.98, 0.98),
)
_ELSEWHERE = (
    (0, 0.13, 0.20, 0.25, 0.34, 0.40, 0.54, 0.60, 0.65, 0.65, 0.65, 0.66, 0.70, 0.70, 0.70, 0.70, 0.76),
    (0, 0.36, 0.41, 0.62, 0.68, 0.68, 0.75, 0.75, 0.80, 0.80, 0.80, 0.80, 0.80, 0.80, 0.80, 0.80, 0.80),
)
_MEMORY = 200.0  # matches; older ones count less and less
_SEARCHES = 50.0  # that a search's worth is averaged over
_SLOW_SEARCH = 0.001  # seconds; what takes longer was interrupted
_TRY_AGAIN = 32  # searches that did not pay
_FIRST_SLOPE = 0.05  # of a pass of one row, that another row costs; on a CPU with 8-bit weights


class Source(IntEnum):
    """Kinds of token stores, which differ in how often they are right."""

    DOCUMENT = 0
    SESSION = 1
    REPOSITORY = 2
    PACKAGES = 3


class Odds:
    """How often what followed a match is what the model chooses: by source, at a line start or not, and by length."""

    def __init__(self) -> None:
        between = (np.array(_DOCUMENT) + np.array(_ELSEWHERE)) / 2
        self._right = np.array([_DOCUMENT, between, _ELSEWHERE, _ELSEWHERE])  # [source, line start, length]

    def chance(self, source: Source, line_start: bool, length: int) -> float:
        """Of the token behind a match to be right."""
        return float(self._right[source, int(line_start), length])

    def chances(self, source: Source, line_start: bool, length: int, n: int) -> list[float]:
        """Of each of the n tokens behind a match, to be right with those before it: each makes the match longer."""
        lengths = np.minimum(np.arange(length, length + n), LONGEST)
        factors = self._right[source, 0, lengths]
        factors[0] = self._right[source, int(line_start), length]
        falling: list[float] = np.multiply.accumulate(factors).tolist()
        return falling

    def observe(self, source: Source, line_start: bool, length: int, share: float) -> None:
        """`share` of the rows that followed a match began with what the model chose."""
        at = (source, int(line_start), length)
        self._right[at] += (share - self._right[at]) / _MEMORY


class SearchWorth:
    """Whether a search in a store is worth its time: what searches have brought there, against what they took.

    FastCoder (3.4) skips the search behind half of the line ends, drawn at random, because little is found there. Here
    line starts have a figure of their own, and what does not pay is skipped every time; now and then it is tried again.
    """

    def __init__(self) -> None:
        self._gain = [0.3, 0.3]  # chance of a draft to be right, inside a line and at the start of one
        self._seconds = 0.0
        self._n_skipped = 0

    def pays(self, line_start: bool, left: float, pass_seconds: float) -> bool:
        """`left`: the chance that no nearer store is right, which is what there is to gain: a pass."""
        pays = left * self._gain[line_start] * pass_seconds > self._seconds
        self._n_skipped = 0 if pays else self._n_skipped + 1
        return pays or self._n_skipped % _TRY_AGAIN == 0

    def took(self, seconds: float) -> None:
        """A search took so long."""
        self._seconds += (min(seconds, _SLOW_SEARCH) - self._seconds) / _SEARCHES

    def brought(self, line_start: bool, chance: float) -> None:
        """The store's draft is right with this chance; 0 where it had none."""
        self._gain[line_start] += (chance - self._gain[line_start]) / _SEARCHES


class PassCost:
    """Seconds of a forward pass as a + b * rows, fitted to recent passes of this device."""

    def __init__(self) -> None:
        self._sums = np.zeros((2, 2))  # of [1, rows] outer [1, rows]
        self._seconds = np.zeros(2)  # of [1, rows] * seconds
        self._fit = (1.0, _FIRST_SLOPE)

    def __call__(self, n_rows: int) -> float:
        base, slope = self._fit
        return base + slope * n_rows

    @property
    def slope(self) -> float:
        """What another row costs, in passes of one row."""
        return self._fit[1] / self(1)

    def observe(self, n_rows: int, seconds: float) -> None:
        """A pass of so many rows took so long; older passes count less and less."""
        if not self._sums.any():
            self._assume(seconds / (1 + _FIRST_SLOPE * (n_rows - 1)))
        seconds = min(seconds, 3 * self(n_rows))  # the machine did something else meanwhile
        row = np.array([1.0, n_rows])
        self._sums += np.outer(row, row) - self._sums / _MEMORY
        self._seconds += row * seconds - self._seconds / _MEMORY
        base, slope = np.linalg.solve(self._sums, self._seconds)
        total = max(base + slope, 1e-9)
        slope = min(max(slope, 0.001 * total), 0.5 * total)
        self._fit = (total - slope, slope)

    def _assume(self, one_row: float) -> None:
        """Begin as if passes of 1 and of 21 rows had been seen."""
        for n_rows, seconds in ((1, one_row), (21, one_row * (1 + 20 * _FIRST_SLOPE))):
            row = np.array([1.0, n_rows])
            self._sums += 4 * np.outer(row, row)
            self._seconds += 4 * row * seconds
        self._fit = (one_row * (1 - _FIRST_SLOPE), one_row * _FIRST_SLOPE)
