"""One completion: query -> retrieve -> choose what the model reads -> prompt -> generate.

The server and the evaluation call the same `Completer`. It lives on one thread: it owns the generator's cache and, in
`Contexts`, what it holds on to while the user types.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.anchors import Anchors
from model.blocks.block import FIRST
from model.blocks.library import BlockLibrary
from model.blocks.making import BlockMaker
from model.blocks.shelf import Shelf
from model.confidence import written_lines
from model.context import Context, Contexts
from model.drafts.drafter import Drafter
from model.generator import Clock, Generates, Generation, Generator, StopLimits
from model.layout import DocumentName
from model.loaded import LoadedModel
from model.names import LESS_SURE, completed_name, stands_somewhere
from model.pace import Pace, measure_pace
from model.prompt import Budget, Prompt, at_token_boundary, empty_head
from model.repository import ContextItem, Retrieve
from model.request import Completion, Mixer, Mixing, Request, never, unmixed
from model.room import beside_blocks
from model.settings import (
    CONTEXT_MODES,
    DEFAULT_BLOCKS,
    DEFAULT_DRAFTS,
    DEFAULT_MODEL,
    BlockSettings,
    DraftSettings,
    ModelSettings,
)
from model.taught import Taught

IDLE_SECONDS = 1.5  # without a request, after which nobody is taken to be typing
_LEARNED_CHARS = (
    200  # of what stood before an accepted text: about the 16 tokens that a context is compared by
)


@dataclass(frozen=True)
class _Answered:
    """The last request and its context mode, until its anchor stands in its line. `at`: when it came, by the clock of
    the completer; `moved`: whether that anchor was moved and what it stands behind is being computed."""

    request: Request
    mode: str
    at: float
    moved: bool = False


class Completer:
    """Completes with one loaded model. Not thread-safe."""

    def __init__(
        self,
        model: LoadedModel,
        settings: ModelSettings = DEFAULT_MODEL,
        clock: Clock = time.perf_counter,
        mixing: Mixing = unmixed,
        drafts: DraftSettings = DEFAULT_DRAFTS,
        drafter: Drafter | None = None,
        blocks: BlockSettings = DEFAULT_BLOCKS,
        generator: Generates | None = None,
    ) -> None:
        """`drafter`: one that has learned already, else a new one drafts as `drafts` say; `generator`: not our own."""
        self.model = model
        self._settings = settings = model.budgets.fill(settings)
        self._clock = clock
        self._mixing = mixing
        self._drafter = drafter or (Drafter(model.vocabulary, drafts) if drafts.enabled else None)
        self._library = _library(model, blocks)
        weighs = model.confidence is not None
        self._generator = generator or Generator(
            model.own_decoder, model.vocabulary, model.stop_ids, clock, weighs=weighs, n_slots=model.places
        )
        self._contexts = Contexts(model, settings, self._library)
        self._anchors = Anchors(model.vocabulary, model.fim_order, settings.recent_places)
        self._last: _Answered | None = None

    def complete(
        self, request: Request, retrieve: Retrieve | None, cancelled: Callable[[], bool] = never
    ) -> Completion:
        """Complete at the cursor. An exception of `retrieve` is the caller's; nothing else is expected to raise."""
        start = self._clock()
        mode = self.mode(request.context) if retrieve else "none"
        max_tokens = self._max_tokens(request, mode)
        prefix, begin = at_token_boundary(self.model.vocabulary, request.prefix)
        context, prompt = self._read(request, prefix, mode, retrieve)
        retrieved = self._clock()
        limits = StopLimits(max_tokens, start + request.deadline_ms / 1e3, request.finished, cancelled, begin)
        mixer = self._mixing(request, prompt)
        generation = self._generate(request, prompt, limits, mixer)
        confidence = self._confidence(request, prompt, generation, begin, mixer)
        if not request.ahead:
            self._last = _Answered(request, mode, start)
        timings = {
            "retrieve": (retrieved - start) * 1e3,
            "prefill": generation.prefill_ms,
            "decode": generation.decode_ms,
            "total": (self._clock() - start) * 1e3,
        }
        return _completion(generation, timings, context.items, mode, confidence)

    def prepare(self, request: Request, retrieve: Retrieve | None) -> None:
        """Make the blocks that a request wants, which `complete` does not wait for."""
        mode = self.mode(request.context) if retrieve else "none"
        if self._library and mode == "blocks":
            prefix, _ = at_token_boundary(self.model.vocabulary, request.prefix)
            self._contexts.at(request, mode, retrieve, self._window(request, prefix))
            while self._library.tend(never):
                pass
            self._contexts.forget()

    def foresee(self, request: Request, retrieve: Retrieve) -> None:
        """Want the blocks that a request will want which may come. `tend` makes them."""
        if self._library and self.mode(request.context) == "blocks":
            prefix, _ = at_token_boundary(self.model.vocabulary, request.prefix)
            anchors = Anchors(self.model.vocabulary, self.model.fim_order, 1)  # nobody types there yet
            self._contexts.foresee(request, retrieve, self._window(request, prefix, anchors))

    def tend(self, interrupted: Callable[[], bool]) -> bool:
        """Do a piece of what is for later, blocks that were wanted and not there, and once nobody has typed for
        IDLE_SECONDS the prompt behind a new anchor; whether there is more."""
        return (self._library is not None and self._library.tend(interrupted)) or self._settle(interrupted)

    def _settle(self, interrupted: Callable[[], bool]) -> bool:
        """Move the last request's anchor to its line, which costs the text behind it once; whether there is more. An
        interruption leaves what was computed to the next request."""
        last = self._last
        if last is None or self._clock() - last.at < IDLE_SECONDS:
            return False
        prefix, _ = at_token_boundary(self.model.vocabulary, last.request.prefix)
        if not self._anchors.let_go(prefix) and not last.moved:
            self._last = None
            return False
        self._last = replace(last, moved=True)
        # The context is held; where nothing was found, there is nothing now.
        _, prompt = self._read(last.request, prefix, last.mode, lambda query: ())
        if not self._generator.prefill(prompt, interrupted):
            return True
        self._last = None
        return False

    def shelf(self, folder: Path) -> Shelf | None:
        """What keeps a repository's blocks in a private folder, for its requests; None where no blocks are read."""
        return self._library.shelf(folder) if self._library else None

    def accepted(self, prefix: str, text: str) -> None:
        """The user took `text` behind `prefix`: what is accepted once is often wanted again."""
        if self._drafter:
            context = self.model.vocabulary.encode(prefix[-_LEARNED_CHARS:])
            self._drafter.learn(context, self.model.vocabulary.encode(text))

    def log_chances(self, request: Request, retrieve: Retrieve | None, text: str, most: int) -> np.ndarray:
        """Natural logarithm of the chance of each of the tokens of `teach`, float64 [n]."""
        return self.teach(request, retrieve, text, most).log_chances

    def teach(self, request: Request, retrieve: Retrieve | None, text: str, most: int) -> Taught:
        """What the coder alone, without recall, says at each of the first `most` tokens of `text`, which is not empty,
        behind the prompt that `complete` would build (and has, where its context is held). As for `complete`, the text
        begins with what the end of the prompt gave up to stand at a boundary."""
        mode = self.mode(request.context) if retrieve else "none"
        prefix, begin = at_token_boundary(self.model.vocabulary, request.prefix)
        _, prompt = self._read(request, prefix, mode, retrieve)
        ids = self.model.vocabulary.encode(begin + text)[:most]
        return Taught(prompt, begin, tuple(ids), self._generator.logits(prompt, ids))

    def _max_tokens(self, request: Request, mode: str) -> int:
        """Of a completion, which takes at most half of what its document has; a slot was made for the settings'."""
        model, settings = self.model, self._settings
        most = min(request.max_tokens, model.positions // 2)
        if mode != "blocks":
            return most
        return min(most, max(settings.max_tokens, beside_blocks(settings, model.own_decoder.capacity) // 2))

    def _read(
        self, request: Request, prefix: str, mode: str, retrieve: Retrieve | None
    ) -> tuple[Context, Prompt]:
        """What the model reads. Blocks come on top of the document's tokens, all else instead of some of them, unless
        the request has a window."""
        model, settings = self.model, self._settings
        if mode == "blocks":
            window = self._window(request, prefix)
            context = self._contexts.at(request, mode, retrieve, window)
            return context, window.with_blocks(context.blocks, context.n_early or 0)
        context = self._contexts.at(request, mode, retrieve)
        total = min(settings.context_tokens, model.positions - self._max_tokens(request, mode))
        if request.window is not None:
            total = min(total, request.window + len(context.head.ids))
        budget = Budget(total, settings.suffix_tokens)
        return context, self._anchors.prompt(_name(request), context.head, prefix, request.suffix, budget)

    def _window(self, request: Request, prefix: str, anchors: Anchors | None = None) -> Prompt:
        """The prompt of what stands around the cursor, behind which blocks find room among the trained positions."""
        model, settings = self.model, self._settings
        room = min(model.positions - FIRST, beside_blocks(settings, model.own_decoder.capacity))
        room -= self._max_tokens(request, "blocks")
        wanted = settings.window_tokens if request.window is None else request.window
        budget = Budget(min(wanted, room), settings.suffix_tokens)
        head = empty_head(model.hidden_size)
        return (anchors or self._anchors).prompt(_name(request), head, prefix, request.suffix, budget)

    def _generate(
        self, request: Request, prompt: Prompt, limits: StopLimits, mixer: Mixer | None
    ) -> Generation:
        if self._drafter is None:
            return self._generator.generate(prompt, limits, mixer=mixer)
        place = self._drafter.at(prompt, limits.max_tokens, request.path, request.tokens, request.packages)
        generation = self._generator.generate(prompt, limits, place, mixer)
        self._drafter.learn(prompt.before, generation.token_ids)
        return generation

    def _confidence(
        self, request: Request, prompt: Prompt, done: Generation, begin: str, mixer: Mixer | None
    ) -> tuple[float, ...]:
        """Unknown without recall: it was fitted to the mixture of both."""
        if self.model.confidence is None or mixer is None:
            return ()

        def planned(n: int) -> float | None:
            return mixer.chance([*prompt.before, *done.token_ids[:n]])

        vocabulary = self.model.vocabulary
        lines = written_lines(vocabulary, begin, done.token_ids, done.log_chances, planned)
        chances = self.model.confidence.chances(list(lines), request.language)
        name = completed_name(request.prefix, done.text)
        if not name or stands_somewhere(name, request, vocabulary):
            return chances
        return (round(LESS_SURE * chances[0], 4), *chances[1:])

    def _new_place_tokens(self, asked: str) -> int:
        """Most tokens that are computed for a prompt at a place where none are yet; blocks are."""
        rest = self.model.positions - min(self._settings.max_tokens, self.model.positions // 2)
        if self.mode(asked) == "blocks":
            return min(self._settings.window_tokens, rest - FIRST)
        return min(self._settings.context_tokens, rest)

    def pace(self, asked: str) -> Pace:
        """How fast this machine computes a prompt with this context mode, and tokens behind it. Takes as long as two of
        them. Raises ValueError once something was completed."""
        # Who waits for a GPU may sleep.
        clock = time.thread_time if self.model.threads else time.perf_counter
        return measure_pace(self.model.own_decoder, self._new_place_tokens(asked), clock)

    def mode(self, asked: str) -> str:
        """The context mode used for what was asked. Raises ValueError on an unknown one."""
        if asked not in CONTEXT_MODES:
            raise ValueError(f"no context mode {asked!r}: one of {', '.join(CONTEXT_MODES)}")
        if asked == "auto":
            asked = self.model.default_context
        if asked == "blocks" and self._library is None:
            asked = "hybrid"
        without_adapter = asked in ("pseudo", "hybrid") and self.model.pseudo is None
        return "snippets" if without_adapter else asked


def _name(request: Request) -> DocumentName:
    return DocumentName(request.path, request.repository)


def _library(model: LoadedModel, blocks: BlockSettings) -> BlockLibrary | None:
    """None where the decoder has no slot to make them in: another context was chosen."""
    decoder = model.decoder
    if decoder is None or decoder.n_slots <= model.places:
        return None
    maker = BlockMaker(decoder, decoder.n_slots - 1, model.vocabulary.fim.end, blocks.share)
    return BlockLibrary(maker, blocks, model.fingerprint)


def _completion(
    generation: Generation,
    timings_ms: Mapping[str, float],
    items: tuple[ContextItem, ...],
    mode: str,
    confidence: tuple[float, ...],
) -> Completion:
    return Completion(
        text=generation.text,
        tokens=len(generation.token_ids),
        drafted=generation.drafted,
        accepted=generation.accepted,
        forward_passes=generation.forward_passes,
        prompt_tokens=generation.prompt_tokens,
        reused_tokens=generation.reused_tokens,
        timings_ms=timings_ms,
        context=items,
        stopped=generation.stopped,
        mode=mode,
        confidence=confidence,
    )
