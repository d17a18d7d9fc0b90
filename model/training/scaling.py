"""What a coder in 4 bits can learn without becoming larger or slower: the scale and minimum of each block, and norms.

Its nibbles stay, and so does its format (PEQA, arXiv 2305.14152, which learns the scales alone). Weights that moved by
less than half a step would be rounded back to where they were: of a coder whose weights lie on the steps, a short
training of the weights themselves leaves nothing.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from model.checkpoint.opening import Checkpoint, write_checksums
from model.checkpoint.packed import BLOCK, Nibbles
from model.checkpoint.tensors import packed, stored
from model.engines.torch.qwen2 import Qwen2
from model.training.export import write_tensors

_MIDDLE = 8.0  # of the 16 steps: a block grows and shrinks around it, and is moved in halves of its range
# Bits of the mantissa that are written, rounded: an archive packs what is zero. Weights move by 0.012 steps (mean).
_SCALE_BITS, _BITS = 8, 7
_LEARNED = "parametrizations.weight"


class Blocks(nn.Module):
    """A matrix [out, in] from what is learned of each of its blocks [out, in / 32]: by which share it is wider, and by
    which share of half its range it is moved. Both begin at 0, where the matrix is the checkpoint's."""

    nibbles: Tensor
    scale: Tensor
    middle: Tensor

    def __init__(self, matrix: Nibbles) -> None:
        super().__init__()
        low_high = np.stack([matrix.nibbles & 15, matrix.nibbles >> 4], axis=-1)
        scale, minimum = (
            torch.from_numpy(part.astype(np.float32)) for part in (matrix.scale, matrix.minimum)
        )
        self._matrix = matrix
        self.register_buffer(
            "nibbles", torch.from_numpy(low_high.reshape(*matrix.scale.shape, BLOCK)), persistent=False
        )
        # A run that is gone on with has these from its checkpoint: where it began, its export may lie now.
        self.register_buffer("scale", scale)
        self.register_buffer("middle", minimum + _MIDDLE * scale)

    def forward(self, wider: Tensor, moved: Tensor) -> Tensor:
        """float32 [out, in]."""
        scale, middle = self.scale * (1 + wider), self.middle + _MIDDLE * self.scale * moved
        return ((self.nibbles - _MIDDLE) * scale[..., None] + middle[..., None]).flatten(1)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Nothing learned: `weight` is the checkpoint's."""
        return torch.zeros_like(self.scale), torch.zeros_like(self.scale)

    def learned(self, wider: Tensor, moved: Tensor) -> Nibbles:
        """The matrix as a checkpoint has it."""
        scale = self.scale * (1 + wider)
        minimum = self.middle + _MIDDLE * self.scale * moved - _MIDDLE * scale
        return replace(
            self._matrix,
            scale=_rounded(scale, _SCALE_BITS).astype(np.float16),
            minimum=_rounded(minimum, _BITS).astype(np.float16),
        )


def learn_scales(coder: Qwen2, checkpoint: Checkpoint) -> None:
    """From now on scales, minima and norms of `coder`, which is the checkpoint's, are what is trained.

    Raises ValueError where no matrix lies in 4 bits.
    """
    coder.requires_grad_(False)
    if checkpoint.packing is None or checkpoint.packing.linear_bits != 4:
        raise ValueError(f"{checkpoint.folder} has no matrix in 4 bits: its weights are trained themselves")
    for name, layer in list(coder.named_modules()):
        matrix = packed(checkpoint.tensors, f"{name}.weight") if isinstance(layer, nn.Linear) else None
        if isinstance(matrix, Nibbles):
            parametrize.register_parametrization(layer, "weight", Blocks(matrix))
            layer.get_submodule(_LEARNED).requires_grad_(True)
    for name, parameter in coder.named_parameters():
        if parameter.ndim == 1 and "norm" in name:
            parameter.requires_grad_(True)


def write_scales(coder: Qwen2, checkpoint: Checkpoint, out: Path) -> None:
    """The checkpoint with what was learned, in the same format and with all that lies beside its weights, in `out`."""
    tensors = {name: np.asarray(stored(info)) for name, info in checkpoint.tensors.items()}
    for name, layer in coder.named_modules():
        if parametrize.is_parametrized(layer, "weight"):
            tensors |= {f"{name}.weight.{part}": values for part, values in vars(_learned(layer)).items()}
    norms = {name: part for name, part in coder.named_parameters() if name in tensors and part.requires_grad}
    tensors |= {name: _rounded(part, _BITS) for name, part in norms.items()}
    out.mkdir(parents=True, exist_ok=True)
    for file in checkpoint.folder.iterdir():
        if file.suffix in (".json", ".md") and not file.name.endswith(".safetensors.index.json"):
            shutil.copyfile(file, out / file.name)
    write_tensors(
        {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in tensors.items()},
        out,
        "model",
    )
    write_checksums(out)


def _rounded(values: Tensor, bits: int) -> np.ndarray:
    """float32 with so many bits behind the leading one."""
    fractions, exponents = np.frexp(values.detach().cpu().numpy().astype(np.float32))
    steps = np.float32(2 ** (bits + 1))
    return np.ldexp(np.rint(fractions * steps) / steps, exponents)


def _learned(layer: nn.Module) -> Nibbles:
    """The matrix of a layer that learns its scales, as a checkpoint has it."""
    learned = layer.get_submodule(_LEARNED)
    assert isinstance(learned, parametrize.ParametrizationList)
    blocks = learned[0]
    assert isinstance(blocks, Blocks)
    return blocks.learned(*learned.parameters(recurse=False))
