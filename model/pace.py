"""How fast this machine computes with a coder: one timed pass of the shapes that a completion has."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.engines.decoder import Decoder

# Of the mean line of Python with SmolLM2's tokenizer (starlette 0.41: 12.0). Drafts save some of the passes.
LINE_TOKENS = 12
_PASSES = 2  # over the prompt: the first one also warms up
_TOKENS = 6  # timed, one by one
_ENOUGH_SECONDS = 3.0  # of measuring: what is so slow need not be known exactly


@dataclass(frozen=True)
class Pace:
    """`prompt_ms`: of `prompt_tokens`, as many as are read at a place that is new; `token_ms`: of each that is written,
    without a draft."""

    prompt_tokens: int
    prompt_ms: float
    token_ms: float

    @property
    def line_ms(self) -> float:
        """Of a whole line at a new place."""
        return self.prompt_ms + LINE_TOKENS * self.token_ms


def measure_pace(
    decoder: Decoder, prompt_tokens: int, clock: Callable[[], float] = time.perf_counter
) -> Pace:
    """Read a prompt and write some tokens in slot 0. Raises ValueError where that is not empty; afterward it is.

    Of each piece the least time counts: what else the machine did meanwhile says nothing about it.
    """
    decoder.select(0)
    if decoder.length:
        raise ValueError("a pace is measured before anything is completed")
    ids = [7 * i % decoder.vocab_size for i in range(min(prompt_tokens, decoder.capacity - _TOKENS))]
    pieces = [ids[at : at + decoder.prefill_piece] for at in range(0, len(ids), decoder.prefill_piece)]
    began = clock()
    passes: list[list[float]] = []
    while len(passes) < _PASSES and (not passes or clock() - began < _ENOUGH_SECONDS):
        decoder.rewind(0)
        passes.append(_timed(decoder, pieces, clock, began + _ENOUGH_SECONDS))
    least = [min(times) for times in zip(*passes, strict=False)]
    tokens = _timed(decoder, [[token] for token in ids[:_TOKENS]], clock, clock() + _ENOUGH_SECONDS)
    decoder.rewind(0)
    share = sum(map(len, pieces[: len(least)])) / prompt_tokens
    return Pace(prompt_tokens, sum(least) / share * 1e3, min(tokens) * 1e3)


def _timed(
    decoder: Decoder, pieces: Sequence[Sequence[int]], clock: Callable[[], float], until: float
) -> list[float]:
    """Seconds of each piece, of at least one, and of no more once it is `until`."""
    seconds: list[float] = []
    for piece in pieces:
        if seconds and clock() > until:
            break
        start = clock()
        decoder.extend(decoder.embed(piece))
        seconds.append(clock() - start)
    return seconds
