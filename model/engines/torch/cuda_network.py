"""Qwen2 for serving on a GPU: fused weights, and a forward pass in which every shape is fixed.

The arithmetic is that of `qwen2.py`, arranged for few kernels (16 per layer and step, less than half as many): the
smaller a model, the more a step is bound by their number instead of by the bytes it reads. Nothing below reads a number
back from the device or lets a Python number depend on the sequence, so that a CUDA graph can replay a pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.checkpoint.coder import Qwen2Config
from model.engines.torch.qwen2 import Layer, Qwen2, Rotary

# From so many rows on, scores are not written out. Fewer rows over 2 to 4 key/value heads are too few blocks to fill a
# GPU with one fused kernel, while plain products also spread over the positions. Reasoned, not measured: what decides
# are the "attention" rows of `python -m tests.benchmarks.gpu`.
FUSED_ATTENTION_ROWS = 256


@dataclass(frozen=True)
class LayerWeights:
    """One layer; products of the same input are one matrix."""

    norm: Tensor  # [hidden]
    qkv: Tensor  # [(heads + 2 kv heads) * head_dim, hidden]
    qkv_bias: Tensor | None
    out: Tensor  # [hidden, heads * head_dim]
    mlp_norm: Tensor  # [hidden]
    gate_up: Tensor  # [2 * intermediate, hidden]
    down: Tensor  # [hidden, intermediate]


@dataclass(frozen=True)
class FusedWeights:
    config: Qwen2Config
    table: Tensor  # [vocab, hidden]
    layers: tuple[LayerWeights, ...]
    norm: Tensor  # [hidden]
    head: Tensor  # [vocab, hidden]; the table itself where they are tied


@dataclass(frozen=True)
class Shape:
    """What is fixed in one pass: so many rows, which look at the first `span` positions of the cache.

    With `tree` the rows see what the tree's table says and all their logits are computed; else they are a sequence,
    and only the last one's are.
    """

    width: int
    span: int
    tree: bool = False


@dataclass(frozen=True)
class StaticTensors:
    """Everything that passes read and write: allocated once, filled in place."""

    vectors: Tensor  # [widest, hidden]: what goes in
    numbers: Tensor  # [2 + widest]: the next three, filled by one copy
    past: Tensor  # [1]: rows filled before this pass
    last: Tensor  # [1]: row whose logits are wanted when only one row's are
    position: Tensor  # [widest]: where each row of this pass stands
    tree: Tensor  # [widest tree, widest tree + 2]: see `visibility`
    causal: Tensor  # [widest, widest + 2]: the same for a sequence
    row: Tensor  # [length]: 0, 1, 2, ...
    frequency: Tensor  # [head_dim] float32: of the rotation, negative in its first half
    cache: Tensor  # [layers, 2 * kv heads, length, head_dim]: keys, then values
    logits: Tensor  # [widest tree, vocab] float32: what comes out


LayerStep = Callable[[Qwen2Config, LayerWeights, Tensor, Tensor, Tensor, Tensor, Tensor], None]


def fuse(network: Qwen2) -> FusedWeights:
    """Take a network apart: its layers are released one by one, so that a large model never lies in memory twice."""
    layers = network.model.layers
    fused = []
    for i in range(len(layers)):
        fused.append(_fuse_layer(cast(Layer, layers[i])))
        layers[i] = nn.Identity()
    table = network.model.embed_tokens.weight.detach()
    head = table if network.config.tie_word_embeddings else network.lm_head.weight.detach()
    return FusedWeights(network.config, table, tuple(fused), network.model.norm.weight.detach(), head)


def _fuse_layer(layer: Layer) -> LayerWeights:
    attention, mlp = layer.self_attn, layer.mlp
    qkv = (attention.q_proj, attention.k_proj, attention.v_proj)
    biased = attention.q_proj.bias is not None
    return LayerWeights(
        norm=layer.input_layernorm.weight.detach(),
        qkv=torch.cat([projection.weight.detach() for projection in qkv]),
        qkv_bias=torch.cat([projection.bias.detach() for projection in qkv]) if biased else None,
        out=attention.o_proj.weight.detach(),
        mlp_norm=layer.post_attention_layernorm.weight.detach(),
        gate_up=torch.cat([mlp.gate_proj.weight.detach(), mlp.up_proj.weight.detach()]),
        down=mlp.down_proj.weight.detach(),
    )


def allocate(weights: FusedWeights, length: int, widest: int, widest_tree: int) -> StaticTensors:
    """Static tensors for a cache of `length` positions, on the device and in the type of the weights."""
    config, like = weights.config, weights.table
    causal = visibility(torch.ones(widest, widest, dtype=torch.bool, device=like.device).tril())
    numbers = torch.zeros(2 + widest, dtype=torch.long, device=like.device)
    return StaticTensors(
        vectors=like.new_zeros(widest, config.hidden_size),
        numbers=numbers,
        past=numbers[:1],
        last=numbers[1:2],
        position=numbers[2:],
        tree=like.new_zeros(widest_tree, widest_tree + 2),
        causal=causal.to(like.dtype),
        row=torch.arange(length, device=like.device),
        frequency=_frequency(config).to(like.device),
        cache=like.new_zeros(
            config.num_hidden_layers, 2 * config.num_key_value_heads, length, config.head_dim
        ),
        logits=torch.zeros(widest_tree, config.vocab_size, device=like.device),
    )


def visibility(sees: Tensor) -> Tensor:
    """Bool [n, n] (row i sees row j) -> what is added to scores, float32 [n, n + 2].

    Column 0 stands for every position before the pass, column 1 + j for row j, the last one for all behind.
    """
    before, behind = sees.new_ones(len(sees), 1), sees.new_zeros(len(sees), 1)
    seen = torch.cat([before, sees, behind], dim=1)
    return torch.zeros(seen.shape, device=sees.device).masked_fill_(~seen, float("-inf"))


def _frequency(config: Qwen2Config) -> Tensor:
    """The sine is negative in its first half: that turns the rotation of `qwen2.rotate` into a swap of halves."""
    frequency = Rotary(config.head_dim, config.rope_theta).inverse_frequency
    return torch.cat([-frequency, frequency])


def forward(
    weights: FusedWeights, static: StaticTensors, shape: Shape, layer_step: LayerStep | None = None
) -> None:
    """One pass over the first `shape.width` vectors; writes their keys and values, and logits.

    Rows beyond those that count are padding: they write behind the sequence, where nothing looks. `layer_step` stands
    in for `add_layer`, compiled for instance.
    """
    step = layer_step or add_layer
    width = shape.width
    x = static.vectors[:width].clone()
    table = static.tree if shape.tree else static.causal
    angles = static.position[:width, None] * static.frequency
    rotary = torch.stack([angles.cos(), angles.sin()], dim=1).to(x.dtype)  # [width, 2, head_dim]
    column = (static.row[: shape.span] - static.past + 1).clamp_(0, width + 1)
    bias = table[:width, : width + 2].index_select(1, column)  # [width, span]
    groups = weights.config.num_attention_heads // weights.config.num_key_value_heads
    bias = bias.expand(groups, -1, -1).reshape(groups * width, shape.span)
    rows = static.past + static.row[:width]
    for layer, cache in zip(weights.layers, static.cache, strict=True):
        step(weights.config, layer, x, rotary, bias, rows, cache)
    x = _norm(weights.config, x, weights.norm)
    wanted = x if shape.tree else x.index_select(0, static.last)
    static.logits[: len(wanted)].copy_(F.linear(wanted, weights.head))


def add_layer(
    config: Qwen2Config,
    layer: LayerWeights,
    x: Tensor,
    rotary: Tensor,
    bias: Tensor,
    rows: Tensor,
    cache: Tensor,
) -> None:
    """Add a layer's output to x [width, hidden] in place; `cache` is the layer's [2 * kv heads, length, head_dim]."""
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    qkv = F.linear(_norm(config, x, layer.norm), layer.qkv, layer.qkv_bias).unflatten(
        1, (-1, config.head_dim)
    )
    query_key = qkv[:, : heads + kv_heads]
    swapped = query_key.roll(config.head_dim // 2, -1)
    query_key.mul_(rotary[:, :1]).addcmul_(swapped, rotary[:, 1:])
    cache.index_copy_(1, rows, qkv[:, heads:].transpose(0, 1))
    keys, values = cache[:, : bias.shape[1]].chunk(2)
    mixed = _attend(qkv[:, :heads], keys, values, bias)
    x.addmm_(mixed, layer.out.t())
    gate, up = F.linear(_norm(config, x, layer.mlp_norm), layer.gate_up).chunk(2, dim=1)
    x.addmm_(F.silu(gate).mul_(up), layer.down.t())


def _norm(config: Qwen2Config, x: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(x, (config.hidden_size,), weight, config.rms_norm_eps)


def _attend(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """[width, heads, d] over keys and values [kv heads, span, d] -> [width, heads * d].

    The query heads that share a key head become rows of one product (bias [groups * width, span]), so that keys and
    values are read once and never repeated in memory.
    """
    width, _, d = query.shape
    query = query.unflatten(1, (len(keys), -1)).permute(1, 2, 0, 3).reshape(len(keys), -1, d)
    attend = attend_fused if width >= FUSED_ATTENTION_ROWS else attend_by_products
    mixed = attend(query, keys, values, bias)
    out: Tensor = mixed.unflatten(1, (-1, width)).permute(2, 0, 1, 3).reshape(width, -1)
    return out


def attend_fused(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """[kv heads, rows, d] over [kv heads, span, d] with bias [rows, span] -> [kv heads, rows, d]; keeps no scores."""
    return F.scaled_dot_product_attention(query[None], keys[None], values[None], attn_mask=bias)[0]


def attend_by_products(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """The same with scores [kv heads, rows, span] in memory."""
    scores = torch.baddbmm(bias, query, keys.transpose(1, 2), alpha=query.shape[-1] ** -0.5)
    return scores.softmax(-1) @ values
