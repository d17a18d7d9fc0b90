"""A forward pass without state, for engines that trace torch: vectors, positions and past in, logits and past out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.checkpoint.coder import Qwen2Config
from model.checkpoint.opening import Checkpoint
from model.engines.torch.engine import load_network
from model.engines.torch.qwen2 import Layer, rotate


class Step(nn.Module):
    """Keys and values of each layer are [t, kv heads, head_dim]; logits are of the last row."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.config = Qwen2Config.from_json(checkpoint.config)
        self.network = load_network(checkpoint, self.config, torch.device("cpu"), torch.float32)

    def forward(self, x: Tensor, positions: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        turn = self.network.model.rotary(positions[None])
        t = past[0].shape[0]
        mask = positions[:, None] >= torch.arange(t + x.shape[0])[None, :]
        new: list[Tensor] = []
        for i, layer in enumerate(self.network.model.layers):
            assert isinstance(layer, Layer)
            x, key, value = self._layer(layer, x, turn, mask, past[2 * i], past[2 * i + 1])
            new += [key, value]
        return (self.network.logits(self.network.model.norm(x[-1:])), *new)

    def _layer(
        self, layer: Layer, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        n, attention, width = x.shape[0], layer.self_attn, self.config.head_dim
        normed = layer.input_layernorm(x)
        query, key, value = (
            y.view(n, -1, width)
            for y in (attention.q_proj(normed), attention.k_proj(normed), attention.v_proj(normed))
        )
        query, key = (rotate(y.transpose(0, 1)[None], *turn)[0].transpose(0, 1) for y in (query, key))
        keys, values = torch.cat([keys, key]), torch.cat([values, value])
        out = F.scaled_dot_product_attention(
            query.transpose(0, 1)[None],
            keys.transpose(0, 1)[None],
            values.transpose(0, 1)[None],
            mask,
            enable_gqa=True,
        )
        x = x + attention.o_proj(out[0].transpose(0, 1).reshape(n, -1))
        return x + layer.mlp(layer.post_attention_layernorm(x)), keys, values


def empty_past(step: Step, n: int = 0) -> list[Tensor]:
    shape = (n, step.config.num_key_value_heads, step.config.head_dim)
    return [torch.zeros(shape) for _ in range(2 * step.config.num_hidden_layers)]


def example(step: Step) -> tuple[Tensor, ...]:
    return (torch.zeros(3, step.config.hidden_size), torch.arange(7, 10), *empty_past(step, 7))
