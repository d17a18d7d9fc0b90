"""A prompt with blocks as one sequence: what a single pass computes as placing does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.blocks.block import FIRST


def in_one_pass(
    sink: int, blocks: Sequence[Sequence[int]], window: Sequence[int], n_early: int = 0
) -> tuple[list[int], list[int], np.ndarray]:
    """Ids, positions, and which row sees which, bool [n, n]: each block the sink and itself, the first `n_early` of the
    window the sink and the window, what follows all."""
    ids, positions, first = [sink], [0], 1
    sees = np.tri(1 + sum(map(len, blocks)) + len(window), dtype=bool)
    for block in blocks:
        sees[first : first + len(block), 1:first] = False
        ids, positions = [*ids, *block], [*positions, *range(FIRST - len(block), FIRST)]
        first += len(block)
    sees[first : first + n_early, 1:first] = False
    return [*ids, *window], [*positions, *range(FIRST, FIRST + len(window))], sees
