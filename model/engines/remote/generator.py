"""Greedy generation by a server: asked for tokens, it is stopped as soon as something else writes on, or nobody waits.

Recall's planned lines are written here, between two questions. Drafts cannot be verified there, and nothing is mixed
into what the server expects, since it tells no scores of all tokens.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from model.engines.remote.client import StreamedAnswer
from model.engines.remote.failure import CUT_OFF, TOO_MUCH, ServerError
from model.engines.remote.infill import INFILL, of_texts, piece_of_infill
from model.engines.remote.parts import parts_of, without_vectors
from model.engines.remote.questions import CHAT, COMPLETIONS, Piece, Wanted, of_ids, of_parts, piece_of
from model.engines.remote.server import CodingServer
from model.generator import Clock, Drafting, Generation, StopLimits, Turn, take_planned
from model.loaded import LoadedModel
from model.prompt import Prompt
from model.request import Mixer
from model.vocabulary import TextStream

LOOK_SECONDS = 0.01  # between two looks whether somebody still waits
# Of the time until the deadline, in which a server has to say its first token; the rest is for who stands in for it.
FIRST_TOKEN_SHARE = 0.6


class RemoteGenerator:
    """`model.generator.Generates` by a server. One thread's."""

    def __init__(
        self, server: CodingServer, model: LoadedModel, vocab_size: int, clock: Clock = time.perf_counter
    ) -> None:
        self._server = server
        self._vocabulary = model.vocabulary
        self._stop_ids = model.stop_ids
        self._positions = model.positions
        self._banned = tuple(sorted(model.vocabulary.control_ids - model.stop_ids))
        self._vocab_size = vocab_size
        self._clock = clock

    def generate(
        self, prompt: Prompt, limits: StopLimits, drafter: Drafting | None = None, mixer: Mixer | None = None
    ) -> Generation:
        """Complete a prompt greedily; no draft is verified. Raises ValueError when prompt and completion are too long,
        and ServerError where the server failed before it had written anything."""
        if len(prompt) + limits.max_tokens > self._positions:
            raise ValueError(f"{len(prompt)} and {limits.max_tokens} tokens do not fit {self._positions}")
        start = self._clock()
        run = Turn(limits, None, mixer, TextStream(self._vocabulary), list(prompt.before), start)
        if not self._interrupted(run):
            take_planned(run, self._stop_ids, self._interrupted)
        begin = limits.begin if not run.ids else self._due(run)
        try:
            while not run.stopped:
                self._ask(prompt, run, begin)
                begin = self._due(run)
        except ServerError as failure:
            if not run.ids:
                raise
            self._server.failed(str(failure))
            run.stopped = "deadline"  # what there is is sound
        return run.generation(len(prompt), start, self._clock())

    def prefill(self, prompt: Prompt, stopped: object) -> bool:
        """Nothing is computed ahead on a machine that others wait for."""
        return True

    def logits(self, prompt: Prompt, ids: Sequence[int]) -> np.ndarray:
        """Raises ValueError: a server tells no logits."""
        raise ValueError("a server tells no logits")

    def _due(self, run: Turn) -> str:
        """What the next token must begin with: a planned line leaves its end to a token with the next indentation."""
        is_open = self._vocabulary.joins_lines and run.planned and not run.stream.text.endswith("\n")
        return "\n" if is_open else ""

    def _ask(self, prompt: Prompt, run: Turn, begin: str) -> None:
        """Have the server write until something stops it, or a planned line follows."""
        n_written, asked = len(run.ids), self._clock()
        wanted = Wanted(
            self._server.offer.model,
            run.limits.max_tokens - n_written,
            self._stop_ids,
            self._banned,
            bool(begin),
        )
        run.planned = False
        answer, is_whole = self._begin(prompt, run, wanted), False
        try:
            for piece in self._pieces(answer, run, asked):
                is_whole, tokens = piece.ended, piece.token_ids
                if begin and tokens and len(run.ids) == n_written:
                    tokens = self._beginning(piece, begin)
                if not self._take(tokens, run) or tokens != piece.token_ids:
                    return  # or another one was chosen than the server did, which goes on behind it
                if piece.ended:
                    run.stopped = "length" if piece.by_length else "end"
                    return
        finally:
            if not is_whole:
                answer.close()

    def _begin(self, prompt: Prompt, run: Turn, wanted: Wanted) -> StreamedAnswer:
        path, question = self._question(prompt, run, wanted)
        return self._server.ask(path, question)

    def _question(self, prompt: Prompt, run: Turn, wanted: Wanted) -> tuple[str, Mapping[str, Any]]:
        if self._server.offer.infills:
            return INFILL, of_texts(self._vocabulary, prompt, run.ids, wanted)
        parts = parts_of(self._vocabulary, prompt, run.ids) if len(prompt.pseudo) else None
        if parts is not None:
            return CHAT, of_parts(parts, wanted)
        return COMPLETIONS, of_ids([*without_vectors(prompt), *run.ids], wanted)

    def _take(self, tokens: Sequence[int], run: Turn) -> bool:
        """Write tokens down, each the server's work of a pass; whether it may go on."""
        for token in tokens:
            run.count_pass(self._clock())
            if not run.takes(token, self._stop_ids):
                return False
            take_planned(run, self._stop_ids, self._interrupted)
            if run.stopped or run.planned:
                return False
        return True

    def _beginning(self, piece: Piece, begin: str) -> tuple[int, ...]:
        """The piece where its first token begins so; else the likeliest one that does, or where the server knows none
        what it has to begin with."""
        known, wanted = (piece.token_ids[0], *(token for token, _ in piece.likeliest)), begin.encode()
        fits = (token for token in known if self._vocabulary.token_bytes(token).startswith(wanted))
        chosen = next(fits, None)
        if chosen is None:
            return tuple(self._vocabulary.encode(begin))
        return piece.token_ids if chosen == piece.token_ids[0] else (chosen,)

    def _pieces(self, answer: StreamedAnswer, run: Turn, asked: float) -> Iterator[Piece]:
        """What the answer brings, until nobody waits for it. Raises ServerError."""
        first_by = asked + FIRST_TOKEN_SHARE * (run.limits.deadline - asked)
        n_tokens, is_silent = 0, True
        while not self._interrupted(run):
            if is_silent and self._clock() >= first_by:
                raise ServerError(f"said nothing for {1e3 * (first_by - asked):,.0f} ms")
            try:
                event = answer.next(LOOK_SECONDS)
            except TimeoutError:
                continue
            if event is None:
                raise ServerError(CUT_OFF)
            piece = (piece_of_infill if self._server.offer.infills else piece_of)(event, self._vocab_size)
            n_tokens += len(piece.token_ids)
            if n_tokens > run.limits.max_tokens + 1:
                raise ServerError(TOO_MUCH)
            if piece.token_ids or piece.ended:
                is_silent = False
                self._server.health.written()
            yield piece
        if is_silent and self._server.health.said_nothing(waited := self._clock() - asked) > first_by - asked:
            self._server.failed(f"said nothing while you typed on, the last time for {1e3 * waited:,.0f} ms")

    def _interrupted(self, run: Turn) -> bool:
        if run.limits.cancelled():
            run.stopped = "cancelled"
        elif self._clock() >= run.limits.deadline:
            run.stopped = "deadline"
        return run.stopped is not None
