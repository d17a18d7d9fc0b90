"""Weights in blocks of 32 along a row, as GGUF's Q4_1 and Q8_0 have them: what config.json says of them, the tensors
that they lie in, and the float32 values that these stand for.

A matrix `NAME` [out, in] in 4 bits is NAME.nibbles uint8 [out, blocks, 16], the even one of two neighbors in the low
half, with NAME.scale and NAME.minimum float16 [out, blocks]: value = scale * nibble + minimum. In 8 bits it is
NAME.octets int8 [out, blocks, 32] with NAME.scale: value = scale * octet. Vectors stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.checkpoint.coder import Shapes
from model.checkpoint.fields import Fields

BLOCK = 32
METHOD = "hef_blocks"
FLOATS = ("F32", "F16", "BF16")

_EMBEDDINGS = "embed_tokens.weight"
_NUMBERS = {".nibbles": ("U8",), ".octets": ("I8",), ".scale": ("F16",), ".minimum": ("F16",)}


@dataclass(frozen=True)
class PackedBits:
    """`quantization_config`: bits of the layers' matrices and of the embedding, 4 or 8."""

    linear_bits: int
    embedding_bits: int

    @classmethod
    def from_json(cls, raw: object) -> PackedBits:
        """Raises ValueError by name."""
        fields = Fields(raw, "quantization_config")
        if (method := fields.text("quant_method")) != METHOD:
            raise ValueError(f"quant_method is {method!r:.40}")
        fields.whole("block_size", BLOCK, BLOCK)
        return cls(_bits(fields, "linear_bits"), _bits(fields, "embedding_bits"))

    def to_json(self) -> dict[str, Any]:
        return {
            "quant_method": METHOD,
            "block_size": BLOCK,
            "linear_bits": self.linear_bits,
            "embedding_bits": self.embedding_bits,
        }

    def bits_of(self, name: str) -> int:
        """Of a matrix; a head of its own is as the embedding is."""
        alike = name.endswith(_EMBEDDINGS) or name == "lm_head.weight"
        return self.embedding_bits if alike else self.linear_bits


@dataclass(frozen=True, eq=False)
class Nibbles:
    """A matrix in 4 bits, as in its tensors."""

    nibbles: np.ndarray
    scale: np.ndarray
    minimum: np.ndarray

    def __len__(self) -> int:
        return len(self.nibbles)

    def __getitem__(self, rows: np.ndarray) -> Nibbles:
        """Some of the rows."""
        return Nibbles(self.nibbles[rows], self.scale[rows], self.minimum[rows])

    def widened(self) -> np.ndarray:
        """float32 [out, in]: rounded where GGUF's own reader rounds, so equal to it bit for bit."""
        scale, minimum = (part.astype(np.float32)[..., None] for part in (self.scale, self.minimum))
        values = np.stack([self.nibbles & 15, self.nibbles >> 4], axis=-1).reshape(*self.scale.shape, BLOCK)
        return (values * scale + minimum).reshape(len(values), self.scale.shape[1] * BLOCK)


@dataclass(frozen=True, eq=False)
class Octets:
    """A matrix in 8 bits, as in its tensors."""

    octets: np.ndarray
    scale: np.ndarray

    def __len__(self) -> int:
        return len(self.octets)

    def __getitem__(self, rows: np.ndarray) -> Octets:
        """Some of the rows."""
        return Octets(self.octets[rows], self.scale[rows])

    def widened(self) -> np.ndarray:
        """float32 [out, in]."""
        values = self.octets * self.scale.astype(np.float32)[..., None]
        return values.reshape(len(values), self.scale.shape[1] * BLOCK)


Packed = Nibbles | Octets


def stacked(matrices: Sequence[np.ndarray | Packed]) -> np.ndarray | Packed:
    """Matrices of one kind, one below the other."""
    plain = [matrix for matrix in matrices if isinstance(matrix, np.ndarray)]
    if plain:
        return np.concatenate(plain)
    blocks = [matrix for matrix in matrices if not isinstance(matrix, np.ndarray)]
    parts = zip(*(vars(matrix).values() for matrix in blocks), strict=True)
    return type(blocks[0])(*(np.concatenate(columns) for columns in parts))


def packed_shapes(shapes: Shapes, packing: PackedBits | None) -> Shapes:
    """What a checkpoint's tensors are, where `shapes` are those of its weights. Raises ValueError where rows are no
    whole blocks."""
    if packing is None:
        return shapes
    found: Shapes = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            found[name] = shape
            continue
        out, width = shape
        if width % BLOCK:
            raise ValueError(f"{name} has rows of {width} values, which are no blocks of {BLOCK}")
        blocks = (out, width // BLOCK)
        if packing.bits_of(name) == 4:
            found |= {f"{name}.nibbles": (*blocks, BLOCK // 2), f"{name}.minimum": blocks}
        else:
            found[f"{name}.octets"] = (*blocks, BLOCK)
        found[f"{name}.scale"] = blocks
    return found


def numbers_of(name: str) -> tuple[str, ...]:
    """The number formats that a tensor of this name may have."""
    return next((kinds for ending, kinds in _NUMBERS.items() if name.endswith(ending)), FLOATS)


def packing_of(config: Mapping[str, Any]) -> PackedBits | None:
    """What config.json says; None where the weights are plain numbers. Raises ValueError by name."""
    raw = config.get("quantization_config")
    return None if raw is None else PackedBits.from_json(raw)


def _bits(fields: Fields, name: str) -> int:
    bits = fields.whole(name, 4, 8)
    if bits not in (4, 8):
        raise ValueError(f"{name} is {bits}, neither 4 nor 8")
    return bits
