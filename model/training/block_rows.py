"""Documents in block form: `[sink][block | block | ...][early][late]`, as serving puts them into the coder's cache.

Serving reads a block behind the sink and nothing else, at the positions right before the late part of what follows,
which alone sees it (`model.blocks`, `model.context`). Here one pass over the whole row computes the same, by the
positions of its tokens and the mask over them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model.blocks.block import FIRST

_EARLY = -1  # the number that stands for a block's where a token follows blocks and does not see them


def places(sizes: Sequence[int], n: int, n_early: int = 0) -> tuple[list[int], list[int]]:
    """Of each of the `n` tokens of a document its position, and the number of its block: 1 for the first, 0 for one
    that sees all before it, -1 for the first `n_early` behind the blocks, which see the sink and each other.

    `sizes`: of the blocks, at most SPAN each, behind the sink at the document's first token; none: a document of text.
    """
    if not sizes:
        return [*range(n)], [0] * n
    positions, blocks = [0], [0]
    for number, size in enumerate(sizes, start=1):
        positions += range(FIRST + n_early - size, FIRST + n_early)
        blocks += [number] * size
    following = n - len(positions)
    late = [0] * (following - n_early)
    return [*positions, *range(FIRST, FIRST + following)], [*blocks, *[_EARLY] * n_early, *late]


def visible(documents: Tensor, blocks: Tensor) -> Tensor:
    """The mask, bool [B, 1, T, T], under which no token sees another document of its row, none of a block another
    block, and no early one a block; of `documents` and `blocks`, both int64 [B, T], the numbers of each token's
    document and block."""
    order = torch.arange(documents.shape[1], device=documents.device)
    same = documents[:, :, None] == documents[:, None, :]
    # What stands outside of blocks before one is the sink; what is late is outside, and sees them all.
    seen, seeing = blocks[:, None, :], blocks[:, :, None]
    open_to = (seeing == 0) | (seen == 0) | (seeing == seen)
    return (same & open_to & (order[:, None] >= order))[:, None]


def begins(blocks: Tensor) -> Tensor:
    """bool [..., T - 1]: whether the token behind is the first of a block, or of what follows blocks, which nothing
    before it foretells; of `blocks` int64 [..., T]. From early to late the text goes on."""
    now, then = blocks[..., :-1], blocks[..., 1:]
    return (now != then) & ~((now == _EARLY) & (then == 0))
