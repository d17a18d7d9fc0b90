"""`python -m tests.benchmarks.gpu [--models 0.5B,1.5B,7B] [--only TOPIC,...] [--json FILE]`: what a GPU makes of it.

Random weights of Qwen2.5-Coder's shapes, drawn on the device in bfloat16. The floor of a token is the time in which the
device copies as many bytes as there are weights, measured in the same run. Needs torch and, for the comparison,
transformers; nothing else has to be installed. `--tiny` runs every line of it on the CPU in seconds.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

import torch

from model.engines.torch.cuda_network import FusedWeights
from model.generator import Generator
from tests.benchmarks import gpu_decoding, gpu_generating
from tests.benchmarks.gpu_peers import Peer, peer_rows
from tests.benchmarks.gpu_subjects import (
    DEFAULT_MODELS,
    FULL,
    SHAPES,
    TINY,
    Prompts,
    Subject,
    build,
    needed_bytes,
    vocabulary,
)
from tests.benchmarks.measurement import Machine, Measurement, heading, json_line, row, this_machine

TOPICS = ("pass", "attention", "token", "slots", "first token", "compression", "line")


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if not options.tiny and not torch.cuda.is_available():
        print("torch finds no CUDA device here; --tiny runs this on the CPU", file=sys.stderr)
        return 1
    device = torch.device("cpu" if options.tiny else "cuda")
    dtype = torch.float32 if options.tiny else torch.bfloat16
    rates = gpu_decoding.device_rates(device, dtype, 64 if options.tiny else 8192)
    machine = _machine(device)
    print(heading(machine))
    print(
        f"copies {rates.bytes_per_s / 1e12:.3g} TB/s, multiplies {rates.operations_per_s / 1e12:.3g} TFLOP/s\n",
        flush=True,
    )
    with open(options.json, "a", encoding="utf-8") as lines:
        for name in ["tiny"] if options.tiny else options.models.split(","):
            if (needed := needed_bytes(name, dtype)) > (free := _free_bytes(device)):
                print(_no_room(name, needed, free), flush=True)
                continue
            subject = build(name, device, dtype, TINY if options.tiny else FULL, rates)
            for measurement in _measured(subject, options.only, peers=_has_peers(subject, options)):
                print(_line(measurement), flush=True)
                print(json_line(measurement, machine), file=lines, flush=True)
            del subject
            gc.collect()
            torch.cuda.empty_cache()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.gpu", description="Time decoding on a GPU."
    )
    shapes = ",".join(name for name in SHAPES if name != "tiny")
    parser.add_argument("--models", default=",".join(DEFAULT_MODELS), help=f"of {shapes}")
    parser.add_argument(
        "--only", type=_topics, default=TOPICS, metavar="TOPIC,...", help=f"of {','.join(TOPICS)}"
    )
    parser.add_argument("--no-peers", action="store_true", help="without transformers")
    parser.add_argument("--tiny", action="store_true", help="a tiny model on the CPU: does every line run?")
    parser.add_argument("--json", metavar="FILE", default=os.devnull, help="append one JSON line per row")
    return parser


def _topics(text: str) -> tuple[str, ...]:
    """Raises argparse.ArgumentTypeError on an unknown one."""
    if unknown := sorted(set(names := text.split(",")).difference(TOPICS)):
        raise argparse.ArgumentTypeError(f"no topic {unknown[0]!r}: of {','.join(TOPICS)}")
    return tuple(names)


def _measured(subject: Subject, only: Collection[str], *, peers: bool) -> Iterator[Measurement]:
    """Peers first: they copy the network, which is taken apart for our decoder."""
    ids, n = Prompts(subject.config).ids(subject.sizes.line_prompt), subject.sizes.steps
    theirs: list[int] = []
    if peers:
        peer = Peer(subject)
        theirs = peer.generate(ids, n)
        yield from peer_rows(subject, peer, only)
        del peer
    if "token" in only:
        yield gpu_decoding.plain_token(subject)
    weights, decoder, start = gpu_decoding.started(subject)
    yield start
    generator = Generator(decoder, vocabulary(subject.config.vocab_size), stop_ids=frozenset())
    if theirs:
        yield gpu_generating.agreement(subject, generator, ids, theirs)
    topics: dict[str, Callable[[], Iterator[Measurement]]] = {
        "pass": lambda: _passes(subject, weights),
        "attention": lambda: gpu_decoding.attention(subject, weights),
        "token": lambda: gpu_decoding.tokens(subject, decoder, weights),
        "slots": lambda: iter([gpu_decoding.slots(subject, decoder)]),
        "first token": lambda: gpu_generating.first_tokens(subject, generator),
        "compression": lambda: gpu_generating.compressions(subject, generator),
        "line": lambda: gpu_generating.lines(subject, generator),
    }
    for topic in TOPICS:
        if topic in only:
            yield from topics[topic]()


def _passes(subject: Subject, weights: FusedWeights) -> Iterator[Measurement]:
    yield from gpu_decoding.passes(subject, weights)
    yield from gpu_decoding.compiled_passes(subject, weights, subject.sizes.span)


def _has_peers(subject: Subject, options: argparse.Namespace) -> bool:
    """Whether transformers is measured: it has its own copy of the weights, beside the subject's."""
    if options.no_peers:
        return False
    if (free := _free_bytes(subject.device)) >= subject.n_bytes:
        return True
    print(_no_room(f"{subject.name} of transformers", subject.n_bytes, free), flush=True)
    return False


def _free_bytes(device: torch.device) -> float:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf


def _no_room(name: str, needed: float, free: float) -> str:
    return f"{name:>5} left out: it needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free"


def _line(measurement: Measurement) -> str:
    return f"{measurement.repository:>5} {measurement.benchmark:<12}{row(measurement)}"


def _machine(device: torch.device) -> Machine:
    machine = this_machine()
    return (
        replace(machine, processor=torch.cuda.get_device_name(device)) if device.type == "cuda" else machine
    )


if __name__ == "__main__":
    sys.exit(main())
