"""What a coder says of a text that is known: what recall and confidence are fitted to, and nats are counted from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.prompt import Prompt


@dataclass(frozen=True, eq=False)
class Taught:
    """`ids` of a text that begins with `begin`; `logits`: what the coder says where each is due, float32 [n, vocab]."""

    prompt: Prompt
    begin: str
    ids: tuple[int, ...]
    logits: np.ndarray

    @property
    def log_chances(self) -> np.ndarray:
        """Natural logarithm of the chance of each of `ids`, float64 [n]."""
        rows = self.logits.astype(np.float64)
        return np.asarray(rows[range(len(self.ids)), self.ids] - np.logaddexp.reduce(rows, axis=1))
