"""Greedy generation: prefill that reuses the cache, then decode until something says stop.

The generator owns the decoder's cache and remembers what stands at each of its positions. There is one cache: two
documents that take turns pay a prefill at each turn, but memory stays bounded by the decoder's capacity.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from model.decoder import Decoder
from model.prompt import PSEUDO, Prompt
from model.vocabulary import TextStream, Vocabulary

Stopped = Literal["end", "finished", "length", "deadline", "cancelled"]
Clock = Callable[[], float]  # seconds, monotonic

# A position's content: a token id, or the bytes of a pseudo-token's vector.
_Cell = int | bytes

# Prefill goes in pieces of this many positions, so that a cancel is heard within one of them.
PREFILL_PIECE = 128


def never() -> bool:
    return False


def never_finished(text: str) -> bool:
    return False


@dataclass(frozen=True)
class Limits:
    """When to stop, and how to begin. `deadline` is a time of the generator's clock, seconds.

    `begin` is a character that was taken off the prompt: the first token must begin with it, and it is no part of
    the text.
    """

    max_tokens: int
    deadline: float = float("inf")
    finished: Callable[[str], bool] = never_finished
    cancelled: Callable[[], bool] = never
    begin: str = ""


@dataclass(frozen=True)
class Generation:
    """What one call produced, and what it cost."""

    text: str
    token_ids: tuple[int, ...]
    stopped: Stopped
    forward_passes: int
    prompt_tokens: int
    reused_tokens: int
    prefill_ms: float
    decode_ms: float


class Generator:
    """Owns a decoder. `stop_ids` end a completion and are not part of it."""

    def __init__(
        self,
        decoder: Decoder,
        vocabulary: Vocabulary,
        stop_ids: frozenset[int],
        clock: Clock = time.perf_counter,
    ) -> None:
        self._decoder = decoder
        self._vocabulary = vocabulary
        self._stop_ids = stop_ids
        self._never = vocabulary.never(decoder.vocab_size)
        self._not_beginning: dict[str, np.ndarray] = {"": np.zeros(0, dtype=np.int64)}
        self._clock = clock
        self._cells: list[_Cell] = []  # what the decoder's cache holds, position by position

    def generate(self, prompt: Prompt, limits: Limits) -> Generation:
        """Complete a prompt greedily. Raises ValueError when prompt and completion do not fit the cache."""
        if len(prompt) + limits.max_tokens > self._decoder.capacity:
            raise ValueError(
                f"{len(prompt)} prompt tokens and {limits.max_tokens} new ones do not fit {self._decoder.capacity}"
            )
        start = self._clock()
        run = _Run(TextStream(self._vocabulary))
        reused = self._reuse(prompt)
        logits = self._prefill(prompt, reused, limits, run)
        prefilled = self._clock()
        if logits is not None:
            self._decode(logits, limits, run)
        return Generation(
            text=run.stream.text[len(limits.begin) :],
            token_ids=tuple(run.ids),
            stopped=run.stopped,
            forward_passes=run.forward_passes,
            prompt_tokens=len(prompt),
            reused_tokens=reused,
            prefill_ms=(prefilled - start) * 1e3,
            decode_ms=(self._clock() - prefilled) * 1e3,
        )

    def _reuse(self, prompt: Prompt) -> int:
        """Keep the longest part of the cache that the prompt shares; its last position is always computed anew,
        because the logits behind it are needed."""
        shared = 0
        for cached, wanted in zip(self._cells, _cells(prompt)[:-1], strict=False):
            if cached != wanted:
                break
            shared += 1
        self._rewind(shared)
        return shared

    def _prefill(self, prompt: Prompt, done: int, limits: Limits, run: _Run) -> np.ndarray | None:
        """Logits behind the prompt, or None when interrupted; what was computed stays for the next request."""
        cells, logits = _cells(prompt), None
        for first in range(done, len(cells), PREFILL_PIECE):
            if self._interrupted(limits, run):
                return None
            piece = slice(first, first + PREFILL_PIECE)
            logits = self._extend(cells[piece], _vectors(self._decoder, prompt, piece), run)
        return logits

    def _decode(self, logits: np.ndarray, limits: Limits, run: _Run) -> None:
        logits[self._foreign(limits.begin)] = -np.inf
        while True:
            logits[self._never] = -np.inf
            token = int(logits.argmax())
            if token in self._stop_ids:
                run.stopped = "end"
                return
            run.ids.append(token)
            if limits.finished(run.stream.push(token)[len(limits.begin) :]):
                run.stopped = "finished"
                return
            if len(run.ids) >= limits.max_tokens:
                run.stopped = "length"
                return
            if self._interrupted(limits, run):
                return
            logits = self._extend([token], self._decoder.embed([token]), run)

    def _foreign(self, begin: str) -> np.ndarray:
        """Ids that do not begin with a character; worked out once for each of the few there are."""
        if begin not in self._not_beginning:
            self._not_beginning[begin] = self._vocabulary.not_beginning(begin, self._decoder.vocab_size)
        return self._not_beginning[begin]

    def _interrupted(self, limits: Limits, run: _Run) -> bool:
        if limits.cancelled():
            run.stopped = "cancelled"
        elif self._clock() >= limits.deadline:
            run.stopped = "deadline"
        else:
            return False
        return True

    def _extend(self, cells: Sequence[_Cell], vectors: np.ndarray, run: _Run) -> np.ndarray:
        logits = self._decoder.extend(vectors)
        self._cells.extend(cells)
        run.forward_passes += 1
        return logits

    def _rewind(self, length: int) -> None:
        self._decoder.rewind(length)
        del self._cells[length:]


@dataclass
class _Run:
    """Where one call stands."""

    stream: TextStream
    stopped: Stopped = "end"
    forward_passes: int = 0

    def __post_init__(self) -> None:
        self.ids: list[int] = []


def _cells(prompt: Prompt) -> list[_Cell]:
    vectors = iter(prompt.pseudo)
    return [next(vectors).tobytes() if token == PSEUDO else token for token in prompt.ids]


def _vectors(decoder: Decoder, prompt: Prompt, piece: slice) -> np.ndarray:
    """Embeddings of a piece of the prompt, float32 [n, hidden], with the pseudo-tokens in their slots."""
    ids = np.array(prompt.ids[piece])
    slots = ids == PSEUDO
    first = prompt.ids[: piece.start].count(PSEUDO)
    vectors = decoder.embed(np.where(slots, 0, ids).tolist())
    vectors[slots] = prompt.pseudo[first : first + int(slots.sum())]
    return vectors
