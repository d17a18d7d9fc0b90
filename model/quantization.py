"""Weights in 8 bits."""

from __future__ import annotations

from typing import Literal

import numpy as np

# rows: int8 weights with a scale per output, int8 inputs with a scale per row, exact integer sums.
# blocks: MatMulNBits, a scale per 32 values of weights and inputs; bears outliers, slower for many rows.
# none: float32, for what is compared with torch.
Quantization = Literal["rows", "blocks", "none"]

BLOCK = 32


def quantize_rows(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32 [out, in] -> int8 [out, in] and float32 [out] with weight ~ values * scales, each row its own scale."""
    scales = np.abs(weight).max(axis=1) / np.float32(127)
    scales[scales == 0] = 1
    return np.rint(weight / scales[:, None]).astype(np.int8), scales


def quantize_blocks(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32 [out, in] -> uint8 [out, n_blocks, 32], 128 standing for zero, and scales [out, n_blocks]."""
    rows, width = weight.shape
    blocks = np.pad(weight, ((0, 0), (0, -width % BLOCK))).reshape(rows, -1, BLOCK)
    scales = np.abs(blocks).max(axis=2) / np.float32(127)
    scales[scales == 0] = 1
    return (np.rint(blocks / scales[..., None]) + 128).astype(np.uint8), scales
