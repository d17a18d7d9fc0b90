"""Our decoder on a GPU, part by part: what a pass costs, what a token and a first token cost, what starting costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product

import numpy as np
import torch

from model.engines.decoder import Decoder
from model.engines.torch.cuda_decoder import CudaDecoder
from model.engines.torch.cuda_graphs import GRID, Capture, CudaCapture, Graphs
from model.engines.torch.cuda_network import (
    FusedWeights,
    Shape,
    StaticTensors,
    add_layer,
    allocate,
    attend_by_products,
    attend_fused,
    forward,
    fuse,
)
from model.engines.torch.decoder import TorchDecoder
from tests.benchmarks.gpu_subjects import Prompts, Rates, Stopwatch, Subject, in_turns
from tests.benchmarks.measurement import Measurement

SPANS = (512, 1024, 2048, 4096)
ATTENTION_WIDTHS = (1, 16, 64, 128, 256, 512)


def device_rates(device: torch.device, dtype: torch.dtype, n: int) -> Rates:
    """Of a copy of 4 n * n numbers and a product of random [n, n]."""
    watch = Stopwatch(device)
    source = torch.randn(n * n * 4, device=device).to(dtype)
    target = torch.empty_like(source)
    left, right = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    copied = watch.median_ms(lambda: target.copy_(source), 10)
    multiplied = watch.median_ms(lambda: left @ right, 10)
    return Rates(2 * source.numel() * dtype.itemsize / copied * 1e3, 2 * n**3 / multiplied * 1e3)


def not_captured(run: Callable[[], None]) -> Callable[[], None]:
    return run


def plain_token(subject: Subject) -> Measurement:
    """The plain decoder, before its network is taken apart."""
    token = _token_ms(TorchDecoder(subject.network, subject.sizes.capacity), subject)
    ms = float(np.median([token() for _ in range(subject.sizes.rounds)]))
    return subject.token("plain torch", ms)


def started(subject: Subject) -> tuple[FusedWeights, CudaDecoder, Measurement]:
    """Fuse, allocate, warm up: what starting costs once the weights are there, and what a new shape costs."""
    watch = Stopwatch(subject.device)
    fuse_ms, weights = watch.timed(lambda: fuse(subject.network))
    before = _allocated(subject.device)
    allocate_ms, decoder = watch.timed(lambda: CudaDecoder(weights, subject.sizes.capacity, n_slots=3))
    first, captured, replayed = (watch.ms(lambda: decoder.extend(decoder.embed([1]))) for _ in range(3))
    decoder.rewind(0)
    values = {
        "fuse_ms": fuse_ms,
        "allocate_ms": allocate_ms,
        "first_pass_ms": first,
        "captured_pass_ms": captured,
        "replayed_pass_ms": replayed,
        "warm_up_ms": watch.ms(decoder.warm_up),
        "static_gb": (_allocated(subject.device) - before) / 1e9,
    }
    return weights, decoder, subject.measured("start", "after the weights", values)


def passes(subject: Subject, weights: FusedWeights) -> Iterator[Measurement]:
    """A pass of each width and span by itself, on the device alone: no token comes or goes."""
    static = allocate(weights, GRID.length(subject.sizes.capacity), GRID.widest, GRID.widest_tree)
    capture = _capture(subject.device)
    for span in SPANS:
        if span <= len(static.position):
            shapes = {f"{width}_rows_ms": Shape(width, span, width > 1) for width in GRID.tree_widths}
            shapes["prefill_512_ms"] = Shape(GRID.widest, span)
            graphs = Graphs(partial(forward, weights, static), capture)
            values = _pass_costs(subject, static, graphs, shapes)
            values["times_floor"] = values["1_rows_ms"] / subject.token_floor_ms
            yield subject.measured("pass", f"{span} positions", values, "1 row <= 1.3x floor")


def compiled_passes(subject: Subject, weights: FusedWeights, span: int) -> Iterator[Measurement]:
    """The same with every layer compiled, and how long that takes: too long to let a user wait, if it is worth it."""
    static = allocate(weights, GRID.length(subject.sizes.capacity), GRID.widest, GRID.widest_tree)
    backend = "inductor" if subject.device.type == "cuda" else "eager"
    layer = torch.compile(add_layer, dynamic=False, fullgraph=True, backend=backend)
    step = partial(forward, weights, static, layer_step=layer)
    for width in (1, 16):
        shape = Shape(width, span, width > 1)
        with torch.inference_mode():
            compile_ms = Stopwatch(subject.device).ms(partial(step, shape))
        values = _pass_costs(
            subject, static, Graphs(step, _capture(subject.device)), {f"{width}_rows_ms": shape}
        )
        yield subject.measured(
            "pass", f"compiled, {span} positions", {**values, "compile_s": compile_ms / 1e3}
        )


def _pass_costs(
    subject: Subject, static: StaticTensors, graphs: Graphs, shapes: Mapping[str, Shape]
) -> dict[str, float]:
    with torch.inference_mode():
        static.past.fill_(next(iter(shapes.values())).span - GRID.widest)
        return {name: _repeated_ms(partial(graphs.run, shape), subject) for name, shape in shapes.items()}


def attention(subject: Subject, weights: FusedWeights) -> Iterator[Measurement]:
    """The two ways to attend, for all layers of a pass: decides `cuda_network.FUSED_ATTENTION_ROWS`."""
    config, like = weights.config, weights.table
    groups = config.num_attention_heads // config.num_key_value_heads

    def drawn(rows: int) -> torch.Tensor:
        shape = (config.num_key_value_heads, rows, config.head_dim)
        return torch.randn(shape, device=like.device).to(like.dtype)

    capture = _capture(subject.device)
    for span, width in product((512, 2048), ATTENTION_WIDTHS):
        arguments = (drawn(groups * width), drawn(span), drawn(span), like.new_zeros(groups * width, span))
        found = {}
        for name, attend in (("fused_ms", attend_fused), ("products_ms", attend_by_products)):
            run = partial(attend, *arguments)
            run()
            once = _repeated_ms(capture(run) if capture else run, subject)
            found[name] = once * config.num_hidden_layers
        yield subject.measured("attention", f"{width} rows, {span} positions", found)


def _repeated_ms(run: Callable[[], object], subject: Subject) -> float:
    """One of many runs with nothing between them."""
    n = subject.sizes.steps

    def repeat() -> None:
        for _ in range(n):
            run()

    return Stopwatch(subject.device).median_ms(repeat, subject.sizes.rounds) / n


def tokens(subject: Subject, decoder: CudaDecoder, weights: FusedWeights) -> Iterator[Measurement]:
    """Milliseconds per token of greedy decoding behind a prompt, with everything that the host does."""
    eager = CudaDecoder(weights, subject.sizes.capacity, capture=not_captured)
    found = in_turns(
        {
            "graphs": _token_ms(decoder, subject),
            "static shapes, no graphs": _token_ms(eager, subject),
        },
        subject.sizes.rounds,
    )
    for case, ms in found.items():
        yield subject.token(case, ms)


def _token_ms(decoder: Decoder, subject: Subject) -> Callable[[], float]:
    watch, prompts, n = Stopwatch(subject.device), Prompts(subject.config), subject.sizes.steps

    def run() -> float:
        decoder.rewind(0)
        token = int(decoder.extend(decoder.embed(prompts.ids(subject.sizes.line_prompt))).argmax())

        def decode() -> None:
            nonlocal token
            for _ in range(n):
                token = int(decoder.extend(decoder.embed([token])).argmax())

        return watch.ms(decode) / n

    return run


def slots(subject: Subject, decoder: CudaDecoder) -> Measurement:
    """Going to another document and back."""
    n, watch = subject.sizes.line_prompt, Stopwatch(subject.device)
    decoder.rewind(0)
    decoder.extend(decoder.embed(Prompts(subject.config).ids(n)))

    def there_and_back() -> None:
        decoder.select(1)
        decoder.select(0)

    ms = watch.median_ms(there_and_back, subject.sizes.rounds) / 2
    return subject.measured("slots", f"select, {n} positions", {"ms": ms})


def _capture(device: torch.device) -> Capture | None:
    return CudaCapture(torch.cuda.Stream(device)) if device.type == "cuda" else None


def _allocated(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
