"""What is asked at a cursor, and what is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DENSE, WORDS, SYMBOLS = RANKINGS = ("dense", "words", "symbols")
PACKAGE = "package"  # level of a hit that tells signatures of an imported package, which is no node of the repository
# Characters around the cursor that a prompt shows anyway: to retrieve them again would waste a place.
SHOWN_BEFORE, SHOWN_AFTER = 3_000, 900


@dataclass(frozen=True)
class Query:
    """A cursor. `path` is repository-relative, posix; `key` float32 [d_key], unit; None: words and names only.

    `exclude_lines`: 1-based inclusive lines of this file that must not come back; what a prompt shows unless given.
    `rankings`: what is fused, of RANKINGS; all of them but in ablations.
    """

    path: str
    before: str
    after: str
    key: np.ndarray | None
    exclude_lines: tuple[int, int] | None = None
    rankings: Sequence[str] = RANKINGS

    @property
    def hidden_lines(self) -> tuple[int, int]:
        """The lines that must not come back: the cursor's at least."""
        if self.exclude_lines:
            return self.exclude_lines
        first = self.before.count("\n", 0, max(0, len(self.before) - SHOWN_BEFORE)) + 1
        return first, self.before.count("\n") + self.after.count("\n", 0, SHOWN_AFTER) + 1


@dataclass(frozen=True)
class Hit:
    """A retrieved node. Lines are 1-based and inclusive, 0 above files; `text` is "" above chunks.

    `score` is the fused score, comparable within a level. A hit whose path is the query's is of the file being edited.

    Of level PACKAGE `path` is below the folder that packages are installed in, and `text` is the signatures.

    `memory` is float16 [m, d_memory]; [0, 0] for a chunk that has no vectors yet: its words and names are known before.
    """

    path: str
    first_line: int
    last_line: int
    level: str
    score: float
    text: str
    signature: str
    memory: np.ndarray
