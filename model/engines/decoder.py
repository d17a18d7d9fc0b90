"""What a decoder is: embeddings in, logits out, a few static key/value caches that can be rewound.

Everything above this seam (prompt, generation, drafting) is written against `Decoder`, so that another engine
only has to implement these few methods. Arrays are numpy on both sides: pseudo-tokens are vectors, never ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def joined(parts: Iterable[Rows], n: int) -> Rows:
    """At least one part, one behind the other, `n` rows in all. One at a time is asked for: they may be unpacked, which
    takes memory."""
    whole, at = None, 0
    for part in parts:
        if len(part) == n:
            return part
        whole = whole or _unfilled(part, n)
        stop = at + len(part)
        whole.keys[:, :, at:stop], whole.values[:, :, at:stop] = part.keys, part.values
        whole.positions[at:stop] = part.positions
        at = stop
    assert whole is not None
    return whole


def _unfilled(like: Rows, n: int) -> Rows:
    layers, kv_heads, _, width = like.keys.shape
    keys, values = (np.empty((layers, kv_heads, n, width), like.keys.dtype) for _ in range(2))
    return Rows(keys, values, np.empty(n, np.int64))


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
