"""What a decoder is: embeddings in, logits out, a few static key/value caches that can be rewound.

Everything above this seam (prompt, generation, drafting) is written against `Decoder`, so that another engine
only has to implement these few methods. Arrays are numpy on both sides: pseudo-tokens are vectors, never ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, overload

import numpy as np

# On a CPU a pass over so many positions of the embedded model still lets a cancel be heard in time.
PREFILL_PIECE = 128


@dataclass(frozen=True, eq=False)
class Rows:
    """Keys and values of n rows in every layer, [layers, kv heads, n, head_dim] each, of any float type; the keys are
    turned to `positions`, int64 [n]."""

    keys: np.ndarray
    values: np.ndarray
    positions: np.ndarray

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, wanted: slice | np.ndarray) -> Rows:
        """Some of the rows, by a slice or by their numbers."""
        return Rows(self.keys[:, :, wanted], self.values[:, :, wanted], self.positions[wanted])


def joined(parts: Sequence[Rows]) -> Rows:
    """At least one part, one behind the other."""
    if len(parts) == 1:
        return parts[0]
    keys, values = (
        np.concatenate(arrays, axis=2) for arrays in zip(*((p.keys, p.values) for p in parts), strict=True)
    )
    return Rows(keys, values, np.concatenate([part.positions for part in parts]))


class LogitRows(Protocol):
    """Logits of a tree's rows, of which few are looked at; to be read before the decoder is used again."""

    def __getitem__(self, row: int, /) -> np.ndarray:
        """float32 [vocab], the reader's own."""


class Decoder(Protocol):
    """A causal language model with one sequence in each of its slots; everything is about the selected one."""

    @property
    def hidden_size(self) -> int: ...

    @property
    def vocab_size(self) -> int: ...

    @property
    def capacity(self) -> int:
        """Positions that a slot holds."""

    @property
    def n_slots(self) -> int:
        """How many sequences are held beside each other; fixed, so that memory is bounded."""

    @property
    def prefill_piece(self) -> int:
        """Positions of a prompt that shall go through one pass: a cancel is heard between two."""

    @property
    def length(self) -> int:
        """Positions that are filled."""

    def select(self, slot: int) -> None:
        """From now on it is about this slot, 0 to `n_slots` - 1; what is in the others stays. 0 at first."""

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Token ids -> float32 [n, hidden]."""

    @overload
    def extend(self, vectors: np.ndarray, *, all_rows: bool = False, parents: None = None) -> np.ndarray: ...

    @overload
    def extend(self, vectors: np.ndarray, *, all_rows: bool = False, parents: Sequence[int]) -> LogitRows: ...

    def extend(
        self, vectors: np.ndarray, *, all_rows: bool = False, parents: Sequence[int] | None = None
    ) -> LogitRows:
        """Append float32 [n, hidden] to the cache and return logits, float32 [vocab] of the last row or [n, vocab].

        With `parents` the rows are a tree (tree attention, FastCoder 3.3): row i sees the filled cache, itself and
        its ancestors; `parents[i]` < i is its parent's row, -1 for a root. Any row's logits can then be read, and
        `keep` must follow. Raises ValueError when the cache would overflow.
        """

    def read(self, start: int, stop: int) -> Rows:
        """What lies in the rows `start` to `stop` of the cache, a copy; as exact as the cache has it. Raises
        ValueError where they are not filled."""

    def place(self, rows: Rows, following: int) -> None:
        """Append rows that were read once, in this slot or another, without a forward pass; all that is appended
        behind them sees them, and the next row stands at position `following`. (A row's number in the cache and its
        position differ from here on: blocks stand beside each other, DESIGN section 5.)

        Raises ValueError on rows of another network or behind `following`, and when the cache would overflow.
        """

    def keep(self, start: int, rows: Sequence[int]) -> None:
        """Of the rows appended at `start`, keep these (one root-to-leaf path) and forget the rest."""

    def rewind(self, length: int) -> None:
        """Forget everything from position `length` on. Raises ValueError when it lies behind what is filled."""


def tree_mask(parents: Sequence[int], width: int = 0) -> np.ndarray:
    """Which rows of a tree each row sees, bool [n, n]: its ancestors and itself. Up to `width` rows follow that are
    padding, which see themselves."""
    sees = np.eye(max(len(parents), width), dtype=bool)
    for row, parent in enumerate(parents):
        if parent >= 0:
            sees[row] |= sees[parent]
    return sees


def check_room(length: int, n: int, capacity: int) -> None:
    """Raises ValueError when `n` rows do not fit behind `length` of a cache's `capacity`."""
    if length + n > capacity:
        raise ValueError(f"{length} + {n} positions do not fit a cache of {capacity}")


def check_rewind(length: int, wanted: int) -> None:
    """Raises ValueError when a cache of `length` rows has none at `wanted`."""
    if not 0 <= wanted <= length:
        raise ValueError(f"cannot rewind from {length} to {wanted}")


def must_move(rows: Sequence[int]) -> bool:
    """Whether rows that are kept do not lie where they belong already, one behind the other from the first on."""
    return list(rows) != list(range(len(rows)))
