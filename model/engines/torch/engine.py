"""torch, the engine of CUDA and the reference on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from model.checkpoint.adapter import AdapterConfig
from model.checkpoint.coder import Qwen2Config, coder_shapes
from model.checkpoint.files import WeightsError
from model.checkpoint.opening import Checkpoint, check_tensors
from model.checkpoint.tensors import reader
from model.engines.decoder import Decoder
from model.engines.machine import free_bytes
from model.engines.torch.adapter import TorchFuser, TorchPseudoTokens, load_fuser, load_projector, numbers
from model.engines.torch.cuda_decoder import CudaDecoder
from model.engines.torch.cuda_network import fuse
from model.engines.torch.decoder import TorchDecoder
from model.engines.torch.qwen2 import Qwen2, Rotary

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Room for activations, the allocator and the rest of the process.
_MEMORY_SLACK = 1.15


@dataclass(frozen=True)
class TorchEngine:
    """`Engine` on torch."""

    place: torch.device
    number: torch.dtype

    @property
    def name(self) -> str:
        return f"torch {torch.__version__}"

    @property
    def device(self) -> str:
        return str(self.place)

    @property
    def dtype(self) -> str:
        return str(self.number).removeprefix("torch.")

    @property
    def threads(self) -> int:
        return torch.get_num_threads() if self.place.type == "cpu" else 0

    def free_bytes(self) -> int | None:
        if self.place.type == "cuda":
            return int(torch.cuda.mem_get_info(self.place)[0])
        return free_bytes()

    def needed_bytes(self, n_weights: int, n_cached: int) -> int:
        return int((n_weights + n_cached) * self.number.itemsize * _MEMORY_SLACK)

    def decoder(self, checkpoint: Checkpoint, config: Qwen2Config, capacity: int, n_slots: int) -> Decoder:
        network = load_network(checkpoint, config, self.place, self.number)
        if self.place.type != "cuda":
            return TorchDecoder(network, capacity, n_slots)
        decoder = CudaDecoder(fuse(network), capacity, n_slots)
        decoder.warm_up()  # While the model loads nobody waits for it yet.
        return decoder

    def fuser(self, folder: Path, config: AdapterConfig) -> TorchFuser:
        return TorchFuser(load_fuser(folder, config).to(self.place, self.number))

    def projector(self, folder: Path, config: AdapterConfig) -> TorchPseudoTokens:
        return TorchPseudoTokens(load_projector(folder, config).to(self.place, self.number), config)


def open_torch_engine(device: str = "auto", dtype: str = "auto", threads: int = 0) -> TorchEngine:
    """CUDA when there is one, unless the CPU is asked for; bfloat16 on it, float32 on the CPU. Raises WeightsError."""
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise WeightsError("model.device is cuda, but torch finds no CUDA device: set it to auto or cpu")
    if dtype == "int8":
        raise WeightsError(
            "model.dtype int8 is for the CPU, where ONNX Runtime runs it: set model.engine to onnx"
        )
    if threads:
        torch.set_num_threads(threads)
    chosen = torch.device("cuda" if has_cuda and device in ("auto", "cuda") else "cpu")
    automatic = torch.bfloat16 if chosen.type == "cuda" else torch.float32
    return TorchEngine(chosen, _DTYPES.get(dtype, automatic))


def load_network(
    checkpoint: Checkpoint, config: Qwen2Config, device: torch.device, dtype: torch.dtype
) -> Qwen2:
    """The network with the checkpoint's tensors. Raises WeightsError on any that is missing, foreign or misshapen."""
    check_tensors(checkpoint, coder_shapes(config))
    with torch.device("meta"):  # No memory and no random numbers for weights that are replaced anyway.
        network = Qwen2(config)
    network.load_state_dict(_read(checkpoint, config, device, dtype), assign=True)
    network.model.rotary = Rotary(config.head_dim, config.rope_theta).to(device)
    return network.requires_grad_(False)


def _read(
    checkpoint: Checkpoint, config: Qwen2Config, device: torch.device, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    wanted, state = coder_shapes(config), {}
    if checkpoint.packing:
        read = reader(checkpoint.tensors)
        return {name: torch.from_numpy(read(name)).to(device, dtype) for name in wanted}
    for file in sorted({checkpoint.tensors[name].file for name in wanted}):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys() & wanted.keys():
                # A tensor still mapped from the file would die with a file that is replaced: copy.
                state[name] = numbers(tensors.get_tensor(name), file).to(device, dtype, copy=True)
    return state
