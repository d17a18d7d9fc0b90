"""Where the rows of a slot stand: placed rows stand beside each other, and from there on a row's number is not its
position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.checkpoint.coder import Qwen2Config
from model.engines.decoder import Rows


class Positions:
    """Of one slot of `capacity` rows: the position of each, and the one that follows it.

    What is noted behind the slot's length is never looked at, so that a pass that fails undoes nothing.
    """

    def __init__(self, capacity: int) -> None:
        self._own = np.zeros(capacity, np.int64)
        self._following = np.zeros(capacity + 1, np.int64)  # of the next row, by how many rows lie before it

    def __getitem__(self, rows: slice) -> np.ndarray:
        """int64, a copy."""
        return self._own[rows].copy()

    def extend(self, length: int, depths: np.ndarray) -> np.ndarray:
        """Note rows that lie behind `length` rows, each so deep; their positions, int64 [n]."""
        positions: np.ndarray = self._following[length] + depths
        stop = length + len(positions)
        self._own[length:stop], self._following[length + 1 : stop + 1] = positions, positions + 1
        return positions

    def place(self, length: int, positions: np.ndarray, following: int) -> None:
        """Note rows that were placed behind `length` rows. `following` follows each of them: when some are forgotten,
        it is as if they had not been among those placed."""
        stop = length + len(positions)
        self._own[length:stop], self._following[length + 1 : stop + 1] = positions, following
        self._following[stop] = following  # no rows at all move what comes next, too

    def keep(self, start: int, rows: Sequence[int]) -> None:
        """As `Decoder.keep`."""
        source, stop = np.asarray(rows, dtype=np.int64) + start, start + len(rows)
        self._own[start:stop], self._following[start + 1 : stop + 1] = (
            self._own[source],
            self._following[source + 1],
        )


def check_rows(rows: Rows, following: int, config: Qwen2Config) -> None:
    """Raises ValueError when these rows are not of a network of this shape, or one stands at `following` or behind."""
    n, positions = len(rows), rows.positions
    wanted = (config.num_hidden_layers, config.num_key_value_heads, n, config.head_dim)
    for name, array in (("keys", rows.keys), ("values", rows.values)):
        if array.shape != wanted or array.dtype.kind != "f":
            raise ValueError(f"{name} of {array.dtype} {array.shape} are not rows of {wanted}")
    if positions.shape != (n,) or positions.dtype.kind != "i":
        raise ValueError(f"positions of {positions.dtype} {positions.shape} are not those of {n} rows")
    if n and not 0 <= positions.min() <= positions.max() < following:
        raise ValueError(f"rows at {positions.min()} to {positions.max()} do not stand before {following}")


def check_filled(length: int, start: int, stop: int) -> None:
    """Raises ValueError when a cache of `length` rows has none from `start` to `stop`."""
    if not 0 <= start <= stop <= length:
        raise ValueError(f"rows {start} to {stop} are not among the {length} that are filled")
