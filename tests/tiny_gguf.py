"""A Llama of a few kilobytes as llama.cpp's converter and quantizer write it, and the weights that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from model.training.importing import gguf_name
from tests.tiny_checkpoint import CONTROL_TOKENS, tiny_config, tiny_network, tiny_tokenizer

Q4_1, Q8_0, F32 = (gguf.GGMLQuantizationType[name] for name in ("Q4_1", "Q8_0", "F32"))
CONTROL = (*CONTROL_TOKENS[:1], "<|im_start|>", "<|im_end|>", "<repo_name>", "<file_sep>")
ABSENT = "\x04\x1d"  # no tokens, as in SmolLM2's


def llama_config(**changes: object) -> dict[str, object]:
    """Six heads share two of keys and values."""
    shape = {
        "hidden_size": 96,
        "intermediate_size": 160,
        "num_attention_heads": 6,
        "vocab_size": len(tokens()),
    }
    return tiny_config(model_type="llama", head_dim=16, rms_norm_eps=1e-5, **shape) | changes


def tokens() -> list[str]:
    """The tiny tokenizer's, without some bytes, behind the control tokens."""
    absent = {chr(0x100 + ord(character)) for character in ABSENT}
    vocabulary = tiny_tokenizer(control=()).get_vocab()
    return [
        *CONTROL,
        *(token for token in sorted(vocabulary, key=vocabulary.__getitem__) if token not in absent),
    ]


def write_tiny_gguf(
    file: Path,
    *,
    architecture: str = "llama",
    pre: str = "smollm",
    linear: gguf.GGMLQuantizationType = Q4_1,
    extra: str = "",
    **changes: object,
) -> dict[str, np.ndarray]:
    """Write the file; the name of every weight in the checkpoint's layout, and what the file says it is."""
    config = llama_config(**changes)
    writer = gguf.GGUFWriter(file, architecture)
    _write_facts(writer, config, pre)
    weights = {}
    for name, tensor in tiny_network(config).state_dict().items():
        values = tensor.numpy()
        kind = F32 if values.ndim == 1 else Q8_0 if "embed" in name or "head" in name else linear
        weights[name] = gguf.dequantize(gguf.quantize(values, kind), kind)
        data = gguf.quantize(_paired(name, values, config), kind)
        writer.add_tensor(gguf_name(name), data, raw_dtype=kind)
    if extra:
        writer.add_tensor(extra, np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def write_shape(writer: gguf.GGUFWriter, config: Mapping[str, Any]) -> None:
    """What llama.cpp has to know of a config.json of the hub's layout, but for the width of heads."""
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])


def _write_facts(writer: gguf.GGUFWriter, config: dict[str, object], pre: str) -> None:
    writer.add_name("Tiny Llama")
    writer.add_organization("Nobody")
    writer.add_license("apache-2.0")
    writer.add_languages(["en"])
    write_shape(writer, config)
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens())
    writer.add_token_types([3] * len(CONTROL) + [1] * (len(tokens()) - len(CONTROL)))
    writer.add_token_merges(_merges())


def _merges() -> list[str]:
    import json

    found = json.loads(tiny_tokenizer(control=()).to_str())["model"]["merges"]
    return [" ".join(pair) for pair in found]


def _paired(name: str, values: np.ndarray, config: dict[str, object]) -> np.ndarray:
    """As llama.cpp's convert_hf_to_gguf.py, `LlamaModel.permute`, orders the rows of queries and keys."""
    heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
    key = next((key for part, key in heads.items() if part in name), None)
    if key is None:
        return values
    return values.reshape(config[key], 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
