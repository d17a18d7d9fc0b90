"""What a block is: rows of keys and values of a text that was read behind the sink and nothing else.

All blocks of a prompt stand beside each other, right before what follows them, so that thousands of rows stay within
the positions that a coder was trained on ("parallel context windows", arXiv 2212.10947); each was computed where it
will stand, so that placing it is a copy. The sink is one row at position 0 that every block and all that follows sees
("attention sink", arXiv 2309.17453).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.blocks.packing import PackedRows
from model.engines.decoder import Rows

SPAN = 128  # positions of the longest block; what follows the blocks begins behind the sink and these
FIRST = 1 + SPAN  # position of the first row that follows


@dataclass(frozen=True, eq=False)
class Block:
    """`digest`: of the ids that were read, in order; with the coder it decides the rows."""

    digest: bytes
    kept: Rows | PackedRows

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def rows(self) -> Rows:
        """Unpacked anew each time: unpacked they take four times the memory, and who holds a block seldom places it."""
        return self.kept.unpacked() if isinstance(self.kept, PackedRows) else self.kept


def digest_of(ids: Sequence[int]) -> bytes:
    """Names a block among those of one coder, 16 bytes."""
    return hashlib.sha256(np.asarray(ids, dtype="<u4").tobytes()).digest()[:16]


def n_kept(n_tokens: int, share: float) -> int:
    """Rows that a block of so many tokens has where only a share is kept."""
    return max(1, math.ceil(n_tokens * share))
