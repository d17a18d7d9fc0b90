"""`python -m tests.benchmarks.context_peers`: the time to a first line by what is read of a repository, on one engine.

At the shapes of Qwen2.5-Coder-0.5B with random weights, on the CPU: the window of the file alone, retrieved text in
front of it, RepoCoder (two rounds, the first one's line is thrown away), definitions by the import graph, and blocks
that were made before. All context is as long, so that text by whatever retrieval costs the same prefill; the retrieval
itself is left out of every row. A round asks for each in turn behind tokens that none has seen; ratios are of medians.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from model.blocks.block import FIRST, SPAN, Block
from model.blocks.making import BlockMaker
from model.checkpoint.coder import Qwen2Config, coder_shapes, n_values
from model.checkpoint.files import read_headers, read_json
from model.checkpoint.opening import Checkpoint, weight_files
from model.context import LATE_TOKENS
from model.engines.decoder import Decoder
from model.engines.onnx.engine import open_onnx_engine
from model.request import never
from tests.benchmarks.engine_subjects import SHAPE_05B, write_random
from tests.benchmarks.measurement import Measurement, heading, json_line, table, this_machine

BLOCKS = "blocks, made before"
TARGET = ">= 13x against RepoCoder and the import graph"
_SINK = 0
_ANSWER, _MAKING = 0, 1  # slots


@dataclass(frozen=True)
class Lengths:
    """Tokens of the context, of the file's window and of the line, and how often each is asked for."""

    context: int = 2048
    window: int = 448
    line: int = 16
    rounds: int = 3


@dataclass(frozen=True)
class _Round:
    """What is read in one round: ids, and blocks of as many of them as the context has."""

    context: Sequence[int]
    again: Sequence[int]  # what a second retrieval finds
    window: Sequence[int]
    sink: Block
    blocks: Sequence[Block]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.context_peers", description=__doc__)
    for name in ("context", "window", "line", "rounds"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Lengths, name), metavar="N")
    parser.add_argument("--json", action="store_true", help="one JSON line per row")
    options = parser.parse_args(argv)
    lengths = Lengths(options.context, options.window, options.line, options.rounds)
    machine, rows = this_machine(), compared(SHAPE_05B, "0.5B shapes, random weights", lengths)
    if not options.json:
        print(heading(machine))
    for line in (json_line(row, machine) for row in rows) if options.json else table(rows):
        print(line, flush=True)
    return 0


def compared(shape: Mapping[str, object], name: str, lengths: Lengths) -> Iterator[Measurement]:
    """One row for each way to read a repository."""
    with TemporaryDirectory(prefix="hef-benchmark-") as folder:
        decoder = _decoder(Path(folder), shape, lengths)
        times: dict[str, list[float]] = {case: [] for case in CASES}
        making: list[float] = []
        for number in range(lengths.rounds + 1):  # the first is not counted: what is done once is done in it
            start = time.perf_counter()
            read = _round(decoder, number, lengths)
            making.append((time.perf_counter() - start) * 1e3)
            for case, answer in CASES.items():
                start = time.perf_counter()
                answer(decoder, read, lengths.line)
                times[case].append((time.perf_counter() - start) * 1e3)
    medians = {case: median(found[1:]) for case, found in times.items()}
    note = f"{lengths.rounds} rounds: context {lengths.context}, window {lengths.window}, line {lengths.line} tokens"
    for case, ms in medians.items():
        values = {
            "ms": ms,
            "times_none": ms / medians["none"],
            "times_blocks": ms / medians[BLOCKS],
        }
        yield Measurement("first line", name, 0, case, values, TARGET if case == BLOCKS else "", note)
    values = {"ms": median(making[1:])}
    yield Measurement("first line", name, 0, "making the blocks", values, note="ahead, in no row above")


def _decoder(folder: Path, shape: Mapping[str, object], lengths: Lengths) -> Decoder:
    write_random(folder, shape=shape)
    checkpoint = Checkpoint(folder, read_json(folder / "config.json"), read_headers(weight_files(folder)), "")
    config = Qwen2Config.from_json(shape)
    capacity = max(FIRST, 1 + lengths.context) + lengths.window + lengths.line
    return open_onnx_engine("int8", 0, n_values(coder_shapes(config))).decoder(
        checkpoint, config, capacity, 2
    )


def _round(decoder: Decoder, number: int, lengths: Lengths) -> _Round:
    draw = np.random.default_rng(number)
    sizes = (lengths.context, lengths.context, lengths.window)
    context, again, window = (draw.integers(1, decoder.vocab_size, n).tolist() for n in sizes)
    maker = BlockMaker(decoder, _MAKING, _SINK)
    made = [maker.make(context[first : first + SPAN], never) for first in range(0, len(context), SPAN)]
    return _Round(context, again, window, maker.sink, [block for block in made if block is not None])


def _alone(decoder: Decoder, read: _Round, n: int) -> None:
    _write(decoder, read.window, n)


def _behind_text(decoder: Decoder, read: _Round, n: int) -> None:
    _write(decoder, [*read.context, *read.window], n)


def _in_two_rounds(decoder: Decoder, read: _Round, n: int) -> None:
    for context in (read.context, read.again):
        _write(decoder, [*context, *read.window], n)


def _behind_blocks(decoder: Decoder, read: _Round, n: int) -> None:
    _write(decoder, read.window, n, [read.sink], read.blocks)


CASES: Mapping[str, Callable[[Decoder, _Round, int], None]] = {
    "none": _alone,
    "snippets": _behind_text,
    "RepoCoder, 2 rounds": _in_two_rounds,
    "import graph": _behind_text,
    BLOCKS: _behind_blocks,
}


def _write(
    decoder: Decoder, ids: Sequence[int], n: int, sink: Sequence[Block] = (), blocks: Sequence[Block] = ()
) -> None:
    """n tokens behind ids, the last of which stand behind the blocks, from an empty cache."""
    decoder.select(_ANSWER)
    decoder.rewind(0)
    n_early = max(0, len(ids) - LATE_TOKENS) if blocks else 0
    for block in sink:
        decoder.place(block.rows, FIRST)
    _read(decoder, ids[:n_early])
    for block in blocks:
        decoder.place(block.rows, FIRST + n_early)
    logits = _read(decoder, ids[n_early:])
    for _ in range(n - 1):
        logits = decoder.extend(decoder.embed([int(logits.argmax())]))


def _read(decoder: Decoder, ids: Sequence[int]) -> np.ndarray:
    """Logits behind the last, where there are any ids."""
    logits = np.zeros(0, np.float32)
    for first in range(0, len(ids), decoder.prefill_piece):
        logits = decoder.extend(decoder.embed(ids[first : first + decoder.prefill_piece]))
    return logits


if __name__ == "__main__":
    sys.exit(main())
