"""How fast this machine computes with a coder: one timed pass of the shapes that a completion has."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.engines.decoder import Decoder

Clock = Callable[[], float]  # seconds

# Of the mean line of Python with SmolLM2's tokenizer (starlette 0.41: 12.0). Drafts save some of the passes.
LINE_TOKENS = 12
_PASSES = 2  # over the prompt: the first one also warms up
_TOKENS = 6  # timed together: some clocks tick every 16 ms
_ENOUGH_SECONDS = 5.0  # of measuring: what is so slow need not be known exactly


@dataclass(frozen=True)
class Pace:
    """`prompt_ms`: of `prompt_tokens`, as many as are read at a place that is new; `token_ms`: of each that is written,
    without a draft."""

    prompt_tokens: int
    prompt_ms: float
    token_ms: float

    @property
    def begin_ms(self) -> float:
        """Until something is written at a new place. Where somebody goes on typing, the prompt is there but for a few
        tokens."""
        return self.prompt_ms + self.token_ms

    @property
    def line_ms(self) -> float:
        """Of a whole line where the prompt is there."""
        return LINE_TOKENS * self.token_ms

    @property
    def needs_ms(self) -> int:
        """The shortest deadline, whole ms, with which such a coder is of use: each fits, the beginning of an answer
        at a new place, and a line where the prompt is there."""
        return math.ceil(max(self.begin_ms, self.line_ms))


def measure_pace(
    decoder: Decoder, prompt_tokens: int, clock: Clock = time.thread_time, wall: Clock = time.perf_counter
) -> Pace:
    """Read a prompt and write some tokens in slot 0. Raises ValueError where that is not empty; afterward it is.

    `clock`: that of this thread, which computes as long as those that help it: a machine that is busy now (with the
    first index, with a build) is not a slow one. Of each piece the least time counts. `wall` says when it is enough.
    """
    decoder.select(0)
    if decoder.length:
        raise ValueError("a pace is measured before anything is completed")
    ids = [7 * i % decoder.vocab_size for i in range(min(prompt_tokens, decoder.capacity - _TOKENS))]
    pieces = [ids[at : at + decoder.prefill_piece] for at in range(0, len(ids), decoder.prefill_piece)]
    until = wall() + _ENOUGH_SECONDS
    passes: list[list[float]] = []
    while len(passes) < _PASSES and (not passes or wall() < until):
        decoder.rewind(0)
        passes.append(_timed(decoder, pieces, clock, lambda: wall() >= until))
    least = [min(times) for times in zip(*passes, strict=False)]
    tokens = _timed(decoder, [[token] for token in ids[:_TOKENS]], clock, lambda: wall() >= until + 1)
    decoder.rewind(0)
    share = sum(map(len, pieces[: len(least)])) / prompt_tokens
    return Pace(prompt_tokens, sum(least) / share * 1e3, sum(tokens) / len(tokens) * 1e3)


def _timed(
    decoder: Decoder, pieces: Sequence[Sequence[int]], clock: Clock, is_enough: Callable[[], bool]
) -> list[float]:
    """Seconds of each piece; of the first one only where that is enough."""
    seconds: list[float] = []
    for piece in pieces:
        if seconds and is_enough():
            break
        start = clock()
        decoder.extend(decoder.embed(piece))
        seconds.append(clock() - start)
    return seconds
