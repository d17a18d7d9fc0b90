"""One completion: query -> retrieve -> choose what the model reads -> prompt -> generate.

The server and the evaluation call the same `Completer`. It lives on one thread: it owns the generator's cache and the
context that it holds on to while the user types.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from model.confidence import written_lines
from model.drafts.drafter import Drafter
from model.drafts.stores import Tokens
from model.generator import Clock, Generation, Generator, Limits, Mixer, Stopped, never, never_finished
from model.prompt import (
    PSEUDO,
    Budget,
    Head,
    Prompt,
    at_token_boundary,
    build_prompt,
    empty_head,
    exact_text,
    fit_documents,
    worst_first,
)
from model.recall.cursor import LineStore
from model.settings import CONTEXT_MODES, DraftSettings, ModelSettings
from model.sticky import Place, drifted

_LEARNED_CHARS = 200  # of what stood before an accepted text: about the 16 tokens that a context is compared by

if TYPE_CHECKING:  # The server builds requests before torch is imported.
    from model.loading import LoadedModel


class ContextItem(Protocol):
    """What retrieval found, best first; `indexer.Hit` is one."""

    @property
    def path(self) -> str: ...
    @property
    def first_line(self) -> int: ...
    @property
    def last_line(self) -> int: ...
    @property
    def level(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def text(self) -> str: ...
    @property
    def signature(self) -> str: ...
    @property
    def memory(self) -> np.ndarray:
        """float16 [m, d_memory]"""


@dataclass(frozen=True, eq=False)
class RetrievalQuery:
    """What to look for: the first four fields of `indexer.Query`."""

    path: str
    before: str
    after: str
    key: np.ndarray | None  # float32 [d_key], unit length; None: no fuser


Retrieve = Callable[[RetrievalQuery], Sequence[ContextItem]]


@dataclass(frozen=True)
class Request:
    """A cursor in `path` between `prefix` and `suffix` (whole texts; the prompt takes what fits)."""

    path: str
    prefix: str
    suffix: str
    context: str = "auto"  # none | snippets | pseudo | hybrid | auto: what measured best for the checkpoint
    max_tokens: int = 48
    deadline_ms: float = 1000.0
    finished: Callable[[str], bool] = never_finished  # asked with the text so far after each token; True stops
    generation: int = 0  # of the index; another one makes the held context stale
    tokens: Tokens | None = None  # of the repository; what it has of the document at `path` is not looked at
    packages: Tokens | None = None  # of what is installed
    lines: LineStore | None = None  # of the repository


# What changes the model's scores for one request, given its prompt; None: nothing does.
Mixing = Callable[[Request, Prompt], Mixer | None]


def unmixed(request: Request, prompt: Prompt) -> Mixer | None:
    return None


@dataclass(frozen=True)
class Completion:
    """`timings_ms`: retrieve, prefill, decode, total. `mode`: the context mode that was really used.

    `confidence`: of each line of `text`, its chance to be right where those before it are; () where it is unknown.
    """

    text: str
    tokens: int
    drafted: int
    accepted: int
    forward_passes: int
    prompt_tokens: int
    reused_tokens: int
    timings_ms: Mapping[str, float]
    context: tuple[ContextItem, ...]
    stopped: Stopped
    mode: str = "none"
    confidence: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class _Context:
    """What the model reads of the repository, and the place it was retrieved for. `found`: what it was chosen from."""

    place: Place
    head: Head
    items: tuple[ContextItem, ...] = ()
    found: frozenset[tuple[str, str, bytes]] = frozenset()


class Completer:
    """Completes with one loaded model. Not thread-safe."""

    def __init__(
        self,
        model: LoadedModel,
        settings: ModelSettings = ModelSettings(),
        clock: Clock = time.perf_counter,
        mixing: Mixing = unmixed,
        drafts: DraftSettings = DraftSettings(),
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
        self._held: list[_Context] = []  # of recent places, the last one first

    def complete(
        self, request: Request, retrieve: Retrieve | None, cancelled: Callable[[], bool] = never
    ) -> Completion:
        """Complete at the cursor. An exception of `retrieve` is the caller's; nothing else is expected to raise."""
        start = self._clock()
        mode = self.mode(request.context) if retrieve else "none"
        context = self._context(request, mode, retrieve)
        retrieved = self._clock()
        max_tokens = min(request.max_tokens, self.model.decoder.capacity // 2)
        total = min(self._settings.context_tokens, self.model.decoder.capacity - max_tokens)
        budget = Budget(total, self._settings.suffix_tokens)
        prefix, begin = at_token_boundary(self.model.vocabulary, request.prefix)
        prompt = build_prompt(self.model.vocabulary, self.model.fim_order, context.head, prefix, request.suffix, budget)
        limits = Limits(max_tokens, start + request.deadline_ms / 1e3, request.finished, cancelled, begin)
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

    def _generate(self, request: Request, prompt: Prompt, limits: Limits, mixer: Mixer | None) -> Generation:
        if self._drafter is None:
            return self._generator.generate(prompt, limits, mixer=mixer)
        place = self._drafter.at(prompt, limits.max_tokens, request.path, request.tokens, request.packages)
        generation = self._generator.generate(prompt, limits, place, mixer)
        self._drafter.learn(prompt.before, generation.token_ids)
        return generation

    def _confidence(self, prompt: Prompt, done: Generation, mixer: Mixer | None) -> tuple[float, ...]:
        """Unknown without the memory: it was fitted to the mixture of both."""
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

    def _context(self, request: Request, mode: str, retrieve: Retrieve | None) -> _Context:
        """The held context while the cursor stays about where it was retrieved for, else a new one.

        Byte-identical pseudo-tokens keep the cache, and skip the query: a keystroke costs its own tokens only. Several
        are held, as are the keys and values behind them: coming back to a document costs no prefill.
        """
        place = Place(request.path, request.prefix, request.suffix, mode, request.generation)
        if retrieve is None or mode == "none":
            return _Context(place, empty_head(self.model.decoder.hidden_size))
        # Nothing found is not held on to: the index may be a moment from its first answer.
        held = next((held for held in self._held if held.items and not drifted(held.place, place)), None)
        if held is None:
            held = self._retrieve(place, retrieve)
        others = [other for other in self._held if other is not held]
        self._held = [held, *others][: self._settings.recent_places]
        return held

    def _retrieve(self, place: Place, retrieve: Retrieve) -> _Context:
        """A new context; where the same was found as for a held one, in whatever order, that one's bytes."""
        encoder = self.model.encoder
        key = encoder.query(place.prefix, place.suffix) if encoder else None
        items = retrieve(RetrievalQuery(place.path, place.prefix, place.suffix, key))
        found = frozenset((item.path, item.text, item.memory.tobytes()) for item in items)
        for held in self._held:
            if (held.place.path, held.place.mode, held.found) == (place.path, place.mode, found):
                self._held.remove(held)
                return replace(held, place=place)
        context = self._snippets(place, items) if place.mode == "snippets" else self._pseudo(place, items)
        return replace(context, found=found)

    def _snippets(self, place: Place, found: Sequence[ContextItem]) -> _Context:
        budget = self._head_budget(self._settings.snippet_tokens)
        items = tuple(item for item in found if item.text)
        documents = fit_documents(self.model.vocabulary, [(item.path, item.text) for item in items], budget)
        no_pseudo = empty_head(self.model.decoder.hidden_size).pseudo
        return _Context(place, Head(worst_first(documents), no_pseudo), items[: len(documents)])

    def _pseudo(self, place: Place, found: Sequence[ContextItem]) -> _Context:
        """Pseudo-tokens of the best items and, in hybrid mode, exact text: a vector cannot spell a name."""
        assert self.model.pseudo is not None  # `mode` saw to it
        embedded = [item for item in found if item.memory.size]  # an index in the making knows some by their words only
        budget = self._head_budget(self._settings.pseudo_tokens)
        items = tuple(embedded[: budget // len(embedded[0].memory)]) if embedded else ()
        head = empty_head(self.model.decoder.hidden_size)
        if items:
            # The worst first: the best stands nearest to the cursor.
            vectors = self.model.pseudo.project(np.stack([item.memory for item in reversed(items)]))
            head = Head((PSEUDO,) * len(vectors), vectors)
        if place.mode == "hybrid":
            told = [(item.path, item.text, item.signature) for item in found]
            with_text = self._head_budget(len(head.ids) + self._settings.hybrid_text_tokens)
            with_all = self._head_budget(with_text + self._settings.signature_tokens)
            exact = exact_text(self.model.vocabulary, told, with_text - len(head.ids), with_all - with_text)
            head = Head((*head.ids, *exact), head.pseudo)
            items += tuple(item for item in found if (item.text or item.signature) and not item.memory.size)
        return _Context(place, head, items)

    def _head_budget(self, wanted: int) -> int:
        """At most half of the prompt is context: what stands around the cursor matters more. The longest completion
        takes half of the capacity, so three eighths always leave room."""
        return min(wanted, self._settings.context_tokens // 2, self.model.decoder.capacity * 3 // 8)


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
