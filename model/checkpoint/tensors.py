"""Safetensors as numpy arrays, bfloat16 included, which neither numpy nor safetensors' numpy reader knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from model.checkpoint.files import TensorInfo, WeightsError
from model.checkpoint.packed import Nibbles, Octets, Packed

Read = Callable[[str], np.ndarray]  # name of a weight -> float32
Matrix = np.ndarray | Packed  # [out, in], float32 or in blocks

_STORED: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
}


def reader(tensors: Mapping[str, TensorInfo]) -> Read:
    """Reads one weight at a time, so that a checkpoint is never in memory twice. Raises WeightsError."""

    def read(name: str) -> np.ndarray:
        blocks = packed(tensors, name)
        return widened(stored(tensors[name])) if blocks is None else blocks.widened()

    return read


class Weights:
    """The weights of a coder for a graph: matrices in their blocks where `in_blocks` and they lie in some."""

    def __init__(self, tensors: Mapping[str, TensorInfo], *, in_blocks: bool) -> None:
        self._tensors, self._in_blocks, self._read = tensors, in_blocks, reader(tensors)

    def vector(self, name: str) -> np.ndarray:
        return self._read(name)

    def matrix(self, name: str) -> Matrix:
        blocks = packed(self._tensors, name) if self._in_blocks else None
        return self._read(name) if blocks is None else blocks


def table(tensors: Mapping[str, TensorInfo], name: str) -> Matrix:
    """A matrix as it is stored, for `widened`."""
    blocks = packed(tensors, name)
    return stored(tensors[name]) if blocks is None else blocks


def packed(tensors: Mapping[str, TensorInfo], name: str) -> Packed | None:
    """A matrix in its blocks; None where it lies in no blocks. Raises WeightsError."""
    if f"{name}.nibbles" in tensors:
        return Nibbles(*(stored(tensors[f"{name}.{part}"]) for part in ("nibbles", "scale", "minimum")))
    if f"{name}.octets" in tensors:
        return Octets(*(stored(tensors[f"{name}.{part}"]) for part in ("octets", "scale")))
    return None


def stored(info: TensorInfo) -> np.ndarray:
    """A tensor as it is in its file; bfloat16 comes as its bits, uint16. Raises WeightsError on what is no number."""
    kind = _STORED[info.dtype]
    values = np.fromfile(
        info.file, kind, (info.offsets[1] - info.offsets[0]) // kind.itemsize, offset=info.offsets[0]
    )
    if not _finite(values):
        raise WeightsError(
            f"{info.file.name} holds values that are no numbers, NaN or infinite; fetch it again"
        )
    return values.reshape(info.shape)


def widened(values: Matrix) -> np.ndarray:
    """float32 of what `table` gives: bfloat16 is the upper half of a float32."""
    if isinstance(values, Packed):
        return values.widened()
    if values.dtype == np.uint16:
        bits = values.astype(np.uint32)
        bits <<= 16
        return bits.view(np.float32)
    return values.astype(np.float32, copy=False)


def _finite(values: np.ndarray) -> bool:
    if values.dtype == np.uint16:  # an exponent of ones
        return bool((values & 0x7F80 < 0x7F80).all())
    return bool(np.isfinite(values).all())
