"""The decoder for CUDA: every pass has one of a few shapes, and each shape is one graph.

The graphs read and write one cache. Sequences of other slots lie aside and are copied in when they are selected (60 MB
for 2,000 positions of a 1.5B model), so that one graph serves all slots.

It runs on the CPU as well, without graphs; only tests and the small benchmark do that. Weights stay bf16: torch has no
public product of bf16 rows with 8-bit weights (torchao has, and is no dependency).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.cuda_graphs import GRID, Capture, CudaCapture, Graphs, Grid
from model.cuda_network import FusedWeights, allocate, forward, visibility


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
        self._graphs = Graphs(lambda shape: forward(weights, self._static, shape), capture)
        self._forbidden = torch.zeros_like(self._static.logits[0])
        self._slot, self._length = 0, 0
        self._aside = [self._static.cache[:, :, :0]] * n_slots

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
    def length(self) -> int:
        return self._length

    def select(self, slot: int) -> None:
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

    def extend(
        self,
        vectors: np.ndarray,
        *,
        all_rows: bool = False,
        parents: Sequence[int] | None = None,
    ) -> np.ndarray:
        self._check(len(vectors), parents)
        every = all_rows or parents is not None
        widest = self._grid.widest_tree if every else self._grid.widest
        rows = []
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            for first in range(0, len(vectors), widest):
                piece = vectors[first : first + widest]
                self._static.vectors[: len(piece)].copy_(torch.from_numpy(piece))
                logits = self._tree(len(piece), parents) if every else self._sequence(len(piece))
                if every or first + widest >= len(vectors):
                    rows.append(self._read(logits))
        return np.concatenate(rows) if every else rows[0][0]

    def forbid(self, ids: Sequence[int]) -> None:
        """Token ids that `choose` shall never return."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._forbidden.zero_().index_fill_(0, self._sent(ids), -torch.inf)

    def choose(self, tokens: Sequence[int], parents: Sequence[int] | None = None) -> list[int]:
        """Append a sequence or a tree of tokens and return the likeliest token behind each of them.

        What `extend` says with all its rows, without moving embeddings and logits between host and device. Raises
        ValueError as it does, and for more tokens than a tree can have.
        """
        self._check(len(tokens), parents or range(-1, len(tokens) - 1))
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._static.vectors[: len(tokens)] = self._weights.table.index_select(0, self._sent(tokens))
            scores = self._tree(len(tokens), parents) + self._forbidden
            best: list[int] = self._read(scores.argmax(-1)).tolist()
            return best

    def keep(self, start: int, rows: Sequence[int]) -> None:
        if list(rows) != list(range(len(rows))):
            cache = self._static.cache
            with torch.inference_mode(), torch.cuda.stream(self._stream):
                cache[:, :, start : start + len(rows)] = cache[:, :, self._sent([start + row for row in rows])]
        self._length = start + len(rows)

    def rewind(self, length: int) -> None:
        if not 0 <= length <= self._length:
            raise ValueError(f"cannot rewind from {self._length} to {length}")
        self._length = length

    def warm_up(self) -> None:
        """Run and capture the shapes that a first request meets; the selected sequence must be empty."""
        for n in (1, min(self._grid.widest, self._capacity)):
            for _ in range(2):
                self.extend(np.zeros((n, self.hidden_size), np.float32))
                self.rewind(0)

    def _check(self, n: int, parents: Sequence[int] | None) -> None:
        if self._length + n > self._capacity:
            raise ValueError(f"{self._length} + {n} positions do not fit a cache of {self._capacity}")
        if parents is not None and n > self._grid.widest_tree:
            raise ValueError(f"a tree of {n} rows is wider than {self._grid.widest_tree}")

    def _sequence(self, n: int) -> Tensor:
        """Append the first n static vectors; logits [1, vocab] of the last."""
        return self._pass(n, np.arange(n), tree=False)[:1]

    def _tree(self, n: int, parents: Sequence[int] | None) -> Tensor:
        """Append the first n static vectors, a sequence where `parents` is None; logits [n, vocab] of all."""
        if n == 1:
            return self._sequence(1)
        width = self._grid.width(n, tree=True)
        sees = ancestors(parents or range(-1, n - 1), width)
        self._static.tree[:width, : width + 2] = visibility(torch.from_numpy(sees))
        return self._pass(n, sees[:n].sum(axis=1) - 1, tree=True)[:n]

    def _pass(self, n: int, depth: np.ndarray, *, tree: bool) -> Tensor:
        """All static logits after a pass over the first n static vectors."""
        static, numbers = self._static, np.concatenate([[self._length, n - 1], depth])
        static.numbers[: len(numbers)].copy_(torch.from_numpy(numbers))
        self._graphs.run(self._grid.shape(n, self._length, len(static.position), tree=tree))
        self._length += n
        return static.logits

    def _sent(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(ids, dtype=torch.long, device=self._static.row.device)

    def _read(self, values: Tensor) -> np.ndarray:
        """A copy on the host. Pinned memory takes logits of 150,000 tokens at several times the speed."""
        host = torch.empty(values.shape, dtype=values.dtype, pin_memory=self._stream is not None)
        host.copy_(values, non_blocking=True)
        if self._stream:
            self._stream.synchronize()
        return host.numpy()


def ancestors(parents: Sequence[int], width: int) -> np.ndarray:
    """Bool [width, width]: a row sees its ancestors and itself; padding, the rows without a parent, only itself."""
    sees = np.eye(width, dtype=bool)
    for row, parent in enumerate(parents):
        if parent >= 0:
            sees[row] |= sees[parent]
    return sees


def _stream_of(device: torch.device) -> torch.cuda.Stream | None:
    """Graphs cannot be captured on the default stream, so all work is on one of its own."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None
