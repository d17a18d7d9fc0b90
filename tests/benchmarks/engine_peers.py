"""Other people's engines on the weights of a checkpoint. Each raises ImportError where it is not installed.

Weights are quantized where the engine quantizes them itself; nothing is tuned beyond threads and latency settings.
"""

from __future__ import annotations

import os
import warnings
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from model.checkpoint.coder import Qwen2Config, coder_shapes
from model.checkpoint.files import read_json
from model.checkpoint.opening import Checkpoint
from model.checkpoint.packed import BLOCK, Nibbles
from model.checkpoint.tensors import packed, reader


class Transformers:
    """`generate` in float32, plain or with its prompt lookup (`lookup` tokens at a time)."""

    def __init__(self, checkpoint: Checkpoint, threads: int, lookup: int = 0) -> None:
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own imports
            import transformers

            transformers.utils.logging.disable_progress_bar()
            self._model = _loaded(transformers, torch, checkpoint).eval()
        torch.set_num_threads(threads)
        self._torch = torch
        self._options: dict[str, Any] = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        if lookup:
            self._options["prompt_lookup_num_tokens"] = lookup

    def write(self, ids: list[int], n: int) -> list[int]:
        prompt = self._torch.tensor([ids])
        with self._torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = self._model.generate(
                input_ids=prompt,
                attention_mask=self._torch.ones_like(prompt),
                max_new_tokens=n,
                **self._options,
            )
        written: list[int] = out[0, len(ids) :].tolist()
        return written


def _loaded(transformers: Any, torch: Any, checkpoint: Checkpoint) -> Any:
    """In float32; a checkpoint in blocks is none of transformers', and is read for it."""
    if checkpoint.packing is None:
        return transformers.AutoModelForCausalLM.from_pretrained(checkpoint.folder, dtype=torch.float32)
    raw = {key: value for key, value in checkpoint.config.items() if key != "quantization_config"}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**raw))
    read, names = reader(checkpoint.tensors), coder_shapes(Qwen2Config.from_json(checkpoint.config))
    model.load_state_dict({name: torch.from_numpy(read(name)) for name in names}, strict=False)
    model.tie_weights()
    return model


class OpenVino:
    """One graph with keys and values in and out, traced from torch; weights float32, arithmetic bfloat16."""

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        import openvino
        import torch

        from tests.benchmarks.engine_step import Step, empty_past, example

        step = Step(checkpoint)
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            model = openvino.convert_model(step, example_input=example(step))
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16",
        }
        self._request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
        self._table = reader(checkpoint.tensors)("model.embed_tokens.weight")
        self._empty = [past.numpy() for past in empty_past(step)]

    def write(self, ids: list[int], n: int) -> list[int]:
        written: list[int] = []
        past, now = self._empty, ids
        while len(written) < n:
            positions = np.arange(len(past[0]), len(past[0]) + len(now))
            out = self._request.infer([self._table[now], positions, *past], share_inputs=True)
            logits, *past = (np.array(value) for value in out.values())
            written.append(int(logits.argmax()))
            now = written[-1:]
        return written


class LlamaCpp:
    """Its server in this process, in 8 bits (q8_0), or in the blocks that the checkpoint has."""

    def __init__(self, checkpoint: Checkpoint, threads: int, capacity: int) -> None:
        import gguf
        import xllamacpp

        self._folder = TemporaryDirectory(prefix="hef-benchmark-")
        file = os.path.join(self._folder.name, "model.gguf")
        write_gguf(gguf, file, checkpoint)
        params = xllamacpp.CommonParams()
        params.model.path = file
        params.n_ctx, params.n_parallel, params.warmup, params.verbosity = capacity, 1, True, 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        self._server = xllamacpp.Server(params)

    def write(self, ids: list[int], n: int) -> list[int]:
        """It tells the text, not the tokens."""
        asked = {"prompt": ids, "n_predict": n, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
        self._server.handle_completions(asked)
        return []


def write_gguf(gguf: Any, file: str, checkpoint: Checkpoint) -> None:
    """The weights as llama.cpp names them: matrices in q8_0 or their own blocks, norms and biases in float32."""
    config, kind = Qwen2Config.from_json(checkpoint.config), str(checkpoint.config["model_type"])
    writer = gguf.GGUFWriter(file, kind)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    _write_tokenizer(writer, checkpoint, config.vocab_size)
    architecture = gguf.MODEL_ARCH.QWEN2 if kind == "qwen2" else gguf.MODEL_ARCH.LLAMA
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    for name in coder_shapes(config):
        data, number = _gguf_tensor(gguf, checkpoint, config, name)
        writer.add_tensor(names.get_name(name, (".weight", ".bias")), data, raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_tokenizer(writer: Any, checkpoint: Checkpoint, vocab_size: int) -> None:
    raw = read_json(checkpoint.folder / "tokenizer.json")
    known = {index: token for token, index in raw["model"]["vocab"].items()}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([known.get(i, f"<unused {i}>") for i in range(vocab_size)])
    writer.add_token_types([1] * vocab_size)
    merges = raw["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges[:1]])


def _gguf_tensor(gguf: Any, checkpoint: Checkpoint, config: Qwen2Config, name: str) -> tuple[np.ndarray, Any]:
    kinds = gguf.GGMLQuantizationType
    blocks = packed(checkpoint.tensors, name)
    if isinstance(blocks, Nibbles):
        values = np.stack([blocks.nibbles & 15, blocks.nibbles >> 4], axis=-1).reshape(
            *blocks.scale.shape, BLOCK
        )
        halves = values[..., : BLOCK // 2] | values[..., BLOCK // 2 :] << 4
        parts = [blocks.scale[..., None].view(np.uint8), blocks.minimum[..., None].view(np.uint8), halves]
        data = np.concatenate(parts, axis=-1).reshape(len(halves), -1)
        return _paired(data, name, config), kinds.Q4_1
    values = reader(checkpoint.tensors)(name)
    kind = kinds.Q8_0 if values.ndim == 2 else kinds.F32
    return gguf.quantize(values, kind), kind


def _paired(rows: np.ndarray, name: str, config: Qwen2Config) -> np.ndarray:
    """llama.cpp turns neighbors in a Llama's heads, where the checkpoint turns halves."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    n = next((heads[part] for part in heads if part in name), 0)
    return rows.reshape(n, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape) if n else rows
