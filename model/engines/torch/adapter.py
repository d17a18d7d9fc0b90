"""Fuser and projector on torch: `Fusing` and `PseudoTokens` for CUDA and for comparison; what training saves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.checkpoint.adapter import AdapterConfig, fuser_tensors, projector_tensors
from model.checkpoint.files import TensorInfo, WeightsError
from model.engines.engine import Nodes
from model.engines.torch.fuser import Encoded, Fuser
from model.engines.torch.projector import Projector


class TorchFuser:
    """Serves a fuser module."""

    def __init__(self, fuser: Fuser) -> None:
        self._fuser = fuser.eval()

    @torch.inference_mode()
    def encode_chunks(self, chunks: Sequence[Sequence[int]]) -> Nodes:
        return _nodes(self._fuser.encode_chunks(chunks))

    @torch.inference_mode()
    def encode_query(self, before: Sequence[int], after: Sequence[int], mark: int) -> Nodes:
        return _nodes(self._fuser.encode_query([before], [after], mark))

    @torch.inference_mode()
    def fuse(self, groups: Sequence[np.ndarray]) -> Nodes:
        device = self._fuser.child_in.weight.device
        return _nodes(self._fuser.fuse([torch.from_numpy(g.astype(np.float32)).to(device) for g in groups]))


class TorchPseudoTokens:
    """Serves a projector module."""

    def __init__(self, projector: Projector, config: AdapterConfig) -> None:
        self._projector, self._config = projector.eval(), config

    @property
    def per_node(self) -> int:
        return self._config.per_node

    @torch.inference_mode()
    def project(self, memories: np.ndarray) -> np.ndarray:
        weight = next(self._projector.parameters())
        flat = torch.from_numpy(self._config.projected_rows(memories))
        return _numpy(self._projector(flat.to(weight.device, weight.dtype)))


def load_fuser(folder: Path, config: AdapterConfig) -> Fuser:
    """The fuser of an adapter, float32 on the CPU. Raises WeightsError."""
    fuser = Fuser(config.fuser)
    _fill(fuser, fuser_tensors(folder, config.fuser))
    return fuser.requires_grad_(False)


def load_projector(folder: Path, config: AdapterConfig) -> Projector:
    """The projector of an adapter, float32 on the CPU. Raises WeightsError."""
    projector = Projector(
        config.projector_width, config.hidden_size, config.projector_layers, joined=config.joined
    )
    _fill(projector, projector_tensors(folder, config))
    return projector.requires_grad_(False)


def save_adapter(
    folder: Path,
    config: AdapterConfig,
    fuser: Fuser,
    projector: Projector,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write adapter.json and the two safetensors; the tokenizer is the caller's to copy."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in (("fuser", fuser), ("projector", projector)):
        state = module.state_dict()
        tensors = {key: value.detach().to("cpu", dtype).contiguous() for key, value in state.items()}
        save_file(tensors, folder / f"{name}.safetensors", metadata={"format": "pt"})
    (folder / "adapter.json").write_text(json.dumps(config.to_json(), indent=2) + "\n", encoding="utf-8")


def _fill(module: nn.Module, tensors: Mapping[str, TensorInfo]) -> None:
    files = sorted({info.file for info in tensors.values()})
    state = {name: numbers(tensor, file) for file in files for name, tensor in load_file(file).items()}
    module.load_state_dict(state)


def numbers(tensor: Tensor, file: Path) -> Tensor:
    """`tensor`. Raises WeightsError where `file` has NaN or infinity in it."""
    if not torch.isfinite(tensor).all():
        raise WeightsError(f"{file.name} holds values that are no numbers, NaN or infinite; fetch it again")
    return tensor


def _nodes(encoded: Encoded) -> Nodes:
    return Nodes(_numpy(encoded.key), _numpy(encoded.memory))


def _numpy(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.float().cpu().numpy()
    return array
