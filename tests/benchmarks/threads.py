"""`python -m tests.benchmarks.threads [--model NAME] [--threads N,...]`: how many threads are fastest on the CPU.

In a round each number of threads in turn writes a greedy line behind the same prompt; told are medians over the rounds
and their ratio to the first number's. On a machine that does nothing else: a second thread is of no use on a busy one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from model.checkpoint.coder import Qwen2Config, coder_shapes, n_values
from model.checkpoint.opening import open_checkpoint
from model.engines.onnx.engine import open_onnx_engine
from model.settings import EMBEDDED
from model.vocabulary import Vocabulary
from tests.benchmarks.engines import CAPACITY, LINE, SHORT_PROMPT, Ours, Timed, timed
from tests.benchmarks.measurement import Measurement, heading, json_line, table, this_machine

ROUNDS = 7


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.threads", description=__doc__)
    parser.add_argument("--model", default=EMBEDDED, help="'embedded', a folder or a hub id")
    parser.add_argument("--threads", default="1,2", metavar="N,...")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true", help="one JSON line per row")
    options = parser.parse_args(argv)
    machine = this_machine()
    if not options.json:
        print(heading(machine))
    rows = measured(options.model, [int(n) for n in options.threads.split(",")], options.rounds)
    for line in (json_line(row, machine) for row in rows) if options.json else table(rows):
        print(line, flush=True)
    return 0


def measured(model: str, threads: Sequence[int], rounds: int) -> Iterator[Measurement]:
    checkpoint = open_checkpoint(model)
    config = Qwen2Config.from_json(checkpoint.config)
    n_weights = n_values(coder_shapes(config))
    source = Path(__file__).parents[2].joinpath("model", "completer.py").read_text(encoding="utf-8")
    ids = Vocabulary.load(checkpoint.folder / "tokenizer.json").encode(source)[:SHORT_PROMPT]
    engines = {
        n: Ours(open_onnx_engine("int8", n, n_weights).decoder(checkpoint, config, CAPACITY, 1))
        for n in threads
    }
    done: dict[int, list[Timed]] = {n: [] for n in threads}
    for _ in range(rounds):
        for n, engine in engines.items():
            done[n].append(timed(engine, ids))
    base = _medians(done[threads[0]])
    for n, samples in done.items():
        values = _medians(samples)
        values |= {f"{name.removesuffix('_ms')}_ratio": values[name] / base[name] for name in base}
        note = f"{len(ids)} tokens, then {LINE}"
        yield Measurement("threads", f"{n_weights / 1e6:.0f}M", 0, f"{n} threads", values, note=note)


def _medians(samples: Sequence[Timed]) -> dict[str, float]:
    return {
        "first_ms": median(one.first for one in samples),
        "token_ms": median(one.token for one in samples),
    }


if __name__ == "__main__":
    sys.exit(main())
