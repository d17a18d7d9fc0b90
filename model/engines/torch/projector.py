"""Memory vectors -> pseudo-token embeddings of the generator (LlavaCode, arXiv 2510.19644)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from model.checkpoint.adapter import projector_widths


class Projector(nn.Sequential):
    """Linear -> GELU -> LayerNorm, repeated, last Linear bare: [..., d_memory] -> [..., hidden].

    One memory vector becomes one pseudo-token, or, `joined`, all of a node's. Between spaces of one width the layers
    add to the memory: the fuser starts from the coder's embedding, so a memory is nearly a pseudo-token already
    (model/LOG.md).
    """

    def __init__(self, d_memory: int, hidden_size: int, n_layers: int = 3, *, joined: bool = False) -> None:
        """`d_memory`: width of what goes in, of all of a node's vectors where they are joined."""
        widths = projector_widths(d_memory, hidden_size, n_layers)
        parts: list[nn.Module] = []
        for width_in, width_out in pairwise(widths[:-1]):
            parts += [nn.Linear(width_in, width_out), nn.GELU(), nn.LayerNorm(width_out)]
        super().__init__(*parts, nn.Linear(widths[-2], hidden_size))
        self.d_memory, self.hidden_size, self.n_layers = d_memory, hidden_size, n_layers
        self.joined, self.adds = joined, not joined and d_memory == hidden_size

    def forward(self, memory: Tensor) -> Tensor:
        out: Tensor = super().forward(memory)
        return out + memory if self.adds else out
