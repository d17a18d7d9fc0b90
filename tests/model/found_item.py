"""What a repository finds, where a test plays it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class FoundItem:
    """`model.repository.ContextItem`."""

    path: str
    text: str
    first_line: int = 1
    last_line: int = 3
    level: str = "chunk"
    score: float = 1.0
    signature: str = ""
    memory: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float16))
