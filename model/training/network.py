"""Fuser, projector and coder as one network: from a batch to the score of every token."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from model.checkpoint.coder import Qwen2Config
from model.checkpoint.opening import Checkpoint
from model.engines.torch.engine import load_network
from model.engines.torch.fuser import Encoded, Fuser
from model.engines.torch.projector import Projector
from model.engines.torch.qwen2 import Qwen2, Transformer
from model.prompt import PSEUDO
from model.training.batches import AdapterBatch
from model.training.block_rows import visible
from model.training.losses import TokenScores, scored


class Network(nn.Module):
    """The three parts as one, from a batch to its scores."""

    def __init__(
        self,
        coder: Qwen2,
        fuser: Fuser,
        projector: Projector,
        compiled: bool = False,
        *,
        loss_chunk: int = 1024,
    ) -> None:
        super().__init__()
        self.coder, self.fuser, self.projector = coder, fuser, projector
        self._loss_chunk = loss_chunk
        self._states = torch.compile(coder.forward, dynamic=False) if compiled else coder.forward

    def trained(self) -> dict[str, nn.Parameter]:
        """What is learned, by name: a checkpoint of a run holds no more of the network."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def pseudo_tokens(self, batch: AdapterBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Keys of the leaves [n, d_key] and of the parents, then of every slot node the memories [s, m, d] and the
        projected vectors [s, m, hidden]; of joined memories [s, 1, m * d] and [s, 1, hidden]."""
        leaves = self.fuser.encode_chunks(batch.leaves)
        keys, memory = self._parents(leaves, batch.groups)
        used = memory[list(batch.slots)]
        if any(batch.noise):
            noise = torch.tensor(batch.noise, device=used.device)[:, None, None]
            used = torch.where(noise, torch.randn_like(used) * used.std(), used)
        if self.projector.joined:
            used = used.flatten(1)[:, None]
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

    def token_scores(self, vectors: Tensor, batch: AdapterBatch) -> TokenScores:
        """Of each token of the rows, [B, T], where it has a weight; elsewhere no loss, and wrong."""
        # The batches of training have one shape, or two with blocks; each other one would be compiled anew.
        states = self._states if torch.is_grad_enabled() else self.coder.forward
        mask = None if batch.blocks is None else visible(torch.zeros_like(batch.blocks), batch.blocks)
        hidden = states(vectors, batch.positions, mask)
        needed = batch.weights > 0
        found = scored(hidden[needed], self.coder.head, batch.ids[:, 1:][needed], self._loss_chunk)
        losses = torch.zeros(needed.shape, device=needed.device)
        right = torch.zeros_like(needed)
        losses[needed], right[needed] = found
        return TokenScores(losses, right)


def recompute(layers: Transformer) -> None:
    """From now on the activations inside of each layer are computed again in the backward pass instead of kept."""
    for layer in layers.layers:
        again = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
        layer.__dict__["forward"] = again


def load_coder(checkpoint: Checkpoint, trained: bool, dtype: torch.dtype = torch.float32) -> Qwen2:
    """The coder of a checkpoint on the CPU; frozen unless it is to be trained."""
    shape = Qwen2Config.from_json(checkpoint.config)
    return load_network(checkpoint, shape, torch.device("cpu"), dtype).requires_grad_(trained)


def new_projector(fuser: Fuser, coder: Qwen2, n_layers: int, *, joined: bool = False) -> Projector:
    """A projector whose first pseudo-tokens are as long as the coder's own embeddings.

    Where the memory is added to what the layers say, they begin as a tenth of it.
    """
    width = fuser.config.d_memory * (fuser.config.m if joined else 1)
    projector = Projector(width, coder.config.hidden_size, n_layers, joined=joined)
    last = projector[-1]
    assert isinstance(last, nn.Linear)
    scale = float(coder.model.embed_tokens.weight.detach().float().std())
    share = 0.1 if projector.adds else 1.0
    nn.init.normal_(last.weight, std=share * scale / last.in_features**0.5)
    nn.init.zeros_(last.bias)
    return projector
