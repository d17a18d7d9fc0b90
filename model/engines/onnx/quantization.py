"""Weights in 8 bits, where the checkpoint has them in floating point."""

from __future__ import annotations

from typing import Literal

import numpy as np

from model.checkpoint.packed import BLOCK

# rows: int8 weights with a scale per output, int8 inputs with a scale per row, exact integer sums.
# blocks: MatMulNBits, a scale per 32 values of weights and inputs; bears outliers, slower for many rows.
# none: float32, for what is compared with torch.
Quantization = Literal["rows", "blocks", "none"]

# Rows that are worked on at once: quantizing takes several copies, and a vocabulary has 150,000 rows.
_SLICE = 8192


def quantize_rows(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32 [out, in] -> int8 [out, in] and float32 [out] with weight ~ values * scales, each row its own scale."""
    values, scales = np.empty(weight.shape, np.int8), np.empty(len(weight), np.float32)
    for rows in _slices(len(weight)):
        part = weight[rows]
        scales[rows] = _steps(np.abs(part).max(axis=1))
        values[rows] = np.rint(part / scales[rows, None])
    return values, scales


def quantize_blocks(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32 [out, in] -> uint8 [out, n_blocks, 32], 128 standing for zero, and scales [out, n_blocks]."""
    n_blocks = -(-weight.shape[1] // BLOCK)
    values = np.empty((len(weight), n_blocks, BLOCK), np.uint8)
    scales = np.empty((len(weight), n_blocks), np.float32)
    for rows in _slices(len(weight)):
        part = np.pad(weight[rows], ((0, 0), (0, n_blocks * BLOCK - weight.shape[1]))).reshape(
            -1, n_blocks, BLOCK
        )
        scales[rows] = _steps(np.abs(part).max(axis=2))
        values[rows] = np.rint(part / scales[rows, :, None]) + 128
    return values, scales


def _steps(largest: np.ndarray) -> np.ndarray:
    """The step between neighboring values where the largest becomes 127; all zeros may have any."""
    return np.where(largest == 0, np.float32(1), largest / np.float32(127))


def _slices(n: int) -> list[slice]:
    return [slice(first, first + _SLICE) for first in range(0, n, _SLICE)]
