"""What the decoder's caches hold, position by position, and which of them the next prompt goes on from.

A decoder has a fixed number of slots, each with the keys and values of one sequence: the places where the user has
worked last. Coming back to one of them costs no prefill; memory is bounded by the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from model.blocks.block import FIRST, Block
from model.engines.decoder import Decoder, LogitRows, joined
from model.prompt import PSEUDO, Prompt
from model.request import never

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

    def resume(self, cells: Sequence[Cell], n_placed: int = 0) -> int:
        """Select a slot and keep what of it `cells` begin with; how many positions that is.

        The last position is always computed anew: the logits behind it are needed. `n_placed` of the cells are of
        blocks, which cost nothing.
        """
        shared = [_shared(held, cells[:-1]) for held in self._slots]
        slot = max(reversed(self._recent), key=shared.__getitem__)
        if shared[slot] * 2 < min(len(self._slots[slot]), len(cells) - n_placed):
            slot = self._recent[0]  # hardly anything in common: that place may be come back to
        self._recent.remove(slot)
        self._recent.append(slot)
        self._decoder.select(slot)
        self._cells = self._slots[slot]
        self._decoder.rewind(shared[slot])
        del self._cells[shared[slot] :]
        return shared[slot]

    def advance(
        self,
        prompt: Prompt,
        cells: Sequence[Cell],
        stop: int,
        stopped: Callable[[], bool] = never,
        most: int | None = None,
    ) -> bool:
        """Go on from what the selected slot has of a prompt (`resume`) to the row `stop`, which lies behind its blocks:
        place these, and compute the other rows, as many at a time as go through one pass, or `most`. False: `stopped`
        before."""
        width = most or self._decoder.prefill_piece
        self._place(prompt.blocks[:1], cells, 0, FIRST)
        if not self._compute(prompt, cells, prompt.early_rows, stopped, width):
            return False
        self._place(prompt.blocks[1:], cells, prompt.early_rows, FIRST + prompt.n_early)
        return self._compute(prompt, cells, stop, stopped, width)

    def vectors(self, prompt: Prompt, rows: slice) -> np.ndarray:
        """Embeddings of rows on one side of a prompt's blocks, float32 [n, hidden], pseudo-tokens among them."""
        n_placed = prompt.n_placed if rows.start >= prompt.late_row else prompt.sink_rows
        start, stop = rows.start - n_placed, rows.stop - n_placed
        ids = np.array(prompt.ids[start:stop])
        slots = ids == PSEUDO
        first = prompt.ids[:start].count(PSEUDO)
        vectors = self._decoder.embed(np.where(slots, 0, ids).tolist())
        vectors[slots] = prompt.pseudo[first : first + int(slots.sum())]
        return vectors

    def _compute(
        self, prompt: Prompt, cells: Sequence[Cell], stop: int, stopped: Callable[[], bool], width: int
    ) -> bool:
        while (start := len(self._cells)) < stop:
            if stopped():
                return False
            rows = slice(start, min(start + width, stop))
            self.extend(cells[rows], self.vectors(prompt, rows))
        return True

    def _place(self, blocks: Sequence[Block], cells: Sequence[Cell], end: int, following: int) -> None:
        """Append what the slot has not of blocks whose rows are `cells` from `end` on, at once, since a cache may move
        its rows to make room; position `following` is next."""
        new, start = [], len(self._cells)
        for block in blocks:
            first, end = max(start, end), end + len(block)
            if first < end:
                new.append((block, end - first))
        if new:
            rows = joined((block.rows[-n:] for block, n in new), sum(n for _, n in new))
            self._decoder.place(rows, following)
            self._cells.extend(cells[start:end])

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
    cells = [next(vectors).tobytes() if token == PSEUDO else token for token in prompt.ids]
    sink = prompt.sink_rows
    return [*placed[:sink], *cells[: prompt.n_early], *placed[sink:], *cells[prompt.n_early :]]


def _shared(held: Sequence[Cell], wanted: Sequence[Cell]) -> int:
    n = 0
    for cached, cell in zip(held, wanted, strict=False):
        if cached != cell:
            break
        n += 1
    return n
