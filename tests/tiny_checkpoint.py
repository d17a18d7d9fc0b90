"""A complete checkpoint of a few hundred kilobytes with random weights, for tests that need a real folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from model.checkpoint.adapter import AdapterConfig
from model.checkpoint.coder import Qwen2Config
from model.checkpoint.opening import open_checkpoint, write_checksums
from model.checkpoint.packed import BLOCK, Octets, PackedBits
from model.engines.torch.adapter import save_adapter
from model.engines.torch.fuser import Fuser
from model.engines.torch.projector import Projector
from model.engines.torch.qwen2 import Qwen2
from model.training.bpe import CONTROL_TOKENS, QWEN2_SPLIT
from model.training.packing import packed_nibbles

_SAMPLE = "def add(self, first, second):\n    return self.first + self.second\n\nimport os\nclass A:\n"


def tiny_tokenizer(control: tuple[str, ...] = CONTROL_TOKENS, *, joins_lines: bool = False) -> Tokenizer:
    """Byte-level BPE with a few merges; control tokens are marked as ordinary, as Qwen2.5-Coder does.

    `joins_lines`: white space is not split, as in GPT-2's and StarCoder's tokenizers.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    told = [_SAMPLE]
    if joins_lines:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        told.append(_SAMPLE.replace("    ", "  "))
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, min_frequency=1, show_progress=False
    )
    tokenizer.train_from_iterator(told * 4, trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in control])
    return tokenizer


def tiny_config(**changes: object) -> dict[str, object]:
    """A Qwen2 `config.json`: 2 layers, hidden 64, 4 heads over 2 key/value heads."""
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "vocab_size": 320,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        "eos_token_id": 300,
        "fim_order": "spm",
        **changes,
    }


def tiny_network(config: dict[str, object], seed: int = 0) -> Qwen2:
    """Random weights, strong enough that greedy decoding neither loops nor forgets the start of the prompt."""
    torch.manual_seed(seed)
    network = Qwen2(Qwen2Config.from_json(config))
    for name, parameter in network.named_parameters():
        torch.nn.init.normal_(parameter, mean=float(name.endswith("norm.weight")), std=0.25)
    return network.eval().requires_grad_(False)


def write_tiny_checkpoint(
    folder: Path,
    *,
    adapter: bool = True,
    shards: int = 1,
    seed: int = 0,
    control: tuple[str, ...] = CONTROL_TOKENS,
    **config_changes: object,
) -> Path:
    """Write a whole checkpoint with checksums and, if asked, an adapter that fits it; return `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = tiny_config(**config_changes)
    network = tiny_network(config, seed)
    (folder / "config.json").write_text(json.dumps(config))
    tiny_tokenizer(control).save(str(folder / "tokenizer.json"))
    write_weights(folder, network, shards)
    if adapter:
        write_tiny_adapter(folder, network)
    write_checksums(folder)
    return folder


def write_packed_checkpoint(
    folder: Path, *, embedding_bits: int = 8, seed: int = 0, **config_changes: object
) -> Path:
    """A Llama in blocks of 4 bits, its embedding in `embedding_bits`, as `model.training import` writes one."""
    folder.mkdir(parents=True, exist_ok=True)
    packing = PackedBits(4, embedding_bits)
    config = tiny_config(model_type="llama", quantization_config=packing.to_json(), **config_changes)
    (folder / "config.json").write_text(json.dumps(config))
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    tensors = {}
    for name, tensor in tiny_network(config, seed).state_dict().items():
        values = tensor.numpy()
        if values.ndim == 1:
            tensors[name] = values
            continue
        weight = packed_nibbles(values) if packing.bits_of(name) == 4 else _octets(values)
        tensors |= {f"{name}.{part}": array for part, array in vars(weight).items()}
    save_numpy(tensors, folder / "model.safetensors")
    write_checksums(folder)
    return folder


def _octets(weight: np.ndarray) -> Octets:
    blocks = weight.reshape(len(weight), -1, BLOCK)
    scale = (np.abs(blocks).max(axis=2) / 127).astype(np.float16)
    octets = np.rint(blocks / scale.astype(np.float32)[..., None]).clip(-127, 127)
    return Octets(octets.astype(np.int8), scale)


def write_weights(folder: Path, network: Qwen2, shards: int = 1) -> None:
    """`model.safetensors`, or shards with their index, in the hub's layout."""
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    if shards == 1:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return
    weight_map = {}
    for i in range(shards):
        file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = dict(list(state.items())[i::shards])
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def write_tiny_adapter(folder: Path, network: Qwen2) -> None:
    """A one-layer fuser with m = 2 and a projector, for the checkpoint that `folder` already holds."""
    torch.manual_seed(1)
    fuser = Fuser.from_coder(
        network, num_layers=1, d_key=32, m=2, max_tokens=64, query_before=48, query_after=16
    )
    projector = Projector(fuser.config.d_memory, network.config.hidden_size, n_layers=2)
    base = open_checkpoint(str(folder)).fingerprint()
    save_adapter(folder, AdapterConfig(base, network.config.hidden_size, fuser.config, 2), fuser, projector)
