"""Our engines beside other people's, on the same weights and the same prompt, in one run.

A round asks every engine in turn for the same greedy line behind a prompt that none has seen; ratios are of medians
over the rounds, so that what else the machine does hits all alike. Two networks: the tiny embedded one behind real
code, and 42M parameters (12 layers, 512 wide) with random weights behind random tokens; or the one of `--model`.
Resident is what loading and a first line add to the process, in the order of the table. Ours runs as it ships, on as
many threads as measured best for the network's size; the others have THREADS. Who is not installed is left out by name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np

from model.checkpoint.coder import Qwen2Config, coder_shapes, n_values
from model.checkpoint.files import read_headers, read_json
from model.checkpoint.opening import EMBEDDED_FOLDER, Checkpoint, open_checkpoint, weight_files
from model.engines.decoder import Decoder
from model.engines.onnx.engine import open_onnx_engine
from model.settings import EMBEDDED_TINY
from model.vocabulary import Vocabulary
from tests.benchmarks.engine_peers import LlamaCpp, OpenVino, Transformers
from tests.benchmarks.engine_subjects import write_random
from tests.benchmarks.measurement import Measurement

ROUNDS = 5
PROMPT = 512
SHORT_PROMPT = 384  # of a coder that takes a second for it
LINE = 24
THREADS = 2
CAPACITY = 1024


class Engine(Protocol):
    """Writes greedily behind a prompt, with nothing left of the last one."""

    def write(self, ids: list[int], n: int) -> list[int]: ...


@dataclass(frozen=True)
class Timed:
    """Milliseconds of one line."""

    first: float
    line: float

    @property
    def token(self) -> float:
        return (self.line - self.first) / (LINE - 1)


class Ours:
    """One of our decoders, as the generator drives it."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def write(self, ids: list[int], n: int) -> list[int]:
        decoder, written = self._decoder, []
        decoder.rewind(0)
        for first in range(0, len(ids), decoder.prefill_piece):
            logits = decoder.extend(decoder.embed(ids[first : first + decoder.prefill_piece]))
        while True:
            written.append(int(logits.argmax()))
            if len(written) == n:
                return written
            logits = decoder.extend(decoder.embed(written[-1:]))


def measured(model: str = EMBEDDED_TINY) -> Iterator[Measurement]:
    source = Path(__file__).parents[2].joinpath("model", "completer.py").read_text(encoding="utf-8")
    if model != EMBEDDED_TINY:
        checkpoint = open_checkpoint(model)
        ids = Vocabulary.load(checkpoint.folder / "tokenizer.json").encode(source)
        yield from compared(model, checkpoint, lambda number: ids[37 * number :][:SHORT_PROMPT])
        return
    if (EMBEDDED_FOLDER / "config.json").is_file():
        checkpoint = open_checkpoint(EMBEDDED_TINY)
        ids = Vocabulary.load(checkpoint.folder / "tokenizer.json").encode(source)
        yield from compared(EMBEDDED_TINY, checkpoint, lambda number: ids[37 * number :][:PROMPT])
    with TemporaryDirectory(prefix="hef-benchmark-") as folder:
        write_random(Path(folder))
        checkpoint = Checkpoint(
            Path(folder), read_json(Path(folder, "config.json")), read_headers(weight_files(Path(folder))), ""
        )
        yield from compared("42M, random", checkpoint, _random_ids)


def _random_ids(number: int) -> list[int]:
    draw = np.random.default_rng(number)
    return [int(i) for i in draw.integers(0, 16_384, PROMPT)]


def compared(name: str, checkpoint: Checkpoint, prompt: Callable[[int], list[int]]) -> Iterator[Measurement]:
    """One row for each engine; `prompt` makes the prompt of a round."""
    engines, resident, missing = _engines(checkpoint, prompt(0))
    times: dict[str, list[Timed]] = {case: [] for case in engines}
    for number in range(1, ROUNDS + 1):
        for case, engine in engines.items():
            times[case].append(timed(engine, prompt(number)))
    ours = {part: median(getattr(t, part) for t in times[OURS]) for part in ("first", "token", "line")}
    for case, rounds in times.items():
        values = {"resident_mb": resident[case]}
        for part, best in ours.items():
            ms = median(getattr(t, part) for t in rounds)
            values |= {f"{part}_ms": ms, f"{part}_times_ours": ms / best}
        yield Measurement("engines", name, 0, case, values, note=f"{len(prompt(0))} + {LINE} tokens")
    for case, reason in missing.items():
        yield Measurement("engines", name, 0, case, {}, note=f"left out: {reason}")


def timed(engine: Engine, ids: list[int]) -> Timed:
    start = time.perf_counter()
    engine.write(ids, 1)
    first = time.perf_counter() - start
    start = time.perf_counter()
    engine.write(ids, LINE)
    return Timed(first * 1e3, (time.perf_counter() - start) * 1e3)


OURS = "ours, ONNX Runtime int8"
LLAMA = ("llama.cpp q8_0", "llama.cpp, the same blocks")


def _engines(
    checkpoint: Checkpoint, prompt: list[int]
) -> tuple[dict[str, Engine], dict[str, float], dict[str, str]]:
    """What can be measured here, each having written once, the megabytes that it added, and why the rest cannot."""
    config = Qwen2Config.from_json(checkpoint.config)
    n_weights = n_values(coder_shapes(config))
    makers: dict[str, Callable[[], Engine]] = {
        OURS: lambda: Ours(open_onnx_engine("int8", 0, n_weights).decoder(checkpoint, config, CAPACITY, 1)),
        "ours, ONNX Runtime float32": lambda: Ours(
            open_onnx_engine("float32", 0, n_weights).decoder(checkpoint, config, CAPACITY, 1)
        ),
        "ours, torch float32": lambda: Ours(_torch_decoder(checkpoint, config)),
        "transformers float32": lambda: Transformers(checkpoint, THREADS),
        "transformers, prompt lookup": lambda: Transformers(checkpoint, THREADS, lookup=10),
        "OpenVINO bfloat16": lambda: OpenVino(checkpoint, THREADS),
        LLAMA[checkpoint.packing is not None]: lambda: LlamaCpp(checkpoint, THREADS, CAPACITY),
    }
    engines: dict[str, Engine] = {}
    missing: dict[str, str] = {}
    resident: dict[str, float] = {}
    for case, make in makers.items():
        before = _resident_mb()
        try:
            engines[case] = make()
        except ImportError as problem:
            missing[case] = f"{problem.name} is not installed"
            continue
        engines[case].write(prompt, 4)  # what is done once is not what is measured
        resident[case] = _resident_mb() - before
    return engines, resident, missing


def _resident_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _torch_decoder(checkpoint: Checkpoint, config: Qwen2Config) -> Decoder:
    from model.engines.torch.engine import (
        open_torch_engine,  # an extra, which a user of the CPU need not have
    )

    return open_torch_engine("cpu", threads=THREADS).decoder(checkpoint, config, CAPACITY, 1)
