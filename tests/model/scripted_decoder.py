"""A decoder that plays a script: what it answers depends only on the ids in its cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from model.engines.decoder import PREFILL_PIECE, Rows, tree_mask
from model.engines.positions import Positions

Script = Callable[[tuple[int, ...]], int]


def after(prompt_length: int, answer: Sequence[int]) -> Script:
    """The script that continues a prompt of this length with `answer`."""
    return lambda ids: answer[len(ids) - prompt_length] if len(ids) >= prompt_length else 0


class ScriptedDecoder:
    """`Decoder` over a script. Counts what it was asked; an embedding carries its token id in both columns."""

    hidden_size = 2
    prefill_piece = PREFILL_PIECE

    def __init__(self, script: Script, vocab_size: int, capacity: int = 512, n_slots: int = 1) -> None:
        self.vocab_size = vocab_size
        self.capacity = capacity
        self.n_slots = n_slots
        self.widths: list[int] = []  # rows of each forward pass
        self._script = script
        self._slots: list[list[int]] = [[] for _ in range(n_slots)]
        self._positions = [Positions(capacity) for _ in range(n_slots)]
        self.select(0)
        self._tree: list[tuple[int, ...]] = []  # of each row that `keep` may choose, the ids up to it

    @property
    def length(self) -> int:
        return len(self._ids)

    def select(self, slot: int) -> None:
        self._ids, self._stand = self._slots[slot], self._positions[slot]

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        return np.repeat(np.array(ids, dtype=np.float32)[:, None], 2, axis=1)

    def extend(
        self, vectors: np.ndarray, *, all_rows: bool = False, parents: Sequence[int] | None = None
    ) -> np.ndarray:
        if len(self._ids) + len(vectors) > self.capacity:
            raise ValueError("the cache is full")
        self.widths.append(len(vectors))
        new = [int(vector[0]) for vector in vectors]
        before = tuple(self._ids)
        depths = np.arange(len(new)) if parents is None else tree_mask(parents).sum(axis=1) - 1
        self._stand.extend(len(before), depths)
        self._ids += new
        if parents is None:
            rows = [tuple(self._ids[: len(before) + n + 1]) for n in range(len(new))]
            logits = np.stack([self._logits(ids) for ids in (rows if all_rows else rows[-1:])])
            return logits if all_rows else logits[0]
        self._tree = []
        for token, parent in zip(new, parents, strict=True):
            self._tree.append((*(before if parent < 0 else self._tree[parent]), token))
        return np.stack([self._logits(ids, tolerant=True) for ids in self._tree])

    def _logits(self, ids: tuple[int, ...], tolerant: bool = False) -> np.ndarray:
        logits = np.zeros(self.vocab_size, dtype=np.float32)
        try:
            logits[self._script(ids)] = 1.0
        except IndexError:
            if not tolerant:  # a wrong branch of a tree may run past the script's end
                raise
        return logits

    def read(self, start: int, stop: int) -> Rows:
        """The ids stand in the keys and in the values, [1, 1, n, 1]."""
        ids = np.array(self._ids[start:stop], dtype=np.float32).reshape(1, 1, -1, 1)
        return Rows(ids, ids, self._stand[start:stop])

    def place(self, rows: Rows, following: int) -> None:
        if len(self._ids) + len(rows) > self.capacity:
            raise ValueError("the cache is full")
        self._stand.place(len(self._ids), rows.positions, following)
        self._ids += [int(row) for row in rows.keys.ravel()]

    def keep(self, start: int, rows: Sequence[int]) -> None:
        assert [len(self._tree[row]) for row in rows] == [start + n + 1 for n in range(len(rows))], (
            "not a path"
        )
        self._stand.keep(start, rows)
        self._ids[:] = self._tree[rows[-1]] if rows else self._ids[:start]

    def rewind(self, length: int) -> None:
        del self._ids[length:]
