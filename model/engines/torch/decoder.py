"""The plain decoder: the network as it is, nothing fused, nothing padded. What faster engines are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.engines.decoder import PREFILL_PIECE, check_rewind, check_room, tree_mask
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
        self._cache = self._slots[0]

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
        self._cache = self._slots[slot]

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
        positions, mask = (None, None) if parents is None else self._tree(parents, past)
        hidden = self.network(x, positions, mask, self._cache)[0]
        if not all_rows and parents is None:
            hidden = hidden[-1]
        return self.network.logits(hidden).float().cpu().numpy()

    def _tree(self, parents: Sequence[int], past: int) -> tuple[Tensor, Tensor]:
        """Positions [1, n] and mask [n, past + n] of a draft tree behind `past` positions."""
        sees = tree_mask(parents)
        positions = torch.from_numpy(past + sees.sum(axis=1) - 1).to(self._device)[None]
        seen = np.concatenate([np.ones((len(parents), past), dtype=bool), sees], axis=1)
        return positions, torch.from_numpy(seen).to(self._device)

    def keep(self, start: int, rows: Sequence[int]) -> None:
        self._cache.keep(start, rows)

    def rewind(self, length: int) -> None:
        check_rewind(self.length, length)
        self._cache.length = length
