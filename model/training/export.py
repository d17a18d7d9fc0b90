"""Writing what serving loads: the layout of a Hugging Face checkpoint, in shards that a git host accepts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from model.checkpoint.coder import Qwen2Config
from model.engines.torch.qwen2 import Qwen2

_SHARD_BYTES = 15 * 2**20


def write_coder(coder: Qwen2, tokenizer_folder: Path, out: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write config, tokenizer and weights of `coder` to `out`; transformers' Qwen2ForCausalLM loads it too."""
    out.mkdir(parents=True, exist_ok=True)
    end = _token_id(tokenizer_folder, "<|endoftext|>")
    _write_json(out / "config.json", hf_config(coder.config, end, dtype))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if (tokenizer_folder / name).exists():
            shutil.copyfile(tokenizer_folder / name, out / name)
    write_weights(coder.state_dict(), out, "model", dtype)


def hf_config(config: Qwen2Config, end: int, dtype: torch.dtype) -> dict[str, Any]:
    """The `config.json` of transformers' Qwen2ForCausalLM."""
    shape = {k: v for k, v in asdict(config).items() if k != "attention_bias"}
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "use_sliding_window": False,
        "bos_token_id": end,
        "eos_token_id": end,
        "dtype": str(dtype).removeprefix("torch."),
        "fim_order": "spm",  # not transformers': how `model.prompt` lays out this coder's prompt
        **shape,
    }


def write_weights(state: Mapping[str, Tensor], out: Path, stem: str, dtype: torch.dtype) -> None:
    """As `write_tensors`, in this number format."""
    write_tensors(
        {name: value.detach().to(dtype).contiguous().clone() for name, value in state.items()}, out, stem
    )


def write_tensors(tensors: Mapping[str, Tensor], out: Path, stem: str) -> None:
    """Write `stem.safetensors`, or numbered shards with their index where it would be larger than one shard."""
    shards = _shards(tensors)
    if len(shards) == 1:
        save_file(dict(tensors), out / f"{stem}.safetensors", metadata={"format": "pt"})
        return
    weight_map: dict[str, str] = {}
    for i, shard in enumerate(shards, start=1):
        file = f"{stem}-{i:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, out / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, file)
    total = sum(t.nbytes for t in tensors.values())
    _write_json(
        out / f"{stem}.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map}
    )


def _shards(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.nbytes > _SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.nbytes
    return shards


def _token_id(folder: Path, token: str) -> int:
    added = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    return next(int(t["id"]) for t in added if t["content"] == token)


def _write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
