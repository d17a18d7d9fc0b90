"""Recall: what the repository's own text proposes at a cursor, exact names and whole lines.

Two things, neither of which trains the coder: where a line or the rest of one is to be written, lines that stand in
similar places are ranked, and the best is written if it is likely enough, without a pass if it is likelier than not;
everywhere else the coder's expectation is mixed with what followed the same tokens before (`evidence`). Both act
through the generator's `Mixer`, as functions of the context, so that drafts are verified against the same choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.drafts.stores import LONGEST
from model.loaded import LoadedModel
from model.prompt import Prompt, at_token_boundary
from model.recall.cursor import Cursor
from model.recall.evidence import (
    Evidence,
    evidence,
    gate_features,
    matches_within,
    mixed,
    probabilities,
    shares,
)
from model.recall.proposals import LineRequest, Proposals, RecallStores
from model.recall.taken import NOTHING_TAKEN, Taken
from model.recall.weights import LIKELY, RecallWeights
from model.request import Mixing, Request, unmixed
from model.settings import RecallSettings
from model.vocabulary import Vocabulary

_CHARS_BEFORE, _CHARS_AFTER = 24_000, 8_000  # of the document, for the cache model
_IMPOSSIBLE = -1e9
_LEAST = 1e-12  # probability, where a logarithm is taken


def recalling(model: LoadedModel, settings: RecallSettings) -> Mixing:
    """The completer's `Mixing` for a model, which does nothing where recall is off or nothing was fitted."""
    weights = model.recall
    if weights is None or not settings.enabled:
        return unmixed

    def mixer(request: Request, prompt: Prompt) -> RecallMixer:
        return RecallMixer(request, prompt, model.vocabulary, weights)

    return mixer


@dataclass(frozen=True)
class _Ranked:
    """The best line at a place, its chance to be right, the least one with which it is written, and what is known
    behind it."""

    ids: tuple[int, ...]
    chance: float
    sure: float
    taken: Taken


class RecallMixer:
    """`Mixer` of one request."""

    def __init__(
        self, request: Request, prompt: Prompt, vocabulary: Vocabulary, weights: RecallWeights
    ) -> None:
        self._request = request
        self._vocabulary = vocabulary
        self._weights = weights
        self._n_before = len(prompt.before)
        self._prefix, self._begin = at_token_boundary(vocabulary, request.prefix)
        self._stores = RecallStores(request.lines, request.tokens, vocabulary)
        self._document: np.ndarray | None = None
        # By the ids written up to a line: the best line there is, and the ids of the one that was decided on.
        self._ranked: dict[tuple[int, ...], _Ranked] = {}
        self._plans: dict[tuple[int, ...], tuple[int, ...]] = {}
        # Ids written up to a line's end that is still due, as the next token's beginning.
        self._open: set[tuple[int, ...]] = {()} if self._begin == "\n" else set()

    def mix(self, context: Sequence[int], logits: np.ndarray) -> np.ndarray:
        """See `Mixer`: the next token of a line that was decided on, else the mixture's log probabilities."""
        written = tuple(context[self._n_before :])
        if not self.planned(context) and self._line_start(written) == written:
            # Where the coder would write nothing, a line must be likelier than not.
            ends = int(logits.argmax()) in self._vocabulary.fim.stops
            self._plans[written] = () if ends else self._plan(context, written, certain=False)
        if planned := self.planned(context):
            scores = np.full(len(logits), _IMPOSSIBLE, np.float32)
            scores[planned[0]] = 0.0
            return scores
        own, other = self.evidence(context)
        coder = probabilities(logits)
        seen = gate_features(own, other, coder, first=not written)
        weights = shares(self._weights.gate, seen, bool(own.length), bool(other.length))
        scores = np.log(mixed(coder, own, other, weights) + _LEAST)
        if written and written in self._open:
            scores[self._vocabulary.not_beginning("\n", len(scores))] = _IMPOSSIBLE
        return scores

    def planned(self, context: Sequence[int]) -> tuple[int, ...]:
        """See `Mixer`: what is left of the line that was decided on, or a line that is likelier than not to be right
        whatever the coder says."""
        written = tuple(context[self._n_before :])
        begin = self._line_start(written)
        if begin == written and begin not in self._plans:
            self._plans[begin] = self._plan(context, written, certain=True)
        plan, done = self._plans.get(begin, ()), written[len(begin) :]
        return plan[len(done) :] if plan[: len(done)] == done else ()

    def chance(self, context: Sequence[int]) -> float | None:
        """See `Mixer`."""
        begin = self._line_start(tuple(context[self._n_before :]))
        return self._ranked[begin].chance if self._plans.get(begin) else None

    def _line_start(self, written: tuple[int, ...]) -> tuple[int, ...]:
        """What was written before the line that the next token belongs to."""
        for n in range(len(written), 0, -1):
            n_due = written[: n - 1] in self._open
            if written[:n] in self._open or self._vocabulary.token_bytes(written[n - 1]).count(b"\n") > n_due:
                return written[:n]
        return ()

    def _plan(self, context: Sequence[int], written: tuple[int, ...], *, certain: bool) -> tuple[int, ...]:
        """Ids of the line that was decided on, without its end where that is to be one token with the next line's
        indentation: behind a line's end alone such a coder expects none."""
        ids = self._decide(context, written, certain=certain)
        if not ids or not self._vocabulary.joins_lines:
            return ids
        if self._request.finished(self._text((*written, *ids))[len(self._begin) :]):
            return ids
        self._open.add((*written, *ids[:-1]))
        return ids[:-1]

    def _decide(self, context: Sequence[int], written: tuple[int, ...], *, certain: bool) -> tuple[int, ...]:
        """Ids of the line to write behind `context`, () to leave it to the mixture."""
        if written not in self._ranked:
            self._ranked[written] = self._best(self.propose(context, written), self._due(written))
        best = self._ranked[written]
        return best.ids if best.chance >= (max(best.sure, LIKELY) if certain else best.sure) else ()

    def _best(self, proposals: Proposals | None, due: str) -> _Ranked:
        if proposals is None:
            return _Ranked((), 0.0, 1.0, NOTHING_TAKEN)
        chances = self._weights.forest.predict(proposals.table)
        best = int(chances.argmax())
        sure = self._weights.sure_inside if proposals.inside else self._weights.sure
        ids = tuple(self._vocabulary.encode(f"{due}{proposals.texts[best]}\n"))
        return _Ranked(ids, float(chances[best]), sure, proposals.taken[best])

    def propose(self, context: Sequence[int], written: tuple[int, ...]) -> Proposals | None:
        """Lines that may come behind `context`, of which `written` is new."""
        due = self._due(written)
        prefix = self._prefix + self._text(written) + due if written else self._request.prefix
        cursor = Cursor.of(self._request.path, prefix, self._request.suffix)
        ids, lately = context[-LONGEST:], self._request.lately
        return self._stores.propose(LineRequest(cursor, ids, lately, self._taken(written)))

    def _due(self, written: tuple[int, ...]) -> str:
        """What the ids up to a line's start leave out of the text."""
        if not written:
            return self._begin
        return "\n" if written in self._open else ""

    def _taken(self, written: tuple[int, ...]) -> Taken:
        """Where the line that ends in `written` was taken from; a blank one is passed over."""
        if not written:
            return NOTHING_TAKEN
        begin = self._line_start(written[:-1])
        if self._plans.get(begin):
            return self._ranked[begin].taken
        before = self._taken(begin)
        return before.otherwise() if self._text(written[len(begin) :]).strip() else before

    def _text(self, ids: Sequence[int]) -> str:
        return b"".join(map(self._vocabulary.token_bytes, ids)).decode("utf-8", "ignore")

    def evidence(self, context: Sequence[int]) -> tuple[Evidence, Evidence]:
        """What followed the end of `context` in the document, and elsewhere in the repository."""
        written = np.array(context[self._n_before :], np.int64)
        own = evidence(matches_within(np.concatenate([self._own_ids(), written]), context[-LONGEST:]))
        if self._request.tokens is None:
            return own, evidence(())
        found = self._request.tokens.matches(
            context[-LONGEST:], limit=64, width=1, without=self._request.path
        )
        return own, evidence((match.length, match.continuations[:, 0]) for match in found)

    def _own_ids(self) -> np.ndarray:
        """Ids of the document behind the cursor, an end mark, and of that before it: the nearest last."""
        if self._document is None:
            before = self._vocabulary.encode(self._prefix[-_CHARS_BEFORE:])
            after = self._vocabulary.encode(self._request.suffix[:_CHARS_AFTER])
            self._document = np.array([*after, -1, *before], np.int64)
        return self._document
