"""A real llama.cpp server on loopback (PyPI xllamacpp) with a Qwen2 checkpoint as GGUF, float32 or q8_0.

Started as a program, in the environment that has it: `python llama_server.py GGUF PORT`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = Path(os.environ.get("HEF_LLAMA", ROOT / ".scale" / "llama"))
START_SECONDS = 120.0
_FIM = {
    "pre": "prefix",
    "suf": "suffix",
    "mid": "middle",
    "sep": "file_sep",
    "rep": "repo_name",
    "pad": "pad",
}


def has_llama() -> bool:
    return (VENV / "bin" / "python").exists()


@contextmanager
def llama(folder: Path, scratch: Path, port: int, *, q8: bool = False) -> Iterator[str]:
    """Its address. `folder`: of a Qwen2 checkpoint."""
    file = write_gguf(folder, scratch / "served.gguf", q8=q8)
    address = f"http://127.0.0.1:{port}"
    with (scratch / "llama.log").open("wb") as log:
        command = [str(VENV / "bin" / "python"), str(Path(__file__)), str(file), str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_for(f"{address}/health", process)
            yield address
        finally:
            process.kill()
            process.wait()


def write_gguf(folder: Path, file: Path, *, q8: bool = False) -> Path:
    """A checkpoint of ours as llama.cpp reads it, with its fill-in-the-middle tokens; `q8`: its matrices in q8_0."""
    from gguf import GGMLQuantizationType, GGUFWriter, TokenType, quantize

    from model.checkpoint.opening import read_checkpoint
    from model.checkpoint.tensors import reader
    from model.training.importing import gguf_name
    from model.vocabulary import Vocabulary
    from tests.tiny_gguf import write_shape

    checkpoint = read_checkpoint(folder)
    config, read = checkpoint.config, reader(checkpoint.tensors)
    writer = GGUFWriter(str(file), "qwen2")
    write_shape(writer, config)
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    raw = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    added = {token["content"]: token["id"] for token in raw["added_tokens"]}
    names = {i: name for name, i in {**raw["model"]["vocab"], **added}.items()}
    tokens = [names.get(i, f"[unused {i}]") for i in range(config["vocab_size"])]
    kinds = [TokenType.CONTROL if token in added else TokenType.NORMAL for token in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(
        [pair if isinstance(pair, str) else " ".join(pair) for pair in raw["model"]["merges"]]
    )
    fim = Vocabulary(raw).fim
    writer.add_eos_token_id(fim.end)
    writer.add_bos_token_id(fim.end)
    writer.add_add_bos_token(False)
    for theirs, ours in _FIM.items():
        writer.add_uint32(f"tokenizer.ggml.fim_{theirs}_token_id", getattr(fim, ours))
    for name in checkpoint.tensors:
        stem, _, kind = name.rpartition(".")
        values = read(name)
        form = GGMLQuantizationType.Q8_0 if q8 and values.ndim > 1 else GGMLQuantizationType.F32
        place = gguf_name(f"{stem}.weight").removesuffix("weight") + kind
        writer.add_tensor(place, quantize(values, form), raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.2)


def _serve(file: str, port: str) -> None:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = file
    parameters.n_ctx, parameters.n_parallel, parameters.n_cache_reuse = 2048, 1, 256
    parameters.cpuparams.n_threads = 2
    parameters.hostnames, parameters.port = ["127.0.0.1"], int(port)
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    time.sleep(3600)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
