"""Documents in block form: `[sink][block | block | ...][what follows]`, as serving puts them into the coder's cache.

Serving reads a block behind the sink and nothing else, at the positions right before what follows (`model.blocks`).
Here one pass over the whole row computes the same, by the positions of its tokens and the mask over them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model.blocks.block import FIRST


def places(sizes: Sequence[int], n: int) -> tuple[list[int], list[int]]:
    """Of each of the `n` tokens of a document its position, and the number of its block: 1 for the first, 0 outside.

    `sizes`: of the blocks, at most SPAN each, behind the sink at the document's first token; none: a document of text.
    """
    if not sizes:
        return [*range(n)], [0] * n
    positions, blocks = [0], [0]
    for number, size in enumerate(sizes, start=1):
        positions += range(FIRST - size, FIRST)
        blocks += [number] * size
    following = n - len(positions)
    return [*positions, *range(FIRST, FIRST + following)], [*blocks, *[0] * following]


def visible(documents: Tensor, blocks: Tensor) -> Tensor:
    """The mask, bool [B, 1, T, T], under which no token sees another document of its row, and none of a block another
    block; of `documents` and `blocks`, both int64 [B, T], the numbers of each token's document and block."""
    order = torch.arange(documents.shape[1], device=documents.device)
    same = documents[:, :, None] == documents[:, None, :]
    # What stands outside of blocks before one is the sink; what follows is outside, and sees them all.
    seen, seeing = blocks[:, None, :], blocks[:, :, None]
    open_to = (seeing == 0) | (seen == 0) | (seeing == seen)
    return (same & open_to & (order[:, None] >= order))[:, None]
