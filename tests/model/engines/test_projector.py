from __future__ import annotations

import pytest
import torch

from model.engines.torch.projector import Projector


@pytest.mark.parametrize(
    ("d_memory", "hidden", "layers", "millions"),
    [
        # LlavaCode (arXiv 2510.19644): Qwen3-Embedding and UniXcoder into Qwen2.5-Coder-1.5B, table of the paper.
        (1024, 1536, 2, 3.94),
        (1024, 1536, 3, 17.32),
        (768, 1536, 2, 3.55),
        (768, 1536, 3, 16.54),
        # The same shape into the 0.5B and the 7B.
        (1024, 896, 3, 6.66),
        (1024, 3584, 3, 84.5),
    ],
)
def test_parameter_counts_are_those_of_the_paper(
    d_memory: int, hidden: int, layers: int, millions: float
) -> None:
    with torch.device("meta"):
        projector = Projector(d_memory, hidden, layers)
    count = sum(p.numel() for p in projector.parameters()) / 1e6
    assert count == pytest.approx(millions, abs=0.06 if millions > 50 else 0.006)


def test_the_activation_comes_before_the_norm_and_the_last_layer_is_bare() -> None:
    names = [type(part).__name__ for part in Projector(8, 4, 3)]
    assert names == ["Linear", "GELU", "LayerNorm", "Linear", "GELU", "LayerNorm", "Linear"]


def test_each_memory_vector_becomes_one_pseudo_token() -> None:
    assert Projector(8, 6, 2)(torch.zeros(5, 4, 8)).shape == (5, 4, 6)


def test_between_spaces_of_one_width_the_layers_add_to_the_memory() -> None:
    torch.manual_seed(1)
    projector, memory = Projector(8, 8, 2), torch.randn(3, 8)
    torch.testing.assert_close(projector(memory) - memory, torch.nn.Sequential(*projector)(memory))


def test_other_depths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 or 3 layers, not 4"):
        Projector(8, 6, 4)
