"""float32 -> blocks of 32 values in fewer bits, by least squares."""

from __future__ import annotations

import numpy as np

from model.checkpoint.packed import BLOCK, Nibbles, Octets

_ROUNDS = 8
_SLICE = 4096  # rows that are worked on at once


def packed_nibbles(weight: np.ndarray) -> Nibbles:
    """Scale and minimum of each block [out, in / 32] that leave the least squared error, as far as a few rounds find
    them: values are rounded to the scale, the scale fitted to what they were rounded to."""
    parts = [_packed(weight[first : first + _SLICE]) for first in range(0, len(weight), _SLICE)]
    return Nibbles(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def packed_octets(weight: np.ndarray, bits: int) -> Octets:
    """Values of so many bits around zero, in bytes, which an archive packs as tight as they are: the scale of each
    block [out, in / 32] with the least squared error among a few."""
    most = 2 ** (bits - 1) - 1
    blocks = weight.astype(np.float32).reshape(len(weight), -1, BLOCK)
    largest = np.abs(blocks).max(axis=2)
    octets, scales = np.zeros(blocks.shape, np.int8), np.zeros(largest.shape, np.float16)
    least = np.full(largest.shape, np.inf, np.float32)
    for shrink in (1.0, 0.97, 0.94, 0.91, 0.88, 0.85):
        scale = (largest * shrink / most).astype(np.float16)
        steps = np.where(scale == 0, 1, scale).astype(np.float32)[..., None]
        values = np.rint(blocks / steps).clip(-most, most)
        error = np.square(values * scale.astype(np.float32)[..., None] - blocks).sum(axis=2)
        better = error < least
        octets[better], scales[better], least[better] = values[better], scale[better], error[better]
    return Octets(octets, scales)


def _packed(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    blocks = weight.astype(np.float32).reshape(len(weight), -1, BLOCK)
    low, high = blocks.min(axis=2), blocks.max(axis=2)
    best, least = None, np.full(low.shape, np.inf, np.float32)
    for shrink in (1.0, 0.95, 0.9, 0.85):  # an outlier that is cut off leaves finer steps to the others
        middle, half = (low + high) / 2, (high - low) / 2 * shrink
        scale, minimum = half * 2 / 15, middle - half
        for _ in range(_ROUNDS):
            values, scale, minimum = _rounded(blocks, scale, minimum)
            error = np.square(values * scale[..., None] + minimum[..., None] - blocks).sum(axis=2)
            best = _better(best, (values, scale, minimum), error < least)
            least = np.minimum(least, error)
            scale, minimum = _fitted(blocks, values, scale, minimum)
    assert best is not None
    values, scale, minimum = best
    return values[..., ::2] | values[..., 1::2] << 4, scale.astype(np.float16), minimum.astype(np.float16)


Candidate = tuple[np.ndarray, np.ndarray, np.ndarray]


def _rounded(blocks: np.ndarray, scale: np.ndarray, minimum: np.ndarray) -> Candidate:
    """The nearest values for a scale and a minimum as float16 has them."""
    scale, minimum = (part.astype(np.float16).astype(np.float32) for part in (scale, minimum))
    steps = np.where(scale == 0, np.float32(1), scale)
    values = np.rint((blocks - minimum[..., None]) / steps[..., None]).clip(0, 15).astype(np.uint8)
    return values, scale, minimum


def _fitted(
    blocks: np.ndarray, values: np.ndarray, scale: np.ndarray, minimum: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The line through (value, weight) of each block; as it was where all values are alike."""
    x = values.astype(np.float32)
    mean_x, mean_y = x.mean(axis=2), blocks.mean(axis=2)
    spread = np.square(x - mean_x[..., None]).sum(axis=2)
    slope = ((x - mean_x[..., None]) * (blocks - mean_y[..., None])).sum(axis=2) / np.where(
        spread == 0, 1, spread
    )
    scale = np.where(spread == 0, scale, slope)
    return scale, np.where(spread == 0, minimum, mean_y - scale * mean_x)


def _better(old: Candidate | None, new: Candidate, where: np.ndarray) -> Candidate:
    if old is None:
        return new
    values, scale, minimum = (np.where(where if a.ndim == 2 else where[..., None], b, a)
                              for a, b in zip(old, new, strict=True))  # fmt: skip
    return values, scale, minimum
