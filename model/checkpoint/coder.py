"""The shape of a Qwen2 or Llama decoder, and the tensors that a checkpoint of it must hold. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Qwen2Config:
    """The fields of a Qwen2 `config.json` that change the arithmetic."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rope_theta: float
    rms_norm_eps: float = 1e-6
    max_position_embeddings: int = 2048
    tie_word_embeddings: bool = True
    attention_bias: bool = True  # Qwen2 has it on q, k and v; Llama does not.

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Qwen2Config:
        """Read the keys of `config.json`, in the layout of transformers 4 or 5. Raises KeyError by name."""
        heads = int(raw["num_attention_heads"])
        # transformers 5 moved the rope settings into one table.
        rope = raw.get("rope_parameters") or {}
        return cls(
            vocab_size=int(raw["vocab_size"]),
            hidden_size=int(raw["hidden_size"]),
            intermediate_size=int(raw["intermediate_size"]),
            num_hidden_layers=int(raw["num_hidden_layers"]),
            num_attention_heads=heads,
            num_key_value_heads=int(raw.get("num_key_value_heads") or heads),
            head_dim=int(raw.get("head_dim") or raw["hidden_size"] // heads),
            rope_theta=float(raw.get("rope_theta") or rope.get("rope_theta") or 10_000.0),
            rms_norm_eps=float(raw.get("rms_norm_eps", 1e-6)),
            max_position_embeddings=int(raw.get("max_position_embeddings", 2048)),
            tie_word_embeddings=bool(raw.get("tie_word_embeddings", False)),
            attention_bias=raw.get("model_type", "qwen2") == "qwen2",
        )

    @property
    def query_size(self) -> int:
        return self.num_attention_heads * self.head_dim

    @property
    def kv_size(self) -> int:
        return self.num_key_value_heads * self.head_dim


def n_values(shapes: Shapes) -> int:
    return sum(prod(shape) for shape in shapes.values())


def coder_shapes(config: Qwen2Config) -> Shapes:
    """Every tensor of a coder's checkpoint, by its Hugging Face name."""
    shapes = transformer_shapes(config, "model")
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, config.hidden_size)
    return shapes


def transformer_shapes(config: Qwen2Config, prefix: str) -> Shapes:
    """Embedding, layers and final norm."""
    width, inner = config.hidden_size, config.intermediate_size
    shapes: Shapes = {f"{prefix}.embed_tokens.weight": (config.vocab_size, width), f"{prefix}.norm.weight": (width,)}
    for i in range(config.num_hidden_layers):
        layer = f"{prefix}.layers.{i}"
        for name, rows in (("q", config.query_size), ("k", config.kv_size), ("v", config.kv_size)):
            shapes[f"{layer}.self_attn.{name}_proj.weight"] = (rows, width)
            if config.attention_bias:
                shapes[f"{layer}.self_attn.{name}_proj.bias"] = (rows,)
        shapes[f"{layer}.self_attn.o_proj.weight"] = (width, config.query_size)
        shapes[f"{layer}.mlp.gate_proj.weight"] = (inner, width)
        shapes[f"{layer}.mlp.up_proj.weight"] = (inner, width)
        shapes[f"{layer}.mlp.down_proj.weight"] = (width, inner)
        shapes[f"{layer}.input_layernorm.weight"] = (width,)
        shapes[f"{layer}.post_attention_layernorm.weight"] = (width,)
    return shapes
