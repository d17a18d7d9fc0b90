"""What the decoder's caches hold, position by position, and which of them the next prompt goes on from.

A decoder has a fixed number of slots, each with the keys and values of one sequence: the places where the user has
worked last. Coming back to one of them costs no prefill; memory is bounded by the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.engines.decoder import Decoder, LogitRows

# A position's content: a token id, or the bytes of a pseudo-token's vector.
Cell = int | bytes


class CacheSlots:
    """Owns a decoder's caches: everything that is computed or forgotten goes through here."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._slots: list[list[Cell]] = [[] for _ in range(decoder.n_slots)]
        self._recent = list(range(decoder.n_slots))  # slots, the one used last at the end
        self._cells = self._slots[0]

    @property
    def room(self) -> int:
        """Positions that are left in the selected slot."""
        return self._decoder.capacity - len(self._cells)

    def resume(self, cells: Sequence[Cell]) -> int:
        """Select a slot and keep what of it `cells` begin with; how many positions that is.

        The last position is always computed anew: the logits behind it are needed.
        """
        shared = [_shared(held, cells[:-1]) for held in self._slots]
        slot = max(reversed(self._recent), key=shared.__getitem__)
        if shared[slot] * 2 < min(len(self._slots[slot]), len(cells)):
            slot = self._recent[0]  # hardly anything in common: that place may be come back to
        self._recent.remove(slot)
        self._recent.append(slot)
        self._decoder.select(slot)
        self._cells = self._slots[slot]
        self._decoder.rewind(shared[slot])
        del self._cells[shared[slot] :]
        return shared[slot]

    def extend(self, cells: Sequence[Cell], vectors: np.ndarray) -> np.ndarray:
        """Append positions (float32 [n, hidden]); logits behind the last, float32 [vocab]."""
        logits = self._decoder.extend(vectors)
        self._cells.extend(cells)
        return logits

    def try_tree(self, vectors: np.ndarray, parents: Sequence[int]) -> LogitRows:
        """Logits behind each row of a tree. `keep` must follow."""
        return self._decoder.extend(vectors, parents=parents)

    def keep(self, cells: Sequence[Cell], rows: Sequence[int]) -> None:
        """Of the tree just tried, these rows (one path from a root) stay; `cells` says what they are."""
        self._decoder.keep(len(self._cells), rows)
        self._cells.extend(cells)


def _shared(held: Sequence[Cell], wanted: Sequence[Cell]) -> int:
    n = 0
    for cached, cell in zip(held, wanted, strict=False):
        if cached != cell:
            break
        n += 1
    return n
