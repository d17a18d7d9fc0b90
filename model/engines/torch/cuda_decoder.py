"""The decoder for CUDA: every pass has one of a few shapes, and each shape is one graph.

The graphs read and write one cache. Sequences of other slots lie aside and are copied in when they are selected (60 MB
for 2,000 positions of a 1.5B model), so that one graph serves all slots.

It runs on the CPU as well, without graphs; only tests and the small benchmark do that. Weights stay bf16: torch has no
public product of bf16 rows with 8-bit weights (torchao has, and is no dependency).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import overload

import numpy as np
import torch
from torch import Tensor

from model.engines.decoder import LogitRows, Rows, check_rewind, check_room, must_move, tree_mask
from model.engines.positions import Positions, check_filled, check_rows
from model.engines.torch.cuda_graphs import GRID, Capture, CudaCapture, Graphs, Grid
from model.engines.torch.cuda_network import FusedWeights, allocate, forward, visibility


class CudaDecoder:
    """`Decoder` with static shapes. Lives on one thread: it owns the cache.

    A tree has at most `grid.widest_tree` rows; `extend` raises ValueError for a larger one.
    """

    def __init__(
        self,
        weights: FusedWeights,
        capacity: int,
        n_slots: int = 1,
        grid: Grid = GRID,
        capture: Capture | None = None,
    ) -> None:
        """On a CUDA device passes are captured as graphs; `capture` says how else."""
        self._weights = weights
        self._grid = grid
        self._capacity = capacity
        self._static = allocate(weights, grid.length(capacity), grid.widest, grid.widest_tree)
        self._stream = _stream_of(weights.table.device)
        if self._stream:
            self._stream.wait_stream(torch.cuda.current_stream())
            capture = capture or CudaCapture(self._stream)
        self._graphs = Graphs(partial(forward, weights, self._static), capture)
        self._slot, self._length = 0, 0
        self._aside = [self._static.cache[:, :, :0]] * n_slots
        self._positions = [Positions(capacity) for _ in range(n_slots)]

    @property
    def hidden_size(self) -> int:
        return self._weights.config.hidden_size

    @property
    def vocab_size(self) -> int:
        return self._weights.config.vocab_size

    @property
    def capacity(self) -> int:
        return self._capacity

    @property
    def n_slots(self) -> int:
        return len(self._aside)

    @property
    def prefill_piece(self) -> int:
        return self._grid.widest

    @property
    def length(self) -> int:
        return self._length

    def select(self, slot: int) -> None:
        """As `Decoder.select`: graphs compute in one cache, so what is in it is set aside and the other copied in."""
        if slot == self._slot:
            return
        cache, other = self._static.cache, self._aside[slot]
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._aside[self._slot] = cache[:, :, : self._length].clone()
            self._length = other.shape[2]
            cache[:, :, : self._length] = other
        self._slot, self._aside[slot] = slot, cache[:, :, :0]

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            return self._read(self._weights.table.index_select(0, self._sent(ids)).float())

    @overload
    def extend(self, vectors: np.ndarray, *, all_rows: bool = False, parents: None = None) -> np.ndarray: ...

    @overload
    def extend(self, vectors: np.ndarray, *, all_rows: bool = False, parents: Sequence[int]) -> LogitRows: ...

    def extend(
        self, vectors: np.ndarray, *, all_rows: bool = False, parents: Sequence[int] | None = None
    ) -> LogitRows:
        """As `Decoder.extend`; all rows of a sequence are trees without branches, as wide as there are graphs for."""
        n = len(vectors)
        check_room(self._length, n, self._capacity)
        if parents is not None:
            return self._tree(vectors, parents)
        if not all_rows:
            return self._read(self._sequence(vectors)[0])
        widest = self._grid.widest_tree
        pieces = [vectors[first : first + widest] for first in range(0, n, widest)]
        return np.concatenate(
            [self._read(self._tree(piece, range(-1, len(piece) - 1)).logits) for piece in pieces]
        )

    def read(self, start: int, stop: int) -> Rows:
        """As `Decoder.read`, in float32: numpy has no bfloat16."""
        check_filled(self._length, start, stop)
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            both = self._read(self._static.cache[:, :, start:stop].float())
        keys, values = np.split(both, 2, axis=1)
        return Rows(keys, values, self._positions[self._slot][start:stop])

    def place(self, rows: Rows, following: int) -> None:
        """As `Decoder.place`."""
        check_rows(rows, following, self._weights.config)
        past, stop = self._length, self._length + len(rows)
        check_room(past, len(rows), self._capacity)
        both = torch.from_numpy(np.concatenate([rows.keys, rows.values], axis=1))
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._static.cache[:, :, past:stop].copy_(both)
        self._positions[self._slot].place(past, rows.positions, following)
        self._length = stop

    def keep(self, start: int, rows: Sequence[int]) -> None:
        """As `Decoder.keep`."""
        if must_move(rows):
            self._positions[self._slot].keep(start, rows)
            cache = self._static.cache
            with torch.inference_mode(), torch.cuda.stream(self._stream):
                cache[:, :, start : start + len(rows)] = cache[
                    :, :, self._sent([start + row for row in rows])
                ]
        self._length = start + len(rows)

    def rewind(self, length: int) -> None:
        check_rewind(self._length, length)
        self._length = length

    def warm_up(self) -> None:
        """Run and capture the shapes that a first request meets; the selected sequence must be empty."""
        for n in (1, min(self._grid.widest, self._capacity)):
            for _ in range(2):
                self.extend(np.zeros((n, self.hidden_size), np.float32))
                self.rewind(0)

    def _sequence(self, vectors: np.ndarray) -> Tensor:
        """Append [n, hidden] in pieces; logits [1, vocab] of the last row."""
        for first in range(0, len(vectors), self._grid.widest):
            piece = vectors[first : first + self._grid.widest]
            logits = self._pass(piece, np.arange(len(piece)), tree=False)
        return logits[:1]

    def _tree(self, vectors: np.ndarray, parents: Sequence[int]) -> _TreeRows:
        n = len(vectors)
        if n > self._grid.widest_tree:
            raise ValueError(f"a tree of {n} rows is wider than {self._grid.widest_tree}")
        width = self._grid.width(n, tree=True)
        sees = tree_mask(parents, width)
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._static.tree[:width, : width + 2] = visibility(torch.from_numpy(sees))
        logits = self._pass(vectors, sees[:n].sum(axis=1) - 1, tree=True)
        self._wait()  # Who measures what a tree costs must not measure how fast it is asked for.
        return _TreeRows(logits[:n], self._read)

    def _pass(self, vectors: np.ndarray, depth: np.ndarray, *, tree: bool) -> Tensor:
        """Append [n, hidden] in one pass; the static logits after it."""
        n, static = len(vectors), self._static
        positions = self._positions[self._slot].extend(self._length, depth)
        numbers = np.concatenate([[self._length, n - 1], positions])
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            static.vectors[:n].copy_(torch.from_numpy(vectors))
            static.numbers[: n + 2].copy_(torch.from_numpy(numbers))
            self._graphs.run(self._grid.shape(n, self._length, len(static.row), tree=tree))
        self._length += n
        return static.logits

    def _sent(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(ids, dtype=torch.long, device=self._static.row.device)

    def _read(self, values: Tensor) -> np.ndarray:
        """A copy on the host. Pinned memory takes a row of 150,000 logits without a detour."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            host = torch.empty(values.shape, dtype=values.dtype, pin_memory=self._stream is not None)
            host.copy_(values, non_blocking=True)
        self._wait()
        return host.numpy()

    def _wait(self) -> None:
        if self._stream:
            self._stream.synchronize()


@dataclass(frozen=True, eq=False)
class _TreeRows:
    """The logits of a tree where they were computed: 64 rows of 150,000 would be 39 MB to move."""

    logits: Tensor  # [n, vocab]
    read: Callable[[Tensor], np.ndarray]

    def __getitem__(self, row: int, /) -> np.ndarray:
        return self.read(self.logits[row])


def _stream_of(device: torch.device) -> torch.cuda.Stream | None:
    """Graphs cannot be captured on the default stream, so all work is on one of its own."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None
