"""How rows lie in bytes: in memory and on disk alike, so that a block reads the same whether it was made now or kept.

int8 has one scale per channel (layer, keys or values, kv head, dimension) over a block's rows: a few channels of the
keys are many times larger than the rest. It takes a quarter of float32, and is widened faster than float16.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.engines.decoder import Rows

DTYPES = ("int8", "float16")
_LARGEST = {"int8": float(np.finfo(np.float32).max), "float16": float(np.finfo(np.float16).max)}
_STEPS = 127  # of int8, on each side of 0


@dataclass(frozen=True)
class Packing:
    """The shape of one coder's rows and the number format in which they are kept, one of `DTYPES`."""

    layers: int
    kv_heads: int
    head_dim: int
    dtype: str = "int8"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"{self.dtype} is none of {', '.join(DTYPES)}")

    def __str__(self) -> str:
        return f"{self.dtype}-{self.layers}x{self.kv_heads}x{self.head_dim}"

    def pack(self, rows: Rows) -> bytes:
        """Raises ValueError on rows of another coder's shape and on numbers that the format does not hold."""
        expected = (self.layers, self.kv_heads, len(rows), self.head_dim)
        if rows.keys.shape != expected or rows.values.shape != expected:
            raise ValueError(f"rows of another coder: {rows.keys.shape} instead of {expected}")
        numbers = np.stack([rows.keys, rows.values]).astype(np.float32, copy=False)
        if len(rows) == 0 or not np.abs(numbers).max() <= _LARGEST[self.dtype]:  # neither is NaN
            raise ValueError(f"no rows, or numbers beyond {self.dtype}")
        positions = rows.positions.astype("<i4").tobytes()
        if self.dtype == "float16":
            return b"".join((positions, numbers.astype("<f2").tobytes()))
        scales = np.abs(numbers).max(axis=3, keepdims=True) / np.float32(_STEPS)
        codes = np.rint(numbers / np.where(scales > 0, scales, np.float32(1)))
        return b"".join((scales.astype("<f4").tobytes(), positions, codes.astype(np.int8).tobytes()))

    def unpack(self, packed: bytes | memoryview) -> Rows:
        """float32 from int8, else as packed. Raises ValueError on bytes that are not whole rows."""
        n = self.n_rows(len(packed))
        shape = (2, self.layers, self.kv_heads, n, self.head_dim)
        positions = np.frombuffer(packed, "<i4", n, self._scale_bytes).astype(np.int64)
        start = self._scale_bytes + 4 * n
        if self.dtype == "float16":
            numbers = np.frombuffer(packed, "<f2", offset=start).reshape(shape)
        else:
            numbers = np.frombuffer(packed, np.int8, offset=start).reshape(shape).astype(np.float32)
            numbers *= np.frombuffer(packed, "<f4", self._channels).reshape(*shape[:3], 1, self.head_dim)
        return Rows(numbers[0], numbers[1], positions)

    def n_rows(self, n_bytes: int) -> int:
        """How many rows so many bytes are. Raises ValueError where they are none of this packing."""
        each = self._channels * (1 if self.dtype == "int8" else 2) + 4
        n, rest = divmod(n_bytes - self._scale_bytes, each)
        if n < 1 or rest:
            raise ValueError(f"{n_bytes} bytes are no rows of {self}")
        return n

    @property
    def _channels(self) -> int:
        return 2 * self.layers * self.kv_heads * self.head_dim

    @property
    def _scale_bytes(self) -> int:
        return 4 * self._channels if self.dtype == "int8" else 0


@dataclass(frozen=True, eq=False)
class PackedRows:
    """Rows as they are kept; what `Packing.pack` gave."""

    packing: Packing
    content: bytes | memoryview

    def __len__(self) -> int:
        return self.packing.n_rows(len(self.content))

    def unpacked(self) -> Rows:
        return self.packing.unpack(self.content)
