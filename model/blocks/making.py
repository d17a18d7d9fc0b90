"""Reads texts behind the sink, one block at a time, in small steps: somebody may type meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from model.blocks.block import FIRST, SPAN, Block, digest_of, n_kept
from model.engines.decoder import Decoder

STEP_SECONDS = 0.02  # between two looks at whether somebody waits
_FEWEST = 8  # rows of a step: fewer cost as much where weights are read for each


class BlockMaker:
    """Makes blocks in a slot of the decoder that nobody else uses. Lives on the decoder's thread."""

    def __init__(
        self,
        decoder: Decoder,
        slot: int,
        sink: int,
        share: float = 1.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`sink`: id of the token that stands first in every prompt with blocks; `share`: of a block's rows that are
        kept, those that surprised the coder most."""
        self._decoder = decoder
        self._slot = slot
        self._share = share
        self._clock = clock
        self._step = _FEWEST  # rows, as many as take about STEP_SECONDS
        self._begun: tuple[int, ...] = ()  # what the slot has the beginning of, behind the sink
        self._surprise: list[float] = []  # nats of each of its tokens, and of the one behind them
        decoder.select(slot)
        decoder.rewind(0)
        self._expected = decoder.extend(decoder.embed([sink]))  # logits behind the sink
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
            self._surprise = [_nats(self._expected, ids[0])]
        while (done := decoder.length - 1) < len(ids):
            if interrupted():
                return None
            start = self._clock()
            self._read(ids, done, min(done + self._step, len(ids)))
            self._learn(decoder.length - 1 - done, self._clock() - start)
        return Block(digest_of(ids), decoder.read(1, 1 + len(ids))[self._kept(len(ids))])

    def _read(self, ids: Sequence[int], start: int, stop: int) -> None:
        vectors = self._decoder.embed(ids[start:stop])
        if self._share >= 1:
            self._decoder.extend(vectors)
            return
        logits = self._decoder.extend(vectors, all_rows=True)
        following = ids[start + 1 : stop + 1]
        self._surprise += [_nats(logits[row], token) for row, token in enumerate(following)]

    def _kept(self, n: int) -> slice | np.ndarray:
        """Of `n` rows the first, which others lean on, and those of the least expected tokens."""
        if self._share >= 1:
            return slice(n)
        surprise = np.array(self._surprise[:n])
        surprise[0] = np.inf
        return np.sort(np.argsort(-surprise, kind="stable")[: n_kept(n, self._share)])

    def _learn(self, n_rows: int, seconds: float) -> None:
        """The next step takes about as long as wanted."""
        if n_rows == self._step:
            wanted = int(n_rows * STEP_SECONDS / max(seconds, 1e-6))
            self._step = min(max(wanted, _FEWEST), 2 * self._step, self._decoder.prefill_piece)


def _nats(logits: np.ndarray, token: int) -> float:
    """-log of a token's chance."""
    highest = logits.max()
    return float(np.log(np.exp(logits - highest).sum()) + highest - logits[token])
