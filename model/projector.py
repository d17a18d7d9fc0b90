"""Memory vectors -> pseudo-token embeddings of the generator (LlavaCode, arXiv 2510.19644)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class Projector(nn.Sequential):
    """Linear -> GELU -> LayerNorm, repeated, last Linear bare: [..., d_memory] -> [..., hidden].

    Widths follow the paper: 2 layers d -> H -> H, 3 layers (its best) d -> 2H -> 2H -> H. One memory vector
    becomes one pseudo-token.
    """

    def __init__(self, d_memory: int, hidden_size: int, n_layers: int = 3) -> None:
        if n_layers not in (2, 3):
            raise ValueError(f"a projector has 2 or 3 layers, not {n_layers}")
        inner = hidden_size * (n_layers - 1)
        widths = [d_memory, *[inner] * (n_layers - 1), hidden_size]
        parts: list[nn.Module] = []
        for width_in, width_out in pairwise(widths[:-1]):
            parts += [nn.Linear(width_in, width_out), nn.GELU(), nn.LayerNorm(width_out)]
        super().__init__(*parts, nn.Linear(widths[-2], hidden_size))
        self.d_memory, self.hidden_size, self.n_layers = d_memory, hidden_size, n_layers

    def forward(self, memory: Tensor) -> Tensor:
        out: Tensor = super().forward(memory)
        return out
