"""What the GPU benchmark measures on: networks of known shapes with random weights, and prompts of random tokens.

Speed does not depend on what the weights say. They are drawn on the device: nothing is downloaded or read from disk.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from tokenizers.pre_tokenizers import ByteLevel

from model.checkpoint.coder import Qwen2Config, coder_shapes, n_values
from model.engines.torch.qwen2 import Qwen2, Rotary
from model.prompt import PSEUDO, Prompt
from model.vocabulary import Vocabulary
from tests.benchmarks.measurement import Measurement

T = TypeVar("T")

CONTROL = ("<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
N_PSEUDO = 10  # as LlavaCode has them


@dataclass(frozen=True)
class Sizes:
    """How much is measured. Lengths are in tokens; `compressions`: prompts before and after, of LlavaCode's tables;
    `span`: positions that compiled passes look at."""

    prompts: tuple[int, ...] = (512, 1024, 2048, 4096)
    compressions: tuple[tuple[int, int], ...] = ((2500, 2010), (2000, 1510), (1500, 1010))
    line_prompt: int = 1500
    line: int = 24
    capacity: int = 4224
    span: int = 2048
    steps: int = 64  # tokens per timing of one token
    rounds: int = 5


FULL = Sizes()
TINY = Sizes(
    prompts=(20, 40),
    compressions=((60, 30),),
    line_prompt=30,
    line=8,
    capacity=128,
    span=512,
    steps=4,
    rounds=1,
)


def _qwen(
    hidden: int, layers: int, heads: int, kv_heads: int, mlp: int, vocab: int, tied: bool
) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=hidden // heads,
        rope_theta=1_000_000.0,
        max_position_embeddings=32_768,
        tie_word_embeddings=tied,
    )


DEFAULT_MODELS = ("0.5B", "1.5B", "7B")
_SLACK = 1.15  # of memory: caches, activations, captured passes
# Qwen2.5-Coder's config.json files.
SHAPES = {
    "0.5B": _qwen(896, 24, 14, 2, 4864, 151_936, True),
    "1.5B": _qwen(1536, 28, 12, 2, 8960, 151_936, True),
    "7B": _qwen(3584, 28, 28, 4, 18_944, 152_064, False),
    "14B": _qwen(5120, 48, 40, 8, 13_824, 152_064, False),
    "tiny": _qwen(64, 2, 4, 2, 96, 600, True),
}


@dataclass(frozen=True)
class Rates:
    """What the device does at best, as measured in this run."""

    bytes_per_s: float  # copied, read and written
    operations_per_s: float  # of a large matrix product


@dataclass(frozen=True, eq=False)
class Subject:
    """One model on one device. `network` is taken apart when it is fused: peers copy it before."""

    name: str
    device: torch.device
    dtype: torch.dtype
    network: Qwen2
    sizes: Sizes
    bytes_per_token: (
        int  # what a step must read at least: every weight once, but of an untied table only a row
    )
    rates: Rates

    @property
    def config(self) -> Qwen2Config:
        return self.network.config

    def measured(
        self, topic: str, case: str, values: dict[str, float], target: str = "", note: str = ""
    ) -> Measurement:
        return Measurement(topic, self.name, 0, case, values, target, note)

    def token(self, case: str, ms: float) -> Measurement:
        """A row about the time of one token."""
        values = {"ms": ms, "floor_ms": self.token_floor_ms, "times_floor": ms / self.token_floor_ms}
        return self.measured("token", case, values)

    @property
    def n_bytes(self) -> int:
        """Of its weights, with what else a run of it takes."""
        return needed_bytes(self.name, self.dtype)

    @property
    def token_floor_ms(self) -> float:
        return self.bytes_per_token / self.rates.bytes_per_s * 1e3

    def prompt_floor_ms(self, n: int) -> float:
        """For n positions: two operations per weight that is read, attention left out."""
        n_operations = 2 * n * self.bytes_per_token / self.dtype.itemsize
        return max(self.token_floor_ms, n_operations / self.rates.operations_per_s * 1e3)


def needed_bytes(name: str, dtype: torch.dtype) -> int:
    return int(n_values(coder_shapes(SHAPES[name])) * dtype.itemsize * _SLACK)


def build(name: str, device: torch.device, dtype: torch.dtype, sizes: Sizes, rates: Rates) -> Subject:
    """Draw the weights on the device, strong enough for a tiny model that greedy decoding does not loop at once."""
    config = SHAPES[name]
    with torch.device("meta"):
        network = Qwen2(config).to(dtype)
    network.to_empty(device=device)
    torch.manual_seed(0)
    std = 0.25 if name == "tiny" else 0.02
    for key, parameter in network.named_parameters():
        torch.nn.init.normal_(parameter, mean=float(key.endswith("norm.weight")), std=std)
    network.model.rotary = Rotary(config.head_dim, config.rope_theta).to(device)
    n_read = sum(parameter.numel() for parameter in network.parameters())
    if not config.tie_word_embeddings:
        n_read -= config.vocab_size * config.hidden_size
    return Subject(
        name, device, dtype, network.eval().requires_grad_(False), sizes, n_read * dtype.itemsize, rates
    )


def vocabulary(size: int) -> Vocabulary:
    """A byte-level tokenizer in which every id is a word of its own; the last ids are the control tokens."""
    letters = itertools.product("etaoinshrdlu", repeat=5)
    words = itertools.chain(sorted(ByteLevel.alphabet()), map("".join, letters))
    n_words = size - len(CONTROL)
    added = [
        {"id": n_words + i, "content": token, "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": False, "special": True}
        for i, token in enumerate(CONTROL)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    raw = {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": dict(zip(words, range(n_words), strict=False)), "merges": []},
    }
    return Vocabulary(raw)


class Prompts:
    """Prompts of random tokens, none of which begins like another: no cache helps."""

    def __init__(self, config: Qwen2Config) -> None:
        self._config = config
        self._draw = np.random.default_rng(1)

    def ids(self, n: int) -> list[int]:
        drawn: list[int] = self._draw.integers(0, self._config.vocab_size - len(CONTROL), n).tolist()
        return drawn

    def text(self, n: int) -> Prompt:
        return Prompt(tuple(self.ids(n)), np.zeros((0, self._config.hidden_size), np.float32))

    def compressed(self, n: int) -> Prompt:
        """Of the same length, with pseudo-tokens in front."""
        pseudo = self._draw.normal(0, 0.02, (N_PSEUDO, self._config.hidden_size)).astype(np.float32)
        return Prompt((PSEUDO,) * N_PSEUDO + tuple(self.ids(n - N_PSEUDO)), pseudo)


class Stopwatch:
    """Times what is done on a device, until it is done."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def timed(self, run: Callable[[], T]) -> tuple[float, T]:
        """Milliseconds, and what came of it."""
        self._wait()
        start = time.perf_counter()
        done = run()
        self._wait()
        return (time.perf_counter() - start) * 1e3, done

    def ms(self, run: Callable[[], object]) -> float:
        return self.timed(run)[0]

    def median_ms(self, run: Callable[[], object], rounds: int) -> float:
        """After two rounds that do not count: one to get ready, one to be captured."""
        return float(np.median([self.ms(run) for _ in range(rounds + 2)][2:]))

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def in_turns(runs: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Medians of what each returns; all take a turn in every round, so that a busy moment hits all alike.

    Two rounds more are run first: one to get ready, one to be captured.
    """
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 2):
        for name, run in runs.items():
            samples[name].append(run())
    return {name: float(np.median(found[2:])) for name, found in samples.items()}


def share_equal(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """How far two outputs agree from the start, 0 to 1."""
    n = next(
        (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs))
    )
    return n / max(1, len(ours))
