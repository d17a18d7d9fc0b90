"""The shape of a Qwen2 or Llama decoder, and the tensors that a checkpoint of it must hold. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from model.checkpoint.fields import Fields

# More than any network of this kind has; a value beyond is damage, and shapes are worked out for all layers.
MAX_LAYERS, MAX_WIDTH, MAX_VOCABULARY, MAX_THETA = 1_000, 1_000_000, 10_000_000, 1e12

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
        """Read the keys of `config.json`, in the layout of transformers 4 or 5. Raises ValueError by name."""
        fields = Fields(raw)
        heads = fields.whole("num_attention_heads", 1, MAX_WIDTH)
        # transformers 5 moved the rope settings into one table.
        rope = fields if fields.has("rope_theta") else fields.object("rope_parameters")
        config = cls(
            vocab_size=fields.whole("vocab_size", 1, MAX_VOCABULARY),
            hidden_size=fields.whole("hidden_size", 1, MAX_WIDTH),
            intermediate_size=fields.whole("intermediate_size", 1, MAX_WIDTH),
            num_hidden_layers=fields.whole("num_hidden_layers", 1, MAX_LAYERS),
            num_attention_heads=heads,
            num_key_value_heads=fields.whole("num_key_value_heads", 1, heads, heads),
            head_dim=_head_dim(fields, heads),
            rope_theta=rope.number("rope_theta", 1.0, MAX_THETA, 10_000.0),
            rms_norm_eps=fields.number("rms_norm_eps", 0.0, 0.1, 1e-6),
            max_position_embeddings=fields.whole("max_position_embeddings", 64, 1 << 30, 2048),
            tie_word_embeddings=fields.flag("tie_word_embeddings", False),
            attention_bias=raw.get("model_type", "qwen2") == "qwen2",
        )
        check_heads(config.num_attention_heads, config.num_key_value_heads, config.head_dim)
        return config

    @property
    def query_size(self) -> int:
        return self.num_attention_heads * self.head_dim

    @property
    def kv_size(self) -> int:
        return self.num_key_value_heads * self.head_dim


def check_heads(heads: int, kv_heads: int, head_dim: int) -> None:
    """Raises ValueError when keys and values cannot be shared among the heads, or positions not be turned in pairs."""
    if heads % kv_heads:
        raise ValueError(f"{heads} heads cannot share {kv_heads} heads of keys and values")
    if head_dim % 2:
        raise ValueError(f"head_dim is {head_dim}, not even")


def _head_dim(fields: Fields, heads: int) -> int:
    if fields.has("head_dim"):
        return fields.whole("head_dim", 2, MAX_WIDTH)
    width = fields.whole("hidden_size", 1, MAX_WIDTH)
    if width % heads:
        raise ValueError(
            f"hidden_size {width} is not a multiple of num_attention_heads {heads}, and there is no head_dim"
        )
    return width // heads


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
    shapes: Shapes = {
        f"{prefix}.embed_tokens.weight": (config.vocab_size, width),
        f"{prefix}.norm.weight": (width,),
    }
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
