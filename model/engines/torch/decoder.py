"""The plain decoder: the network as it is, nothing fused, nothing padded. What faster engines are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.engines.decoder import PREFILL_PIECE, Rows, check_rewind, check_room, must_move, tree_mask
from model.engines.positions import Positions, check_filled, check_rows
from model.engines.torch.kv_cache import KVCache
from model.engines.torch.qwen2 import Qwen2


class TorchDecoder:
    """`Decoder` on torch, CPU or CUDA. Lives on one thread: it owns the caches, one per slot."""

    prefill_piece = PREFILL_PIECE

    def __init__(self, network: Qwen2, capacity: int, n_slots: int = 1) -> None:
        self.network = network.eval()
        weight = network.model.embed_tokens.weight
        self._device = weight.device
        self._dtype = weight.dtype
        config = network.config
        shape = (1, config.num_key_value_heads, capacity, config.head_dim)
        self._slots = [
            KVCache(config.num_hidden_layers, shape, self._device, self._dtype) for _ in range(n_slots)
        ]
        self._positions = [Positions(capacity) for _ in range(n_slots)]
        self.select(0)

    @property
    def hidden_size(self) -> int:
        return self.network.config.hidden_size

    @property
    def vocab_size(self) -> int:
        return self.network.config.vocab_size

    @property
    def capacity(self) -> int:
        return self._cache.capacity

    @property
    def n_slots(self) -> int:
        return len(self._slots)

    @property
    def length(self) -> int:
        return self._cache.length

    def select(self, slot: int) -> None:
        self._cache, self._stand = self._slots[slot], self._positions[slot]

    @torch.inference_mode()
    def embed(self, ids: Sequence[int]) -> np.ndarray:
        table = self.network.embed(torch.tensor(ids, dtype=torch.long, device=self._device))
        return table.float().cpu().numpy()

    @torch.inference_mode()
    def extend(
        self,
        vectors: np.ndarray,
        *,
        all_rows: bool = False,
        parents: Sequence[int] | None = None,
    ) -> np.ndarray:
        """As `Decoder.extend`, in one pass whatever the length."""
        n, past = len(vectors), self.length
        check_room(past, n, self.capacity)
        x = torch.from_numpy(vectors).to(self._device, self._dtype)[None]
        sees = None if parents is None else tree_mask(parents)
        depths = np.arange(n) if sees is None else sees.sum(axis=1) - 1
        positions = torch.from_numpy(self._stand.extend(past, depths)).to(self._device)[None]
        mask = None if sees is None else self._mask(sees, past)
        hidden = self.network(x, positions, mask, self._cache)[0]
        if not all_rows and parents is None:
            hidden = hidden[-1]
        return self.network.logits(hidden).float().cpu().numpy()

    def _mask(self, sees: np.ndarray, past: int) -> Tensor:
        """Of a draft tree behind `past` rows, [n, past + n]."""
        seen = np.concatenate([np.ones((len(sees), past), dtype=bool), sees], axis=1)
        return torch.from_numpy(seen).to(self._device)

    @torch.inference_mode()
    def read(self, start: int, stop: int) -> Rows:
        """As `Decoder.read`, in float32: numpy has no bfloat16."""
        check_filled(self.length, start, stop)
        keys, values = (
            torch.cat([layer[:, :, start:stop] for layer in cached]).float().cpu().numpy()
            for cached in (self._cache.keys, self._cache.values)
        )
        return Rows(keys, values, self._stand[start:stop])

    @torch.inference_mode()
    def place(self, rows: Rows, following: int) -> None:
        """As `Decoder.place`."""
        check_rows(rows, following, self.network.config)
        past, stop = self.length, self.length + len(rows)
        check_room(past, len(rows), self.capacity)
        for cached, new in ((self._cache.keys, rows.keys), (self._cache.values, rows.values)):
            for layer, values in zip(cached, new, strict=True):
                layer[0, :, past:stop] = torch.from_numpy(np.array(values))
        self._stand.place(past, rows.positions, following)
        self._cache.length = stop

    def keep(self, start: int, rows: Sequence[int]) -> None:
        if must_move(rows):
            self._stand.keep(start, rows)
        self._cache.keep(start, rows)

    def rewind(self, length: int) -> None:
        check_rewind(self.length, length)
        self._cache.length = length
