"""Fuser, projector and coder as one network: from a batch to the loss of every token."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from model.checkpoint.coder import Qwen2Config
from model.checkpoint.opening import open_checkpoint
from model.engines.torch.engine import load_network
from model.engines.torch.fuser import Encoded, Fuser
from model.engines.torch.projector import Projector
from model.engines.torch.qwen2 import Qwen2
from model.prompt import PSEUDO
from model.training import losses
from model.training.batches import AdapterBatch
from model.training.block_rows import visible


class Network(nn.Module):
    """The three parts as one, from a batch to its losses."""

    def __init__(self, coder: Qwen2, fuser: Fuser, projector: Projector, compiled: bool = False) -> None:
        super().__init__()
        self.coder, self.fuser, self.projector = coder, fuser, projector
        self._score = torch.compile(self._score_rows, dynamic=False) if compiled else self._score_rows

    def pseudo_tokens(self, batch: AdapterBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Keys of the leaves [n, d_key] and of the parents, then of every slot node the memories [s, m, d] and the
        projected vectors [s, m, hidden]."""
        leaves = self.fuser.encode_chunks(batch.leaves)
        keys, memory = self._parents(leaves, batch.groups)
        used = memory[list(batch.slots)]
        if any(batch.noise):
            noise = torch.tensor(batch.noise, device=used.device)[:, None, None]
            used = torch.where(noise, torch.randn_like(used) * used.std(), used)
        return leaves.key, keys, used, self.projector(used)

    def _parents(self, leaves: Encoded, groups: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Keys of the parents [g, d_key], and the memories of all nodes [n + g, m, d]: those over leaves are fused
        first, then those over parents."""
        n = len(leaves.key)
        keys, memory = leaves.key, leaves.memory
        made = list(range(n))  # node number of each row of `keys` and `memory`
        for is_deep in (False, True):
            wave = [g for g, group in enumerate(groups) if (group[0] >= n) == is_deep]
            if wave:
                row = {node: i for i, node in enumerate(made)}
                parents = self.fuser.fuse([memory[[row[child] for child in groups[g]]] for g in wave])
                keys, memory = torch.cat([keys, parents.key]), torch.cat([memory, parents.memory])
                made += [n + g for g in wave]
        order = torch.tensor(made, device=keys.device).argsort()
        return keys[order][n:], memory[order]

    def rows(self, batch: AdapterBatch, projected: Tensor | None) -> Tensor:
        """Embeddings [B, T, hidden] with the pseudo-tokens in their slots."""
        vectors = self.coder.embed(batch.ids[:, :-1].clamp(min=0))
        if projected is None:
            return vectors
        holes = (batch.ids[:, :-1] == PSEUDO)[..., None].expand_as(vectors)
        return vectors.masked_scatter(holes, projected.to(vectors.dtype))

    def token_losses(self, vectors: Tensor, batch: AdapterBatch) -> Tensor:
        """Cross-entropy of each token of the rows, [B, T]; of no use where the target is a slot."""
        # The batches of training have one shape, or two with blocks; each other one would be compiled anew.
        score = self._score if torch.is_grad_enabled() else self._score_rows
        mask = None if batch.blocks is None else visible(torch.zeros_like(batch.blocks), batch.blocks)
        return score(vectors, batch.ids[:, 1:].clamp(min=0), batch.positions, mask)

    def _score_rows(
        self, vectors: Tensor, targets: Tensor, positions: Tensor | None, mask: Tensor | None
    ) -> Tensor:
        return losses.token_losses(self.coder.logits(self.coder(vectors, positions, mask)), targets)


def load_coder(folder: Path, trained: bool) -> Qwen2:
    """The coder of a checkpoint folder in float32; frozen unless it is to be trained."""
    checkpoint = open_checkpoint(str(folder))
    shape = Qwen2Config.from_json(checkpoint.config)
    return load_network(checkpoint, shape, torch.device("cpu"), torch.float32).requires_grad_(trained)


def new_projector(fuser: Fuser, coder: Qwen2, n_layers: int) -> Projector:
    """A projector whose first pseudo-tokens are as long as the coder's own embeddings.

    Where the memory is added to what the layers say, they begin as a tenth of it.
    """
    projector = Projector(fuser.config.d_memory, coder.config.hidden_size, n_layers)
    last = projector[-1]
    assert isinstance(last, nn.Linear)
    scale = float(coder.model.embed_tokens.weight.detach().std())
    share = 0.1 if projector.d_memory == projector.hidden_size else 1.0
    nn.init.normal_(last.weight, std=share * scale / last.in_features**0.5)
    nn.init.zeros_(last.bias)
    return projector
