"""Blocks of random numbers, the same for the same number, as packed rows of a small coder."""

from __future__ import annotations

import numpy as np

from model.blocks.block import FIRST, Block, digest_of
from model.blocks.packing import Packing
from model.engines.decoder import Rows

PACKING = Packing(layers=3, kv_heads=2, head_dim=16)
CODER = "0123456789abcdef0123"


def made(number: int, n: int = 128, packing: Packing = PACKING) -> Block:
    """n rows in front of what follows."""
    shape = (2, packing.layers, packing.kv_heads, n, packing.head_dim)
    keys, values = np.random.default_rng(number).standard_normal(shape, np.float32)
    return Block(digest_of([number]), Rows(keys, values, np.arange(FIRST - n, FIRST)))


def packed(numbers: range) -> dict[bytes, bytes]:
    """digest -> bytes"""
    blocks = [made(number) for number in numbers]
    return {block.digest: PACKING.pack(block.rows) for block in blocks}
