"""Reads texts behind the sink, one block at a time, in small steps: somebody may type meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from model.blocks.block import FIRST, SPAN, Block, digest_of
from model.engines.decoder import Decoder

STEP_SECONDS = 0.02  # between two looks at whether somebody waits
_FEWEST = 8  # rows of a step: fewer cost as much where weights are read for each


class BlockMaker:
    """Makes blocks in a slot of the decoder that nobody else uses. Lives on the decoder's thread."""

    def __init__(
        self, decoder: Decoder, slot: int, sink: int, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """`sink`: id of the token that stands first in every prompt with blocks."""
        self._decoder = decoder
        self._slot = slot
        self._clock = clock
        self._step = _FEWEST  # rows, as many as take about STEP_SECONDS
        self._begun: tuple[int, ...] = ()  # what the slot has the beginning of, behind the sink
        decoder.select(slot)
        decoder.rewind(0)
        decoder.extend(decoder.embed([sink]))
        self.sink = Block(digest_of([sink]), decoder.read(0, 1))

    def make(self, ids: Sequence[int], interrupted: Callable[[], bool]) -> Block | None:
        """The block of a text of at most SPAN tokens; None where it was interrupted, and goes on from there when it is
        asked for next. Raises ValueError on a longer text."""
        if not 0 < len(ids) <= SPAN:
            raise ValueError(f"a block has 1 to {SPAN} tokens, not {len(ids)}")
        decoder = self._decoder
        decoder.select(self._slot)
        if self._begun != tuple(ids):
            decoder.rewind(0)
            decoder.place(self.sink.rows, FIRST - len(ids))
            self._begun = tuple(ids)
        while (done := decoder.length - 1) < len(ids):
            if interrupted():
                return None
            piece, start = ids[done : done + self._step], self._clock()
            decoder.extend(decoder.embed(piece))
            self._learn(len(piece), self._clock() - start)
        return Block(digest_of(ids), decoder.read(1, 1 + len(ids)))

    def _learn(self, n_rows: int, seconds: float) -> None:
        """The next step takes about as long as wanted."""
        if n_rows == self._step:
            wanted = int(n_rows * STEP_SECONDS / max(seconds, 1e-6))
            self._step = min(max(wanted, _FEWEST), 2 * self._step, self._decoder.prefill_piece)
