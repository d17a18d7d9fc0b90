"""`python -m tests.benchmarks.gpu_times`: the times that data sheets and shapes say, as tables of Markdown.

`GPU.md` has them between two marks; `--write` brings it up to date, and a test compares. Nothing is measured here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from model.pace import Pace
from model.reading import ON_CPU, ON_CUDA
from model.settings import DEFAULT_MODEL
from tests.benchmarks.gpu_arithmetic import (
    A100,
    CARDS,
    COMPUTED,
    PUBLISHED_MS,
    READ,
    TRAINED,
    Card,
    Shapes,
    Work,
)
from tests.benchmarks.gpu_runs import AS_PUBLISHED, FROZEN, LLAVACODE, benchmark_work, evaluation_work
from tests.benchmarks.gpu_subjects import DEFAULT_MODELS, FULL, SHAPES

PAGE = Path(__file__).with_name("GPU.md")
BEGIN, END = "<!-- times: `python -m tests.benchmarks.gpu_times --write` -->", "<!-- times end -->"
CODERS = {name: Shapes(SHAPES[name]) for name in (*DEFAULT_MODELS, "14B")}
PROMPTS = (ON_CPU.context_tokens, ON_CUDA.context_tokens, 2 * ON_CUDA.context_tokens)


def pace_on(card: Card, coder: Shapes, prompt: int) -> Pace:
    """As `model.pace` would measure it, were the shares right."""
    token = coder.token(prompt).seconds(card)
    return Pace(prompt, 1e3 * coder.first_token(prompt).seconds(card), 1e3 * token)


def tables() -> str:
    """All of them, with what they take for granted."""
    return "\n\n".join(
        "\n".join(part) for part in (_assumptions(), _runs(), _paces(), _llavacode(), [_against_theirs()])
    )


def _assumptions() -> Iterator[str]:
    yield f"Taken for granted: {COMPUTED:.0%} of a card's dense bfloat16 operations in a prompt, {TRAINED:.0%} in"
    yield f"training; {READ:.0%} of its bytes per second for a token; two operations per weight and token, four per"
    yield "position that attention sees, layer and width; bfloat16 weights, keys and values. Of the data sheets:"
    yield "; ".join(map(_sheet, CARDS)) + "."


def _sheet(card: Card) -> str:
    return (
        f"{card.name} {card.operations_per_s / 1e12:,.0f} TFLOP/s, {card.bytes_per_s / 1e9:,.0f} GB/s, "
        f"{card.n_bytes / 1e9:.0f} GB"
    )


def _runs() -> Iterator[str]:
    """Each command, by coder and card."""
    coders = {name: CODERS[name] for name in DEFAULT_MODELS}

    def seconds_of(work: Callable[[Shapes], Iterator[Work]]) -> Callable[[Shapes, Card], float]:
        return lambda coder, card: sum(one.seconds(card) for one in work(coder))

    runs = {
        "serving benchmark": seconds_of(benchmark_work),
        "evaluation, 2,238 tasks in five modes, at most": seconds_of(evaluation_work),
        f"adapter, `frozen.toml`, each {FROZEN.rows:,} rows": FROZEN.seconds,
        f"adapter, `llavacode.toml`, all {LLAVACODE.rows:,} rows": LLAVACODE.seconds,
        "the same with the paper's encoder": AS_PUBLISHED.seconds,
    }
    yield from _head(["run", "card", *coders], right=len(coders))
    for name, seconds in runs.items():
        for card in CARDS:
            times = [_time(seconds(coder, card)) for coder in coders.values()]
            yield _row([name, card.name, *times])


def _paces() -> Iterator[str]:
    """A cold place and a line, by the longest prompt."""
    columns = [f"first of {n:,}" for n in PROMPTS]
    lines = [f"+ a line, {n:,}" for n in PROMPTS[1:]]
    yield from _head(
        ["coder", "card", "weights, GB", "KV of a token, KB", "all, GB", "a token", *columns, *lines],
        right=4 + len(columns) + len(lines),
    )
    for size, coder in CODERS.items():
        for card in CARDS:
            paces = [pace_on(card, coder, n) for n in PROMPTS]
            sizes = [2 * coder.n_weights / 1e9, coder.row_bytes / 1e3, _held_bytes(coder) / 1e9]
            times = [paces[1].token_ms, *(pace.prompt_ms for pace in paces)]
            times += [pace.begin_ms + pace.line_ms for pace in paces[1:]]
            cells = map(_ms, times) if _fits(coder, card) else ["-"] * len(times)
            yield _row([size, card.name, *(f"{size:.1f}" for size in sizes), *cells])


def _llavacode() -> Iterator[str]:
    """Tables 5 and 6: ms of the full text and of ten pseudo-tokens."""
    measured = [f"{A100.name}, transformers (theirs)", f"{A100.name}, vLLM (theirs)"]
    cards = (A100, *CARDS)
    yield from _head(["prompt", "coder", *measured, *(card.name for card in cards)], right=2 + len(cards))
    for before, after in FULL.compressions:
        for size in ("1.5B", "7B", "14B"):
            theirs = zip(PUBLISHED_MS[size, before], PUBLISHED_MS[size, after], strict=True)
            cells = [f"{text:.0f} -> {pseudo:.0f}" for text, pseudo in theirs]
            for card in cards:
                text, pseudo = (_ms(pace_on(card, CODERS[size], n).prompt_ms) for n in (before, after))
                cells.append(f"{text} -> {pseudo}" if _fits(CODERS[size], card) else "-")
            yield _row([f"{before:,} -> {after:,}", size, *cells])


def _against_theirs() -> str:
    """How far the arithmetic is from what was measured, by coder: the shares are no more exact than that."""
    said = []
    for size in ("1.5B", "7B", "14B"):
        theirs = {n: both for (coder, n), both in PUBLISHED_MS.items() if coder == size}
        ours = {n: pace_on(A100, CODERS[size], n).prompt_ms for n in theirs}
        to_vllm, to_transformers = ([ours[n] / theirs[n][i] for n in theirs] for i in (1, 0))
        said.append(f"{size} {_range(to_vllm)} ({_range(to_transformers)})")
    return "Arithmetic for the A100, to what vLLM (transformers) took there: " + ", ".join(said) + "."


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def _held_bytes(coder: Shapes) -> float:
    """While it serves with what it reads on CUDA by itself."""
    return coder.needed_bytes(ON_CUDA.context_tokens, DEFAULT_MODEL.max_tokens, DEFAULT_MODEL.recent_places)


def _fits(coder: Shapes, card: Card) -> bool:
    return _held_bytes(coder) < card.n_bytes


def _head(names: Sequence[str], right: int) -> Iterator[str]:
    yield _row(names)
    yield _row(["---"] * (len(names) - right) + ["---:"] * right)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _ms(ms: float) -> str:
    return f"{ms:.0f}" if ms >= 10 else f"{ms:.1f}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def page_with_tables(text: str) -> str:
    """The page with these tables between its marks. Raises ValueError where it lacks them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu_times", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    if parser.parse_args(arguments).write:
        PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(tables())
    return 0


if __name__ == "__main__":
    sys.exit(main())
