"""Greedy generation: prefill that reuses the cache, then passes of one token or of a whole draft until something stops.

With drafts on and off the tokens are the same: each one is the greedy choice behind those before it, and a draft only
decides how many of the choices one forward pass can make.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from model.cache_slots import CacheSlots, Cell, prompt_cells
from model.drafts.tree import NO_DRAFT, Draft, accepted, tree_behind
from model.engines.decoder import Decoder, check_room
from model.prompt import Prompt
from model.request import Mixer, Stopped, never, never_finished
from model.vocabulary import TextStream, Vocabulary

Clock = Callable[[], float]  # seconds, monotonic

# Of a prompt at most so many positions go through a pass together with a draft, which wants logits of every row.
DRAFT_CHAIN = 8
# Of a prompt that nobody has asked for yet at most so many go through a pass: who asks meanwhile waits for one.
AHEAD_PIECE = 16


class Drafting(Protocol):
    """Proposes what may come next, and hears how it went."""

    def draft(self, context: Sequence[int], n_chain: int, banned: np.ndarray | None) -> Draft:
        """What may follow a context (ids of the document before the cursor and of what was written).

        It goes through a pass with `n_chain` rows that are computed in any case. `banned`: bool [vocab], what cannot
        come first.
        """

    def verified(self, n_rows: int, seconds: float) -> None:
        """A pass that gave logits of `n_rows` rows took so long, with the drafting before it."""


@dataclass(frozen=True)
class StopLimits:
    """When to stop, and how to begin. `deadline` is a time of the generator's clock, seconds.

    `begin` was taken off the prompt: the first token must begin with it, and it is no part of the text.
    """

    max_tokens: int
    deadline: float = float("inf")
    finished: Callable[[str], bool] = never_finished
    cancelled: Callable[[], bool] = never
    begin: str = ""


@dataclass(frozen=True)
class Generation:
    """What one call produced, and what it cost.

    `forward_passes` are those that chose tokens; what computes a long prompt before the first of them is prefill.
    `drafted` and `accepted` count the tokens of drafts. `log_chances`: of each token, and of the end where it was
    chosen, among all that could be; 0 of what was planned.
    """

    text: str
    token_ids: tuple[int, ...]
    stopped: Stopped
    forward_passes: int
    prompt_tokens: int
    reused_tokens: int
    prefill_ms: float
    decode_ms: float
    drafted: int = 0
    accepted: int = 0
    log_chances: tuple[float, ...] = ()


class Generates(Protocol):
    """Completes prompts: `Generator`, or a server elsewhere (`engines.remote`). Raises what `generate` there does."""

    def generate(
        self, prompt: Prompt, limits: StopLimits, drafter: Drafting | None = None, mixer: Mixer | None = None
    ) -> Generation: ...
    def prefill(self, prompt: Prompt, stopped: Callable[[], bool]) -> bool: ...
    def logits(self, prompt: Prompt, ids: Sequence[int]) -> np.ndarray: ...


class Generator:
    """Owns a decoder. `stop_ids` end a completion and are not part of it; `weighs`: whether chances are worked out."""

    def __init__(
        self,
        decoder: Decoder,
        vocabulary: Vocabulary,
        stop_ids: frozenset[int],
        clock: Clock = time.perf_counter,
        *,
        weighs: bool = False,
        n_slots: int | None = None,
    ) -> None:
        """`n_slots`: of the decoder's, the first so many; None: all."""
        self._decoder = decoder
        self._slots = CacheSlots(decoder, n_slots)
        self._vocabulary = vocabulary
        self._stop_ids = stop_ids
        self._never = np.setdiff1d(vocabulary.never(decoder.vocab_size), [*stop_ids])
        self._clock = clock
        self._weighs = weighs

    def generate(
        self, prompt: Prompt, limits: StopLimits, drafter: Drafting | None = None, mixer: Mixer | None = None
    ) -> Generation:
        """Complete a prompt greedily. Raises ValueError when prompt and completion do not fit the cache."""
        capacity, most = self._decoder.capacity, limits.max_tokens
        if len(prompt) + most > capacity:
            raise ValueError(f"{len(prompt)} prompt tokens and {most} new ones do not fit {capacity}")
        start = self._clock()
        run = Turn(limits, drafter, mixer, TextStream(self._vocabulary), list(prompt.before), start)
        if mixer and not self._interrupted(run):
            take_planned(run, self._stop_ids, self._interrupted)
        if not run.stopped:
            self._compute(replace(prompt, ids=(*prompt.ids, *run.ids)), run)
        return run.generation(len(prompt), start, self._clock())

    def prefill(self, prompt: Prompt, stopped: Callable[[], bool]) -> bool:
        """Compute ahead what a request with this prompt, or one that begins so, would, in steps that are short for a
        large coder, too. False: `stopped` before, which is asked between two."""
        cells = prompt_cells(prompt)
        self._slots.resume(cells, prompt.n_placed)
        return self._slots.advance(prompt, cells, len(cells) - 1, stopped, AHEAD_PIECE)

    def logits(self, prompt: Prompt, ids: Sequence[int]) -> np.ndarray:
        """What the decoder says behind the prompt and behind each but the last of `ids` (at least one), with nothing
        mixed in: float32 [n, vocab]. Raises ValueError when they do not fit the cache."""
        check_room(len(prompt), len(ids), self._decoder.capacity)
        cells = prompt_cells(prompt)
        last = len(cells) - 1
        self._slots.resume(cells, prompt.n_placed)
        self._slots.advance(prompt, cells, last, never)
        chain = (self._slots.vectors(prompt, slice(last, len(cells))), self._decoder.embed(ids[:-1]))
        logits = self._slots.try_tree(np.concatenate(chain), range(-1, len(ids) - 1))  # all of it is kept
        rows = np.stack([logits[row] for row in range(len(ids))])
        self._slots.keep([*cells[last:], *ids[:-1]], range(len(ids)))
        return rows

    def _compute(self, prompt: Prompt, run: Turn) -> None:
        """Compute what is new of the prompt, then tokens. What was computed stays for the next request."""
        cells = prompt_cells(prompt)
        done = self._slots.resume(cells, prompt.n_placed)
        late = max(done, prompt.late_row)
        run.reused = late - max(0, prompt.early_rows - max(done, prompt.sink_rows))
        width = self._decoder.prefill_piece
        tail = (len(cells) - late - 1) % width + 1
        n_chain = tail if tail <= DRAFT_CHAIN else 1
        draft = self._draft(n_chain, self._decoder.capacity - len(cells), run)
        last = len(cells) - (n_chain if draft else tail)
        if not self._slots.advance(prompt, cells, last, lambda: self._interrupted(run)):
            return
        chain: Sequence[Cell] = cells[last:]
        vectors = self._slots.vectors(prompt, slice(last, len(cells)))
        began = self._clock()
        while not self._interrupted(run):
            self._pass(chain, vectors, draft, run, began)
            n_computed = len(run.ids) - 1
            take_planned(run, self._stop_ids, self._interrupted)
            if run.stopped:
                return
            began = self._clock()
            chain = run.ids[n_computed:]
            vectors = self._decoder.embed(run.ids[n_computed:])
            draft = self._draft(len(chain), self._slots.room - len(chain), run)

    def _draft(self, n_chain: int, room: int, run: Turn) -> Draft:
        """What may come behind the context, at most as many rows as there is `room` for in the cache."""
        if run.drafter is None:
            return NO_DRAFT
        begin = run.limits.begin if not run.ids else ""
        banned = self._vocabulary.not_beginning(begin, self._decoder.vocab_size) if begin else None
        draft = run.drafter.draft(run.context, n_chain, banned)
        return draft.first(max(0, room))

    def _pass(
        self, chain: Sequence[Cell], vectors: np.ndarray, draft: Draft, run: Turn, began: float
    ) -> None:
        """Compute the chain and the draft behind it, and choose tokens as far as the draft has them, and one more.

        `began`: when the work for this pass did, with drafting.
        """
        n_chain = len(chain)
        if draft:
            vectors = np.concatenate([vectors, self._decoder.embed(draft.tokens)])
            logits = self._slots.try_tree(vectors, tree_behind(n_chain, draft))
        else:
            logits = self._slots.extend(chain, vectors)[None]
            n_chain = 1
        end = self._clock()
        run.drafted += len(draft)
        run.count_pass(end)
        rows = accepted(draft, lambda row: self._choose(logits[n_chain + row], run))
        if draft:
            kept = [*chain, *(draft.tokens[row] for row in rows)]
            self._slots.keep(kept, [*range(n_chain), *(n_chain + row for row in rows)])
        run.accepted += len(rows)
        if run.drafter and (draft or len(chain) == 1):
            run.drafter.verified(len(vectors), end - began)

    def _choose(self, logits: np.ndarray, run: Turn) -> int | None:
        """Take the greedy choice; None when nothing may follow it."""
        scores = run.mixer.mix(run.context, logits) if run.mixer else logits
        scores[self._never] = -np.inf
        if run.limits.begin and not run.ids:
            scores[self._vocabulary.not_beginning(run.limits.begin, len(scores))] = -np.inf
        token = int(scores.argmax())
        log_chance = -float(np.log(np.exp(scores - scores[token]).sum())) if self._weighs else 0.0
        return token if run.takes(token, self._stop_ids, log_chance) else None

    def _interrupted(self, run: Turn) -> bool:
        """Asked before each step: whether it is not wanted, or would end too late if it takes as long as others did."""
        now = self._clock()
        run.step, run.began = max(now - run.began, run.step / 2), now
        if run.limits.cancelled():
            run.stopped = "cancelled"
        elif now + run.step >= run.limits.deadline:
            run.stopped = "deadline"
        return run.stopped is not None


def take_planned(run: Turn, stop_ids: frozenset[int], interrupted: Callable[[Turn], bool]) -> None:
    """Write what needs no pass, a line at a time; nothing behind the end, since a look costs as much as a pass."""
    while run.mixer and not run.stopped and (planned := run.mixer.planned(run.context)):
        run.planned = True
        for token in planned:
            if not run.takes(token, stop_ids):
                return
        if interrupted(run):
            return


@dataclass
class Turn:
    """Where one call stands. `context`: ids of the document before the cursor and of what was written.

    `began`: when the step in hand did. `step`: seconds that the last one took, or half of the one before.
    """

    limits: StopLimits
    drafter: Drafting | None
    mixer: Mixer | None
    stream: TextStream
    context: list[int]
    began: float
    step: float = 0.0
    ids: list[int] = field(default_factory=list)
    log_chances: list[float] = field(default_factory=list)  # see Generation
    stopped: Stopped | None = None
    forward_passes: int = 0
    drafted: int = 0
    accepted: int = 0
    reused: int = 0  # positions of the prompt that were in the cache, or placed in it
    prefilled: float | None = None  # when the first choice could be made
    planned: bool = False  # something was written that needed no pass

    def count_pass(self, now: float) -> None:
        """A pass that chooses tokens is done."""
        self.forward_passes += 1
        self.prefilled = now if self.prefilled is None else self.prefilled

    def takes(self, token: int, stop_ids: frozenset[int], log_chance: float = 0.0) -> bool:
        """Write a chosen token down; whether another may follow."""
        self.log_chances.append(log_chance)
        if token in stop_ids:
            self.stopped = "end"
            return False
        self.ids.append(token)
        self.context.append(token)
        if self.limits.finished(self.stream.push(token)[len(self.limits.begin) :]):
            self.stopped = "finished"
        elif len(self.ids) >= self.limits.max_tokens:
            self.stopped = "length"
        return self.stopped is None

    def generation(self, prompt_tokens: int, start: float, end: float) -> Generation:
        """What it has come to; `start` and `end` in seconds of the generator's clock."""
        prefilled = end if self.prefilled is None else self.prefilled
        return Generation(
            text=self.stream.text[len(self.limits.begin) :],
            token_ids=tuple(self.ids),
            stopped=self.stopped or "end",
            forward_passes=self.forward_passes,
            prompt_tokens=prompt_tokens,
            reused_tokens=self.reused,
            prefill_ms=(prefilled - start) * 1e3,
            decode_ms=(end - prefilled) * 1e3,
            drafted=self.drafted,
            accepted=self.accepted,
            log_chances=tuple(self.log_chances),
        )
