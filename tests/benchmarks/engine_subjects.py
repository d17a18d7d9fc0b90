"""A checkpoint of 42M parameters with random weights, as other engines read it too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from model.checkpoint.coder import Qwen2Config, coder_shapes
from model.checkpoint.opening import EMBEDDED_FOLDER

SHAPE = {
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_act": "silu",
    "vocab_size": 16_384,
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "rope_theta": 1e6,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "dtype": "float32",
    "bos_token_id": 0,
    "eos_token_id": 0,
}


# Qwen2.5-Coder-0.5B's config.json.
SHAPE_05B = SHAPE | {
    "vocab_size": 151_936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "max_position_embeddings": 32_768,
}


def write_random(folder: Path, seed: int = 0, shape: Mapping[str, object] = SHAPE) -> None:
    """config.json and float32 model.safetensors: strong enough weights that greedy decoding does not degenerate."""
    (folder / "config.json").write_text(json.dumps(shape), encoding="utf-8")
    shapes, draw = coder_shapes(Qwen2Config.from_json(shape)), np.random.default_rng(seed)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    head = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name, shape in shapes.items():
            values = draw.standard_normal(shape, dtype=np.float32) * np.float32(0.06)
            file.write((values + np.float32(name.endswith("norm.weight"))).astype(np.float32).tobytes())
    (folder / "tokenizer.json").write_bytes((EMBEDDED_FOLDER / "tokenizer.json").read_bytes())
