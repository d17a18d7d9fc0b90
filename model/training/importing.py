"""`python -m model.training import --gguf FILE`: somebody's Llama in 4 bits as a checkpoint, not a weight changed.

Wanted are matrices in Q4_1, an embedding in Q8_0 and vectors in float32, as llama.cpp's quantizer writes for Q4_1, with
a byte-level tokenizer like SmolLM's. `--embedding-bits` below 8 rounds the embedding, the one thing that is rounded:
fewer bits are bytes all the same, which an archive packs, and rows of tokens that occur in the Python files below
`--exact-in` stay as they are; 4 bits without exact rows are nibbles with a minimum, as the layers are.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.checkpoint.coder import Qwen2Config, coder_shapes
from model.checkpoint.files import sha256_of
from model.checkpoint.opening import write_checksums
from model.checkpoint.packed import BLOCK, Nibbles, Octets, Packed, PackedBits
from model.training.export import write_tensors
from model.training.gguf_file import GgufError, GgufFile
from model.training.packing import packed_nibbles, packed_octets
from model.vocabulary import Vocabulary

_FAMILY = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output"}
_FAMILY |= {"gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}
_FAMILY |= {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
# What ends a text: chat turns, documents, and where the next file or repository of a training sequence begins.
_STOPS = ("<|endoftext|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>", "<filename>")


@dataclass(frozen=True)
class ImportOptions:
    """What the command line says."""

    gguf: Path
    out: Path
    embedding_bits: int = 8
    exact_in: Path | None = None

    @property
    def packs_nibbles(self) -> bool:
        return self.embedding_bits == 4 and self.exact_in is None


def run(options: ImportOptions) -> None:
    """Write config.json, tokenizer.json, the weights in shards, MODEL_CARD.md and SHA256SUMS. Raises GgufError."""
    file = GgufFile(options.gguf)
    config = hf_config(file, 4 if options.packs_nibbles else 8)
    network = Qwen2Config.from_json(config)
    tokenizer = tokenizer_of(file)
    exact = np.zeros(network.vocab_size, bool)
    if options.exact_in:
        exact = occurring(Vocabulary(copy.deepcopy(tokenizer)), options.exact_in, network.vocab_size)

    def pack(embedding: Octets) -> Packed:
        if options.packs_nibbles:
            return packed_nibbles(embedding.widened())
        return (
            embedding if options.embedding_bits == 8 else _rounded(embedding, options.embedding_bits, exact)
        )

    tensors = dict(checkpoint_tensors(file, network, pack))
    options.out.mkdir(parents=True, exist_ok=True)
    _write_json(options.out / "config.json", config)
    (options.out / "tokenizer.json").write_text(
        json.dumps(tokenizer, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    for old in options.out.glob("model*.safetensors*"):
        old.unlink()
    write_tensors({name: torch.from_numpy(values) for name, values in tensors.items()}, options.out, "model")
    (options.out / "MODEL_CARD.md").write_text(model_card(file, options, int(exact.sum())), encoding="utf-8")
    write_checksums(options.out)


def hf_config(file: GgufFile, embedding_bits: int) -> dict[str, Any]:
    """The `config.json` of transformers' LlamaForCausalLM, with our packing. Raises GgufError."""
    if (kind := file.value("general.architecture")) != "llama":
        raise GgufError(f"{file.name} holds a {kind}: only Llama's layers are imported")
    tokens = file.value("tokenizer.ggml.tokens")
    heads = file.number("attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "vocab_size": len(tokens),
        "hidden_size": file.number("embedding_length"),
        "intermediate_size": file.number("feed_forward_length"),
        "num_hidden_layers": file.number("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": file.number("attention.head_count_kv", heads),
        "head_dim": file.number("rope.dimension_count", file.number("embedding_length") // heads),
        "rope_theta": file.number("rope.freq_base", 10_000.0),
        "rms_norm_eps": file.number("attention.layer_norm_rms_epsilon"),
        "max_position_embeddings": file.number("context_length"),
        "tie_word_embeddings": "output.weight" not in file.kinds,
        "eos_token_id": [tokens.index(token) for token in _STOPS if token in tokens],
        "quantization_config": PackedBits(4, embedding_bits).to_json(),
    }


def checkpoint_tensors(
    file: GgufFile, config: Qwen2Config, pack: Callable[[Octets], Packed] = lambda embedding: embedding
) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor of the checkpoint under its name. Raises GgufError on one that is not in the file's format."""
    left = set(file.kinds)
    for name, shape in coder_shapes(config).items():
        theirs = gguf_name(name)
        left.discard(theirs)
        if len(shape) == 1:
            yield name, file.vector(theirs)
            continue
        weight: Packed = pack(file.octets(theirs)) if _is_embedding(name) else file.nibbles(theirs)
        if isinstance(weight, Nibbles) and (heads := _turned_heads(name, config)):
            weight = Nibbles(*(_unpaired(part, heads) for part in vars(weight).values()))
        for part, values in vars(weight).items():
            yield f"{name}.{part}", np.ascontiguousarray(values)
    if left:
        raise GgufError(f"{file.name} holds {min(left)}, which no plain Llama has")


def gguf_name(name: str) -> str:
    """llama.cpp's name of a tensor: model.layers.0.self_attn.q_proj.weight is blk.0.attn_q.weight."""
    stem = name.removesuffix(".weight")
    if stem in _WHOLE:
        return f"{_WHOLE[stem]}.weight"
    _, _, layer, *_, last = stem.split(".")
    return f"blk.{layer}.{_FAMILY[last]}.weight"


def occurring(vocabulary: Vocabulary, folder: Path, vocab_size: int) -> np.ndarray:
    """Which tokens the Python files below a folder have, bool [vocab]; installed packages are left out."""
    found = np.zeros(vocab_size, bool)
    for file in sorted(folder.rglob("*.py")):
        if "site-packages" not in file.relative_to(folder).parts:
            found[vocabulary.encode(file.read_text(encoding="utf-8", errors="replace"))] = True
    return found


def _rounded(weight: Octets, bits: int, exact: np.ndarray) -> Octets:
    rounded = packed_octets(weight.widened(), bits)
    return Octets(
        np.where(exact[:, None, None], weight.octets, rounded.octets),
        np.where(exact[:, None], weight.scale, rounded.scale),
    )


def _is_embedding(name: str) -> bool:
    return name in ("model.embed_tokens.weight", "lm_head.weight")


def _turned_heads(name: str, config: Qwen2Config) -> int:
    """The heads in a matrix whose rows llama.cpp reorders."""
    if name.endswith("q_proj.weight"):
        return config.num_attention_heads
    return config.num_key_value_heads if name.endswith("k_proj.weight") else 0


def _unpaired(rows: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp turns neighbors in a head, the checkpoint's layout turns halves: row 2i + j of a head there is row
    j * head_dim / 2 + i here (transformers, `modeling_gguf_pytorch_utils.py`, undoes it alike)."""
    paired = rows.reshape(heads, -1, 2, *rows.shape[1:])
    return paired.swapaxes(1, 2).reshape(rows.shape)


_PRE_TOKENIZERS: dict[str, list[dict[str, Any]]] = {
    "smollm": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ]
}
_CONTROL = 3  # llama.cpp's type of a control token


def tokenizer_of(file: GgufFile) -> dict[str, Any]:
    """`tokenizer.json`. Raises GgufError on a tokenizer of another kind."""
    kind = (file.value("tokenizer.ggml.model"), file.value("tokenizer.ggml.pre"))
    if kind[0] != "gpt2" or kind[1] not in _PRE_TOKENIZERS:
        raise GgufError(
            f"{file.name} has a tokenizer of kind {kind}: known is gpt2 with {[*_PRE_TOKENIZERS]}"
        )
    tokens, kinds = file.value("tokenizer.ggml.tokens"), file.value("tokenizer.ggml.token_type")
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    control = [i for i, kind in enumerate(kinds) if kind == _CONTROL]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": tokens[i], **flags, "special": True} for i in control],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": _PRE_TOKENIZERS[kind[1]]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": file.value("tokenizer.ggml.merges"),
        },
    }


def model_card(file: GgufFile, options: ImportOptions, n_exact: int) -> str:
    """Origin, license and what was changed, from what the file says of itself."""

    def said(key: str) -> str:
        return str(file.value(f"general.{key}", "not said"))

    size = sum(part.stat().st_size for part in options.out.glob("model*.safetensors"))
    kind = file.value("tokenizer.ggml.pre")
    but = f" but for the rows of\n  {n_exact:,} tokens that the code of `--exact-in` has" if n_exact else ""
    rounded = f"The embedding,\n  Q8_0 there, was rounded to {options.embedding_bits} bits{but}."
    embedding = "The embedding is\n  the file's Q8_0." if options.embedding_bits == 8 else rounded
    return f"""# {said("name")}

Made by somebody else and imported: `python -m model.training import --gguf {options.gguf.name}
--embedding-bits {options.embedding_bits}`. Nothing was trained.

| | |
| --- | --- |
| organization | {said("organization")} |
| name, fine-tune, size | {said("basename")}, {said("finetune")}, {said("size_label")} |
| license | {said("license")} |
| languages | {", ".join(file.value("general.languages", ["not said"]))} |
| file | {options.gguf.name}, {options.gguf.stat().st_size:,} bytes |
| its sha256 | {sha256_of(options.gguf)} |
| weights here | {size:,} bytes |

- **Weights**: the layers' matrices are the file's Q4_1 blocks of {BLOCK}, every scale, minimum and nibble as there;
  the rows of queries and keys are in the original checkpoint's order again, which llama.cpp changes. {embedding}
- **Tokenizer**: the file's tokens and merges; digits one by one, as its kind ("{kind}") means. A character with
  a byte that is no token is read as a question mark.
- **Use**: a text to go on with, left to right: it was never taught to fill a hole. Its makers' chat format is not used.
"""


def _write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
