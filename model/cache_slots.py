"""What the decoder's caches hold, position by position, and which of them the next prompt goes on from.

A decoder has a fixed number of slots, each with the keys and values of one sequence: the places where the user has
worked last. Coming back to one of them costs no prefill; memory is bounded by the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.blocks.block import FIRST, Block
from model.engines.decoder import Decoder, LogitRows
from model.prompt import PSEUDO, Prompt

# A position's content: a token id, or the bytes of a pseudo-token's vector, or of a block's digest and a row's number.
Cell = int | bytes


class CacheSlots:
    """Owns a decoder's caches: everything that is computed or forgotten goes through here. The first `n_slots` of
    them: another may have the rest."""

    def __init__(self, decoder: Decoder, n_slots: int | None = None) -> None:
        n_slots = n_slots or decoder.n_slots
        self._decoder = decoder
        self._slots: list[list[Cell]] = [[] for _ in range(n_slots)]
        self._recent = list(range(n_slots))  # slots, the one used last at the end
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

    def begin(self, blocks: Sequence[Block], cells: Sequence[Cell]) -> int:
        """Select a slot that begins as `cells` do, and place what it has not of the blocks that these begin with; how
        many positions it then has."""
        done, end = self.resume(cells), 0
        for block in blocks:
            start, end = max(done, end), end + len(block)
            if start < end:
                self._decoder.place(block.rows[start - end :], FIRST)
                self._cells.extend(cells[start:end])
        return max(done, end)

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


def prompt_cells(prompt: Prompt) -> list[Cell]:
    """What the cache holds for a prompt, row by row."""
    vectors = iter(prompt.pseudo)
    placed = [b"%b%d" % (block.digest, row) for block in prompt.blocks for row in range(len(block))]
    return [*placed, *(next(vectors).tobytes() if token == PSEUDO else token for token in prompt.ids)]


def _shared(held: Sequence[Cell], wanted: Sequence[Cell]) -> int:
    n = 0
    for cached, cell in zip(held, wanted, strict=False):
        if cached != cell:
            break
        n += 1
    return n
