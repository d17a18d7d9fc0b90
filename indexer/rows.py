"""What reading the store gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Change:
    """A node that became searchable (key float16 [d_key]) or stopped being so (None)."""

    id: int
    level: str
    since: int
    key: np.ndarray | None


@dataclass(frozen=True)
class Location:
    """Where a node lies: lines 1-based and inclusive, 0 for what is no file."""

    path: str
    first_line: int
    last_line: int


@dataclass(frozen=True)
class Content:
    """What a node says. `memory`: float16 [m, d_memory]; [0, 0] when it has no vectors yet."""

    level: str
    scope: str
    text: str
    signature: str
    memory: np.ndarray
