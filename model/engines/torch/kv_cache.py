"""Static keys and values of one sequence: written in place, rewound by moving a number."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model.engines.decoder import must_move


class KVCache:
    """Per layer one [1, kv heads, capacity, head_dim] tensor of keys and one of values; `length` rows are filled."""

    def __init__(
        self, n_layers: int, shape: tuple[int, int, int, int], device: torch.device, dtype: torch.dtype
    ) -> None:
        self.keys = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(n_layers)]
        self.values = [torch.zeros_like(k) for k in self.keys]
        self.capacity = shape[2]
        self.length = 0

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write [1, kv, n, d] behind the filled part and return views of all that is filled.

        `length` moves once a forward pass is complete, not here: every layer writes at the same place.
        """
        end = self.length + key.shape[2]
        self.keys[layer][:, :, self.length : end] = key
        self.values[layer][:, :, self.length : end] = value
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]

    def keep(self, start: int, rows: Sequence[int]) -> None:
        """Move the given rows (offsets from `start`) down to `start` and forget what lies behind them."""
        if must_move(rows):
            source = torch.tensor([start + row for row in rows], device=self.keys[0].device)
            for cached in (*self.keys, *self.values):
                cached[:, :, start : start + len(rows)] = cached[:, :, source]
        self.length = start + len(rows)
