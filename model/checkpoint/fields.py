"""Values of a JSON object, each of its kind and within bounds: what a file says is checked before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class Fields:
    """Every method raises ValueError with a sentence that names the value. null is as good as absent."""

    def __init__(self, raw: object, name: str = "it") -> None:
        if not isinstance(raw, Mapping):
            raise ValueError(f"{name} is {raw!r:.40}, not an object")
        self._raw = raw

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        value = self._value(name, default)
        if type(value) is not int or not low <= value <= high:  # True is an int, too
            raise ValueError(f"{name} is {value!r:.40}, not a whole number from {low} to {high}")
        return value

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        value = self._value(name, default)
        if type(value) not in (int, float) or not low <= value <= high:  # which NaN is not either
            raise ValueError(f"{name} is {value!r:.40}, not a number from {low:g} to {high:g}")
        return float(value)

    def numbers(self, low: float, high: float) -> dict[str, float]:
        """All values by name, each a number."""
        return {str(name): self.number(name, low, high) for name in self._raw}

    def flag(self, name: str, default: bool) -> bool:
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r:.40}, not true or false")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        value = self._value(name, default)
        if not isinstance(value, str):
            raise ValueError(f"{name} is {value!r:.40}, not a text")
        return value

    def object(self, name: str) -> Fields:
        """An object; an empty one where it is absent."""
        return Fields(self._value(name, {}), name)

    def array(self, name: str, kind: str = "if") -> np.ndarray:
        """Nested lists of finite numbers, rectangular; `kind`: numpy's letters of what may come out."""
        value = self._value(name, None)
        try:
            array = np.array(value)
        except (ValueError, OverflowError):
            array = np.array(None)
        if array.dtype.kind not in kind or not np.isfinite(array).all():
            raise ValueError(f"{name} is not an array of numbers")
        return array

    def has(self, name: str) -> bool:
        return self._raw.get(name) is not None

    def _value(self, name: str, default: Any) -> Any:
        value = self._raw.get(name)
        if value is not None:
            return value
        if default is None:
            raise ValueError(f"{name} is missing")
        return default
