"""Load a generator with its adapter: from a name in the settings to something that completes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

import torch
from safetensors import safe_open

from model.adapter import Encoder, PseudoTokens, load_adapter, read_config
from model.checkpoint import (
    EMBEDDED_FOLDER,
    Checkpoint,
    WeightsError,
    open_checkpoint,
    require_files,
    verify_checksums,
)
from model.decoder import Decoder
from model.prompt import FimOrder
from model.qwen2 import Qwen2, Qwen2Config, Rotary
from model.settings import EMBEDDED, ModelSettings
from model.torch_decoder import TorchDecoder
from model.vocabulary import Vocabulary, VocabularyError

__all__ = ["LoadedModel", "WeightsError", "load_from_settings", "load_model"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Room for activations, the allocator and the rest of the process.
_MEMORY_SLACK = 1.15


@dataclass(frozen=True)
class LoadedModel:
    """Everything that a `Completer` needs. `notes` are sentences for the user."""

    name: str
    decoder: Decoder
    vocabulary: Vocabulary
    fim_order: FimOrder
    stop_ids: frozenset[int]
    encoder: Encoder | None  # None: retrieval by words and symbols only
    pseudo: PseudoTokens | None  # None: no adapter fits the checkpoint, retrieval feeds text
    default_context: str
    fingerprint: str  # of the checkpoint
    revision: str
    device: str
    dtype: str
    n_parameters: int
    notes: tuple[str, ...]


def load_model(
    name_or_path: str = EMBEDDED,
    *,
    device: str = "auto",
    dtype: str = "auto",
    revision: str = "main",
    offline: bool = True,
    adapter: str = "",
) -> LoadedModel:
    """Load "embedded", a folder or a hub id with everything else at its default. Raises WeightsError."""
    return load_from_settings(
        ModelSettings(
            name=name_or_path, device=device, dtype=dtype, revision=revision, offline=offline, adapter=adapter
        )
    )


def load_from_settings(settings: ModelSettings) -> LoadedModel:
    """Load the checkpoint that the user chose and the adapter that fits it. Raises WeightsError."""
    checkpoint = open_checkpoint(settings.name, revision=settings.revision, offline=settings.offline)
    vocabulary = _load_vocabulary(checkpoint, settings.name)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device, dtype = choose_device(settings.device, settings.dtype)
    config = _network_config(checkpoint)
    capacity = min(config.max_position_embeddings, settings.context_tokens + settings.max_tokens)
    network = load_network(checkpoint, config, device, dtype, capacity)
    fingerprint = checkpoint.fingerprint()
    encoder, pseudo, default_context, notes = _adapt(settings, checkpoint, fingerprint, device, dtype)
    return LoadedModel(
        name=settings.name,
        decoder=TorchDecoder(network, capacity),
        vocabulary=vocabulary,
        fim_order=_fim_order(checkpoint),
        stop_ids=vocabulary.fim.stops | _eos_ids(checkpoint.config),
        encoder=encoder,
        pseudo=pseudo,
        default_context=default_context,
        fingerprint=fingerprint,
        revision=checkpoint.revision,
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        n_parameters=sum(p.numel() for p in network.parameters()),
        notes=notes,
    )


def _load_vocabulary(checkpoint: Checkpoint, name: str) -> Vocabulary:
    try:
        return Vocabulary.load(checkpoint.folder / "tokenizer.json")
    except VocabularyError as problem:
        raise WeightsError(f"{name} cannot complete code: {problem}") from problem


def _fim_order(checkpoint: Checkpoint) -> FimOrder:
    """`fim_order` is our own key of config.json; what others train reads prefix, suffix, middle."""
    order = checkpoint.config.get("fim_order", "psm")
    if order not in get_args(FimOrder):
        raise WeightsError(f"config.json in {checkpoint.folder} has fim_order {order!r}: one of spm, psm")
    return cast(FimOrder, order)


def choose_device(device: str = "auto", dtype: str = "auto") -> tuple[torch.device, torch.dtype]:
    """Resolve "auto": CUDA when there is one, bfloat16 on it and float32 on the CPU. Raises WeightsError."""
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise WeightsError("model.device is cuda, but torch finds no CUDA device: set it to auto or cpu")
    chosen = torch.device("cuda" if has_cuda and device in ("auto", "cuda") else "cpu")
    if dtype == "auto":
        return chosen, torch.bfloat16 if chosen.type == "cuda" else torch.float32
    return chosen, _DTYPES[dtype]


def load_network(
    checkpoint: Checkpoint, config: Qwen2Config, device: torch.device, dtype: torch.dtype, capacity: int
) -> Qwen2:
    """The network with the checkpoint's tensors. Raises WeightsError on any that is missing, foreign or misshapen."""
    with torch.device("meta"):  # No memory and no random numbers for weights that are replaced anyway.
        network = Qwen2(config)
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    _check_tensors(checkpoint, wanted)
    _check_memory(wanted, config, device, dtype, capacity)
    network.load_state_dict(_read(checkpoint, wanted, device, dtype), assign=True)
    network.model.rotary = Rotary(config.head_dim, config.rope_theta).to(device)
    return network.requires_grad_(False)


def _read(
    checkpoint: Checkpoint, wanted: Mapping[str, tuple[int, ...]], device: torch.device, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    state = {}
    for file in sorted({checkpoint.tensors[name].file for name in wanted}):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys() & wanted.keys():
                # A tensor still mapped from the file would die with a file that is replaced: copy.
                state[name] = tensors.get_tensor(name).to(device, dtype, copy=True)
    return state


def _network_config(checkpoint: Checkpoint) -> Qwen2Config:
    try:
        return Qwen2Config.from_json(checkpoint.config)
    except (KeyError, TypeError, ValueError) as problem:
        raise WeightsError(f"config.json in {checkpoint.folder} is incomplete: {problem}") from problem


def _check_tensors(checkpoint: Checkpoint, wanted: Mapping[str, tuple[int, ...]]) -> None:
    found = {
        name: info.shape
        for name, info in checkpoint.tensors.items()
        # Old exports store the rotary table, and some a copy of the tied head.
        if not name.endswith("rotary_emb.inv_freq") and not (name == "lm_head.weight" and name not in wanted)
    }
    problems = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    problems += [f"{name} is not a Qwen2 tensor" for name in sorted(found.keys() - wanted.keys())]
    problems += [
        f"{name} is {list(found[name])}, config.json wants {list(shape)}"
        for name, shape in wanted.items()
        if name in found and found[name] != shape
    ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise WeightsError(f"the tensors in {checkpoint.folder} do not fit its config.json: {problems[0]}{more}")


def _check_memory(
    wanted: Mapping[str, tuple[int, ...]],
    config: Qwen2Config,
    device: torch.device,
    dtype: torch.dtype,
    capacity: int,
) -> None:
    cached = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * capacity
    n_values = sum(int(torch.Size(shape).numel()) for shape in wanted.values()) + cached
    needed = int(n_values * dtype.itemsize * _MEMORY_SLACK)
    available = available_memory(device)
    if available is not None and needed > available:
        raise WeightsError(
            f"the model needs {needed / 1e9:.1f} GB on {device.type} and {available / 1e9:.1f} GB are free: "
            "choose a smaller checkpoint, or dtype bfloat16"
        )


def available_memory(device: torch.device) -> int | None:
    """Free bytes of the device, or None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf.
        return None


def _adapt(
    settings: ModelSettings, checkpoint: Checkpoint, base: str, device: torch.device, dtype: torch.dtype
) -> tuple[Encoder | None, PseudoTokens | None, str, tuple[str, ...]]:
    """The adapter that fits; without one the embedded model's fuser still finds the text that is shown instead."""
    home = Path(settings.adapter).expanduser() if settings.adapter else checkpoint.folder
    if settings.adapter:
        require_files(home, ("adapter.json",))
        verify_checksums(home, required=False)
    if (home / "adapter.json").is_file():
        config = read_config(home)
        if (config.base, config.hidden_size) == (base, checkpoint.config["hidden_size"]):
            adapter = load_adapter(home, device, dtype)
            return adapter.encoder, adapter.pseudo, config.default_context, ()
    note = (
        f"no HEF adapter fits {settings.name}: retrieval feeds text snippets; "
        "make one with python -m model.training adapter"
    )
    return _embedded_encoder(device, dtype), None, "snippets", (note,)


def _embedded_encoder(device: torch.device, dtype: torch.dtype) -> Encoder | None:
    if not (EMBEDDED_FOLDER / "adapter.json").is_file():
        return None
    verify_checksums(EMBEDDED_FOLDER, required=True)
    return load_adapter(EMBEDDED_FOLDER, device, dtype).encoder


def _eos_ids(config: Mapping[str, object]) -> frozenset[int]:
    """`eos_token_id` of a config: one id, a list, or absent."""
    eos = config.get("eos_token_id")
    return frozenset([eos] if isinstance(eos, int) else eos if isinstance(eos, list) else ())
