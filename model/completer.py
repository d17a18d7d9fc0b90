"""One completion: query -> retrieve -> choose what the model reads -> prompt -> generate.

The server and the evaluation call the same `Completer`. It lives on one thread: it owns the generator's cache and, in
`Contexts`, what it holds on to while the user types.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from model.confidence import written_lines
from model.context import Contexts
from model.drafts.drafter import Drafter
from model.generator import Clock, Generation, Generator, StopLimits
from model.loaded import LoadedModel
from model.prompt import Budget, Prompt, at_token_boundary, build_prompt
from model.repository import ContextItem, Retrieve
from model.request import Completion, Mixer, Mixing, Request, never, unmixed
from model.settings import CONTEXT_MODES, DEFAULT_DRAFTS, DEFAULT_MODEL, DraftSettings, ModelSettings

_LEARNED_CHARS = (
    200  # of what stood before an accepted text: about the 16 tokens that a context is compared by
)


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
    ) -> None:
        """`drafter`: one that has learned already; without one a new one drafts as `drafts` say."""
        self.model = model
        self._settings = settings
        self._clock = clock
        self._mixing = mixing
        self._drafter = drafter or (Drafter(model.vocabulary, drafts) if drafts.enabled else None)
        weighs = model.confidence is not None
        self._generator = Generator(model.decoder, model.vocabulary, model.stop_ids, clock, weighs=weighs)
        self._contexts = Contexts(model, settings)

    def complete(
        self, request: Request, retrieve: Retrieve | None, cancelled: Callable[[], bool] = never
    ) -> Completion:
        """Complete at the cursor. An exception of `retrieve` is the caller's; nothing else is expected to raise."""
        start = self._clock()
        mode = self.mode(request.context) if retrieve else "none"
        context = self._contexts.at(request, mode, retrieve)
        retrieved = self._clock()
        max_tokens = min(request.max_tokens, self.model.decoder.capacity // 2)
        total = min(self._settings.context_tokens, self.model.decoder.capacity - max_tokens)
        budget = Budget(total, self._settings.suffix_tokens)
        prefix, begin = at_token_boundary(self.model.vocabulary, request.prefix)
        prompt = build_prompt(
            self.model.vocabulary, self.model.fim_order, context.head, prefix, request.suffix, budget
        )
        limits = StopLimits(max_tokens, start + request.deadline_ms / 1e3, request.finished, cancelled, begin)
        mixer = self._mixing(request, prompt)
        generation = self._generate(request, prompt, limits, mixer)
        confidence = self._confidence(prompt, generation, mixer)
        timings = {
            "retrieve": (retrieved - start) * 1e3,
            "prefill": generation.prefill_ms,
            "decode": generation.decode_ms,
            "total": (self._clock() - start) * 1e3,
        }
        return _completion(generation, timings, context.items, mode, confidence)

    def accepted(self, prefix: str, text: str) -> None:
        """The user took `text` behind `prefix`: what is accepted once is often wanted again."""
        if self._drafter:
            context = self.model.vocabulary.encode(prefix[-_LEARNED_CHARS:])
            self._drafter.learn(context, self.model.vocabulary.encode(text))

    def _generate(
        self, request: Request, prompt: Prompt, limits: StopLimits, mixer: Mixer | None
    ) -> Generation:
        if self._drafter is None:
            return self._generator.generate(prompt, limits, mixer=mixer)
        place = self._drafter.at(prompt, limits.max_tokens, request.path, request.tokens, request.packages)
        generation = self._generator.generate(prompt, limits, place, mixer)
        self._drafter.learn(prompt.before, generation.token_ids)
        return generation

    def _confidence(self, prompt: Prompt, done: Generation, mixer: Mixer | None) -> tuple[float, ...]:
        """Unknown without recall: it was fitted to the mixture of both."""
        if self.model.confidence is None or mixer is None:
            return ()

        def planned(n: int) -> float | None:
            return mixer.chance([*prompt.before, *done.token_ids[:n]])

        lines = written_lines(self.model.vocabulary, done.token_ids, done.log_chances, planned)
        return self.model.confidence.chances(list(lines))

    def mode(self, asked: str) -> str:
        """The context mode used for what was asked. Raises ValueError on an unknown one."""
        if asked not in CONTEXT_MODES:
            raise ValueError(f"no context mode {asked!r}: one of {', '.join(CONTEXT_MODES)}")
        if asked == "auto":
            asked = self.model.default_context
        without_adapter = asked in ("pseudo", "hybrid") and self.model.pseudo is None
        return "snippets" if without_adapter else asked


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
