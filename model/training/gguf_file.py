"""A GGUF file as numpy: its facts, and its tensors in our blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from model.checkpoint.packed import BLOCK, Nibbles, Octets


class GgufError(ValueError):
    """The file cannot be imported; the message says what is in it."""


class GgufFile:
    """Reads with the package `gguf`, llama.cpp's own."""

    def __init__(self, file: Path) -> None:
        """Raises GgufError where it is no such file."""
        import gguf

        try:
            reader = gguf.GGUFReader(file)
        except (ValueError, IndexError, OSError) as problem:
            raise GgufError(f"{file} is no GGUF file ({problem})") from problem
        self.name = file.name
        self._fields = reader.fields
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        self.kinds = {name: tensor.tensor_type.name for name, tensor in self._tensors.items()}

    def value(self, key: str, default: Any = None) -> Any:
        """A fact under its full name. Raises GgufError where it is absent and has no default."""
        field = self._fields.get(key)
        if field is None and default is None:
            raise GgufError(f"{self.name} does not say {key}")
        return default if field is None else field.contents()

    def number(self, key: str, default: float | None = None) -> Any:
        """A fact about the network; a float as short as float32 allows."""
        value = self.value(f"{self.value('general.architecture')}.{key}", default)
        return float(str(np.float32(value))) if isinstance(value, float) else value

    def vector(self, name: str) -> np.ndarray:
        """A tensor in float32."""
        return np.array(self._data(name, "F32"), np.float32)

    def nibbles(self, name: str) -> Nibbles:
        """A matrix in Q4_1: scale and minimum in front of 16 bytes, whose low halves are the first 16 values."""
        raw = self._data(name, "Q4_1")
        blocks = raw.reshape(len(raw), -1, 4 + BLOCK // 2)
        scale, minimum = (
            np.ascontiguousarray(blocks[..., i : i + 2]).view(np.float16)[..., 0] for i in (0, 2)
        )
        values = np.concatenate([blocks[..., 4:] & 15, blocks[..., 4:] >> 4], axis=-1)
        return Nibbles(values[..., ::2] | values[..., 1::2] << 4, scale, minimum)

    def octets(self, name: str) -> Octets:
        """A matrix in Q8_0: a scale in front of 32 bytes."""
        raw = self._data(name, "Q8_0")
        blocks = raw.reshape(len(raw), -1, 2 + BLOCK)
        scale = np.ascontiguousarray(blocks[..., :2]).view(np.float16)[..., 0]
        return Octets(np.ascontiguousarray(blocks[..., 2:]).view(np.int8), scale)

    def _data(self, name: str, kind: str) -> np.ndarray:
        found = self.kinds.get(name)
        if found != kind:
            raise GgufError(f"{self.name} has {name} in {found}, not in {kind}")
        data: np.ndarray = self._tensors[name].data
        return data
