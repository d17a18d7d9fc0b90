"""What the model reads of the repository at a cursor: retrieved, cut to its budget, and held while the user types.

A held context stays byte-identical, so that the keys and values behind it stay valid: retrieval is repeated only when
the cursor has really moved on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.blocks.block import Block
from model.blocks.choosing import BlockChoice
from model.blocks.library import BlockLibrary, BlockText
from model.blocks.shelf import Shelf
from model.loaded import LoadedModel
from model.prompt import (
    PSEUDO,
    Head,
    Prompt,
    empty_head,
    exact_text,
    fit_documents,
    worst_first,
)
from model.reading import READINGS
from model.repository import ContextItem, RetrievalQuery, Retrieve
from model.request import Request
from model.settings import ModelSettings

# The cursor may move this far, in characters and lines, before the repository is asked again.
STICKY_CHARS = 96
STICKY_LINES = 2
# Only the end of a window looks at blocks: 16 to 448 tokens that did gave the same (LOG.md), and looking is what blocks
# cost. What stands before does not depend on what was retrieved. The border stays where it is while the user types.
LATE_TOKENS = 32
LATE_ALLOWED = range(16, 193)


@dataclass(frozen=True)
class CursorPlace:
    """A cursor and everything else that retrieval depends on."""

    path: str
    prefix: str
    suffix: str
    mode: str
    generation: int  # of the index
    window: int | None = None  # see Request


@dataclass(frozen=True, eq=False)
class Context:
    """What the model reads of the repository, and the place it was retrieved for. `found`: what it was chosen from.

    `texts` are wanted as blocks, the most wanted first; `found_blocks`: the sink and those that are made; `below`: that
    of the text below the cursor's line. `n_early` ids of the window stand in front of them once that is decided.
    """

    place: CursorPlace
    head: Head
    items: tuple[ContextItem, ...] = ()
    found: frozenset[tuple[str, str, bytes]] = frozenset()
    texts: tuple[BlockText, ...] = ()
    found_blocks: tuple[Block, ...] = ()
    below: Block | None = None
    n_early: int | None = None

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The sink first; last what changes first."""
        return (*self.found_blocks, self.below) if self.below else self.found_blocks


class Contexts:
    """The contexts of recent places, for one model. Not thread-safe."""

    def __init__(
        self, model: LoadedModel, settings: ModelSettings, library: BlockLibrary | None = None
    ) -> None:
        """`library`: of blocks, for the mode that wants them."""
        self._model = model
        self._settings = settings
        self._library = library
        self._held: list[Context] = []  # the last one first
        self._choice = BlockChoice(
            model.vocabulary,
            settings.block_tokens,
            library.share if library else 1.0,
            reads_below=READINGS[model.fim_order].below,
        )

    def at(
        self, request: Request, mode: str, retrieve: Retrieve | None, window: Prompt | None = None
    ) -> Context:
        """The held context while the cursor stays about where it was retrieved for, else a new one.

        Byte-identical pseudo-tokens keep the cache, and skip the query: a keystroke costs its own tokens only. Several
        are held, as are the keys and values behind them: coming back to a document costs no prefill.

        `window`: in mode blocks the prompt without them; what it has of the document is no block.
        """
        place = CursorPlace(
            request.path, request.prefix, request.suffix, mode, request.generation, request.window
        )
        if retrieve is None or mode == "none":
            return Context(place, empty_head(self._model.hidden_size))
        # Nothing found is not held on to: the index may be a moment from its first answer.
        held = next((held for held in self._held if held.items and not drifted(held.place, place)), None)
        now = self._with_blocks(held, place.suffix, request.shelf) if held else None
        now = now or self._retrieve(place, retrieve, window, request.shelf)
        if window is not None:
            now = replace(now, n_early=self._border(now, len(window.ids)))
        others = [other for other in self._held if other is not held]
        self._held = [now, *others][: self._settings.recent_places]
        return now

    def foresee(self, request: Request, retrieve: Retrieve, window: Prompt) -> None:
        """Want the blocks that `at` will want, but for that of the text below the cursor's line, which is no other
        place's."""
        assert self._library is not None
        items = self._found(retrieve, request.path, request.prefix, request.suffix)
        texts, _ = self._choice.choose(items, window, request.prefix, request.suffix)
        self._library.find(texts, request.shelf)

    def forget(self) -> None:
        """Hold on to nothing."""
        self._held.clear()

    def _with_blocks(self, held: Context, suffix: str, shelf: Shelf | None) -> Context:
        """With the text below the cursor as it is now, and with all else that it wants once the last of that is made: a
        prompt changes seldom."""
        if self._library is None or held.place.mode != "blocks":
            return held
        blocks = held.found_blocks
        if len(blocks) <= len(held.texts):
            found = self._library.find(held.texts, shelf)
            blocks = found if len(found) > len(held.texts) else blocks
        below = self._below(suffix, shelf, held.texts, held.below)
        if blocks is held.found_blocks and below is held.below:
            return held
        return replace(held, found_blocks=blocks, below=below, n_early=None)

    def _below(
        self, suffix: str, shelf: Shelf | None, beside: Sequence[BlockText] = (), held: Block | None = None
    ) -> Block | None:
        """The block of the text below the cursor's line, as far as it has room beside what was chosen. One that is not
        made is wanted more than all others, and until then the held one stays, which was right a moment ago."""
        text = self._choice.below(suffix, beside)
        if text is None or (held and held.digest == text.digest):
            return held if text else None
        assert self._library is not None
        made = self._library.find([text], shelf)[1:]
        return made[0] if made else held

    def _border(self, now: Context, n_ids: int) -> int:
        """Where the blocks of a context stand in a window of so many ids: where the same ones stand already, unless
        that leaves too little behind them or too much."""
        named = [block.digest for block in now.blocks]
        for held in (now, *self._held):
            same = held.place.path == now.place.path and [block.digest for block in held.blocks] == named
            if same and held.n_early is not None and n_ids - held.n_early in LATE_ALLOWED:
                return held.n_early
        return max(0, n_ids - LATE_TOKENS)

    def _retrieve(
        self, place: CursorPlace, retrieve: Retrieve, window: Prompt | None, shelf: Shelf | None
    ) -> Context:
        """A new context; where the same was found as for a held one, in whatever order, that one's bytes."""
        items = self._found(retrieve, place.path, place.prefix, place.suffix)
        if place.mode == "blocks":
            return self._blocks(place, items, window, shelf)
        found = frozenset((item.path, item.text, item.memory.tobytes()) for item in items)
        for held in self._held:
            then = held.place
            if (then.path, then.mode, then.window, held.found) == (
                place.path,
                place.mode,
                place.window,
                found,
            ):
                self._held.remove(held)
                return replace(held, place=place)
        context = self._snippets(place, items) if place.mode == "snippets" else self._pseudo(place, items)
        return replace(context, found=found)

    def _found(self, retrieve: Retrieve, path: str, prefix: str, suffix: str) -> Sequence[ContextItem]:
        encoder = self._model.encoder
        key = encoder.query(prefix, suffix) if encoder else None
        return retrieve(RetrievalQuery(path, prefix, suffix, key))

    def _blocks(
        self, place: CursorPlace, found: Sequence[ContextItem], window: Prompt | None, shelf: Shelf | None
    ) -> Context:
        assert self._library is not None  # `Completer.mode` saw to it
        assert window is not None
        texts, items = self._choice.choose(found, window, place.prefix, place.suffix)
        head = empty_head(self._model.hidden_size)
        blocks = self._library.find(texts, shelf)
        below = self._below(place.suffix, shelf)
        return Context(place, head, items, texts=texts, found_blocks=blocks, below=below)

    def _snippets(self, place: CursorPlace, found: Sequence[ContextItem]) -> Context:
        budget = self._head_budget(place, self._settings.snippet_tokens)
        items = tuple(item for item in found if item.text)
        documents = fit_documents(self._model.vocabulary, [(item.path, item.text) for item in items], budget)
        no_pseudo = empty_head(self._model.hidden_size).pseudo
        return Context(place, Head(worst_first(documents), no_pseudo), items[: len(documents)])

    def _pseudo(self, place: CursorPlace, found: Sequence[ContextItem]) -> Context:
        """Pseudo-tokens of the best items and, in hybrid mode, exact text: a vector cannot spell a name."""
        assert self._model.pseudo is not None  # `mode` saw to it
        embedded = [
            item for item in found if item.memory.size
        ]  # an index in the making knows some by their words only
        budget = self._head_budget(place, self._settings.pseudo_tokens)
        items = tuple(embedded[: budget // self._model.pseudo.per_node])
        head = empty_head(self._model.hidden_size)
        if items:
            # The worst first: the best stands nearest to the cursor.
            vectors = self._model.pseudo.project(np.stack([item.memory for item in reversed(items)]))
            head = Head((PSEUDO,) * len(vectors), vectors)
        if place.mode == "hybrid":
            told = [(item.path, item.text, item.signature) for item in found]
            with_text = self._head_budget(place, len(head.ids) + self._settings.hybrid_text_tokens)
            with_all = self._head_budget(place, with_text + self._settings.signature_tokens)
            exact = exact_text(self._model.vocabulary, told, with_text - len(head.ids), with_all - with_text)
            head = Head((*head.ids, *exact), head.pseudo)
            items += tuple(item for item in found if (item.text or item.signature) and not item.memory.size)
        return Context(place, head, items)

    def _head_budget(self, place: CursorPlace, wanted: int) -> int:
        """At most half of the prompt is context: what stands around the cursor matters more. The longest completion
        takes half of the capacity, so three eighths always leave room. On top of a window: what it leaves."""
        if place.window is not None:
            return max(0, min(wanted, self._settings.context_tokens - place.window))
        return min(wanted, self._settings.context_tokens // 2, self._model.positions * 3 // 8)


def drifted(held: CursorPlace, now: CursorPlace) -> bool:
    """Whether a context retrieved at `held` must be retrieved again at `now`.

    It holds while the same document has changed only within STICKY_CHARS of the cursor and the cursor is at most
    STICKY_LINES away: typing, deleting, accepting a word, and the closing bracket that editors add.
    """
    if (held.path, held.mode, held.generation, held.window) != (
        now.path,
        now.mode,
        now.generation,
        now.window,
    ):
        return True
    if max(abs(len(now.prefix) - len(held.prefix)), abs(len(now.suffix) - len(held.suffix))) > STICKY_CHARS:
        return True  # told before the texts are compared, which may be large
    before = held.prefix[:-STICKY_CHARS] if len(held.prefix) > STICKY_CHARS else ""
    after = held.suffix[STICKY_CHARS:]
    if not (now.prefix.startswith(before) and now.suffix.endswith(after)):
        return True
    lines = now.prefix.count("\n", len(before)) - held.prefix.count("\n", len(before))
    return abs(lines) > STICKY_LINES
