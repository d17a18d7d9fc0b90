"""Qwen2 in plain torch: the network that training optimizes and decoders serve.

Parameter names are those of the Hugging Face checkpoint, so a checkpoint loads without a translation table. The
same layers, without a cache, make up the fuser (`fuser.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.checkpoint.coder import Qwen2Config as Qwen2Config
from model.engines.torch.kv_cache import KVCache


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        # In float32 as in the reference, or bf16 checkpoints drift from it.
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


class Rotary(nn.Module):
    """Rotary position embedding: positions [B, T] -> cos and sin [B, 1, T, head_dim], float32."""

    inverse_frequency: Tensor

    def __init__(self, head_dim: int, theta: float) -> None:
        super().__init__()
        exponent = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
        self.register_buffer("inverse_frequency", theta**-exponent, persistent=False)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        angles = positions[:, None, :, None].float() * self.inverse_frequency.float()
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply the rotation to [B, heads, T, head_dim]; halves are paired, as in the checkpoints."""
    first, second = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat([-second, first], dim=-1) * sin.to(x.dtype)


class Attention(nn.Module):
    def __init__(self, config: Qwen2Config) -> None:
        super().__init__()
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = config.head_dim
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.q_proj = nn.Linear(config.hidden_size, query, bias=config.attention_bias)
        self.k_proj = nn.Linear(config.hidden_size, key, bias=config.attention_bias)
        self.v_proj = nn.Linear(config.hidden_size, key, bias=config.attention_bias)
        self.o_proj = nn.Linear(query, config.hidden_size, bias=False)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None, cache: KVCache | None, layer: int
    ) -> Tensor:
        """x [B, T, hidden] -> the same shape. `mask` [T, past + T]: what each row sees; None: all before it."""
        batch, n, _ = x.shape  # x: [B, T, hidden]

        def split(y: Tensor) -> Tensor:
            return y.view(batch, n, -1, self.head_dim).transpose(1, 2)  # [B, heads, T, head_dim]

        query, key = rotate(split(self.q_proj(x)), *rotary), rotate(split(self.k_proj(x)), *rotary)
        value = split(self.v_proj(x))
        if cache is not None:
            key, value = cache.append(layer, key, value)
        out = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            # Without a mask a single row may see everything; several rows are a fresh causal sequence.
            is_causal=mask is None and n > 1,
            enable_gqa=self.heads != self.kv_heads,
        )
        projected: Tensor = self.o_proj(out.transpose(1, 2).reshape(batch, n, -1))
        return projected


class MLP(nn.Module):
    def __init__(self, config: Qwen2Config) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    def __init__(self, config: Qwen2Config) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self, x: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None, cache: KVCache | None, layer: int
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotary, mask, cache, layer)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Transformer(nn.Module):
    """Token embedding, layers and final norm: the part that HF checkpoints name `model.`"""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.rotary = Rotary(config.head_dim, config.rope_theta)

    def forward(
        self,
        vectors: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """[B, T, hidden] -> [B, T, hidden].

        `positions` [B, T] default to those behind the cache. `mask`, bool and broadcastable to [B, heads, T, S],
        is True where a row may look; None means causal.
        """
        past = cache.length if cache is not None else 0
        n = vectors.shape[1]
        if positions is None:
            positions = torch.arange(past, past + n, device=vectors.device)[None]
        if mask is None and past and n > 1:
            mask = torch.ones(n, past + n, dtype=torch.bool, device=vectors.device).tril(past)
        rotary = self.rotary(positions)
        for i, layer in enumerate(self.layers):
            vectors = layer(vectors, rotary, mask, cache, i)
        if cache is not None:
            cache.length = past + n
        out: Tensor = self.norm(vectors)
        return out


class Qwen2(nn.Module):
    """The coder. `forward` takes embeddings, because pseudo-tokens have no id."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__()
        self.config = config
        self.model = Transformer(config)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids [...] -> [..., hidden]."""
        out: Tensor = self.model.embed_tokens(ids)
        return out

    def forward(
        self,
        vectors: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Embeddings [B, T, hidden] -> final hidden states [B, T, hidden]; see `Transformer.forward`."""
        out: Tensor = self.model(vectors, positions, mask, cache)
        return out

    @property
    def head(self) -> Tensor:
        """[vocab, hidden]: final states to logits."""
        return self.model.embed_tokens.weight if self.config.tie_word_embeddings else self.lm_head.weight

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., hidden] -> [..., vocab]."""
        return F.linear(hidden, self.head)
