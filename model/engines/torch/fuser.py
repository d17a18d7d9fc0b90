"""The fuser: chunk tokens -> key + memory, children's memories -> parent's key + memory.

HEF (arXiv 2603.06593) names a small fuser and publishes nothing of its inside; this one is our own design. Its
layers are Qwen2 layers that start from the coder's first ones, and what they understood is read at learned vectors
appended behind the input (ICAE, arXiv 2307.06945). Each of the m read-outs stands for one m-th of the input: its
memory is the sum of that part's embeddings, which the coder's copying heads understand before any training, and what
the layers add to it (model/LOG.md). One network serves three inputs that differ only in what goes in and which
read-out vectors follow: a chunk, a group of children, a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.checkpoint.adapter import LONGEST_MEMORY, FuserConfig
from model.engines.torch.qwen2 import Qwen2, Transformer


class Encoded(NamedTuple):
    """`key` [B, d_key], unit length; `memory` [B, m, d_memory]."""

    key: Tensor
    memory: Tensor


class Fuser(nn.Module):
    """See the module's docstring. Weights are shared by all levels of the hierarchy."""

    def __init__(self, config: FuserConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        self.encoder = Transformer(config.encoder)
        self.child_in = nn.Linear(width, width)
        self.leaf_readout = nn.Parameter(torch.randn(config.m, width) * 0.02)
        self.parent_readout = nn.Parameter(torch.randn(config.m, width) * 0.02)
        self.query_readout = nn.Parameter(torch.randn(config.m, width) * 0.02)
        self.key_head = nn.Linear(width, config.d_key, bias=False)
        # Normed states are some hundred times as long as embeddings: at first the embeddings shall be heard.
        self.gain = nn.Parameter(torch.full((width,), 0.003))

    @classmethod
    def from_coder(cls, coder: Qwen2, num_layers: int, **shape: int) -> Fuser:
        """A fuser that starts as the coder's embedding and first layers; `shape` overrides FuserConfig's defaults."""
        base = coder.config
        fuser = cls(
            FuserConfig(
                vocab_size=base.vocab_size,
                hidden_size=base.hidden_size,
                intermediate_size=base.intermediate_size,
                num_layers=num_layers,
                num_heads=base.num_attention_heads,
                num_kv_heads=base.num_key_value_heads,
                head_dim=base.head_dim,
                rope_theta=base.rope_theta,
                **shape,
            )
        )
        fuser.encoder.embed_tokens.load_state_dict(coder.model.embed_tokens.state_dict())
        for mine, theirs in zip(fuser.encoder.layers, coder.model.layers, strict=False):
            mine.load_state_dict(_without_bias(mine) | theirs.state_dict())
        nn.init.eye_(fuser.child_in.weight)
        nn.init.zeros_(fuser.child_in.bias)
        return fuser

    def encode_chunks(self, chunks: Sequence[Sequence[int]]) -> Encoded:
        """Token ids of B chunks -> their nodes."""
        ids, lengths = self._pad([chunk[: self.config.max_tokens] for chunk in chunks])
        return self._read(self._embed(ids), lengths, self.leaf_readout)

    def encode_query(
        self, before: Sequence[Sequence[int]], after: Sequence[Sequence[int]], mark: int
    ) -> Encoded:
        """Token ids before and after B cursors; `mark` (the FIM prefix token) stands between them.

        What is nearest to the cursor comes last: the first tokens of `after`, then the last ones of `before`.
        """
        rows = [
            [*behind[: self.config.query_after], mark, *ahead[-self.config.query_before :]]
            for ahead, behind in zip(before, after, strict=True)
        ]
        ids, lengths = self._pad(rows)
        return self._read(self._embed(ids), lengths, self.query_readout)

    def fuse(self, groups: Sequence[Tensor]) -> Encoded:
        """B groups of children's memories, each [n_children, m, d_memory], in order -> their parents."""
        rows = [group.reshape(-1, self.config.d_memory) for group in groups]
        lengths = torch.tensor([len(row) for row in rows], device=self._device)
        vectors = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.child_in.weight.dtype)
        parents = self._read(self.child_in(vectors), lengths, self.parent_readout)
        table = self.encoder.embed_tokens.weight.detach()
        longest = LONGEST_MEMORY * torch.linalg.vector_norm(table, dtype=torch.float32) / table.numel() ** 0.5
        return Encoded(parents.key, shortened(parents.memory, longest))

    def _embed(self, ids: Tensor) -> Tensor:
        """In the layers' number format: in training the table may be the frozen coder's own, in half precision."""
        vectors: Tensor = self.encoder.embed_tokens(ids)
        return vectors.to(self.child_in.weight.dtype)

    @property
    def _device(self) -> torch.device:
        return self.child_in.weight.device

    def _pad(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Right-pad with zeros: ids [B, T] and lengths [B]."""
        tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
        lengths = torch.tensor([len(row) for row in rows])
        ids = nn.utils.rnn.pad_sequence(tensors, batch_first=True)
        return ids.to(self._device), lengths.to(self._device)

    def _read(self, vectors: Tensor, lengths: Tensor, readout: Tensor) -> Encoded:
        """Run [B, T, width] with the read-out vectors behind it and read their final states.

        Rows are padded on the right, so the read-outs take the positions right behind each row's own end and the
        mask hides the padding: a row's result does not depend on the batch it was in.
        """
        batch, n, _ = vectors.shape
        m = self.config.m
        pooled = pool(vectors, lengths, m)
        x = torch.cat([vectors, (readout + pooled).to(vectors.dtype)], dim=1)
        own = torch.arange(n, device=x.device).expand(batch, -1)
        positions = torch.cat([own, lengths[:, None] + torch.arange(m, device=x.device)], dim=1)
        real = torch.cat([own < lengths[:, None], own.new_ones(batch, m, dtype=torch.bool)], dim=1)
        causal = torch.ones(n + m, n + m, dtype=torch.bool, device=x.device).tril()
        # A padded row sees itself, or its softmax would be over nothing (NaN that spreads in the backward pass).
        mask = (causal & real[:, None, :]) | torch.eye(n + m, dtype=torch.bool, device=x.device)
        states = self.encoder(x, positions, mask[:, None])[:, -m:]
        key = F.normalize(self.key_head(states.mean(dim=1)).float(), dim=-1)
        return Encoded(key, pooled + self.gain * states)


def _without_bias(layer: nn.Module) -> dict[str, Tensor]:
    """What a layer of a Llama, which has no biases, does not say of a Qwen2 layer."""
    return {
        name: torch.zeros_like(value) for name, value in layer.state_dict().items() if name.endswith(".bias")
    }


def shortened(memory: Tensor, longest: Tensor) -> Tensor:
    """[B, m, width] -> the same, scaled down where a node's root mean square is above `longest`."""
    size = memory[0].numel() ** 0.5
    lengths = torch.linalg.vector_norm(memory, dim=(1, 2), keepdim=True, dtype=torch.float32) / size
    factor: Tensor = longest / lengths.clamp(min=longest)
    return memory * factor.to(memory.dtype)


def pool(vectors: Tensor, lengths: Tensor, m: int) -> Tensor:
    """Rows [B, T, width] of `lengths` [B] -> sums over m parts of each, [B, m, width], scaled to the length of one
    vector. A part without a vector is zero."""
    places, ends = torch.arange(vectors.shape[1], device=vectors.device), lengths[:, None, None]
    parts = torch.where(places < ends, places * m // ends.clamp(min=1), m)
    belongs = (parts == torch.arange(m, device=vectors.device)[:, None]).to(vectors.dtype)
    return (belongs @ vectors) / belongs.sum(dim=-1, keepdim=True).clamp(min=1).sqrt()
