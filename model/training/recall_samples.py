"""Cursors in repositories that the coder has not seen, with everything that recall's numbers are fitted to.

What is written down does not depend on those numbers: they are fitted in seconds, and anew without the coder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.drafts.stores import LONGEST
from model.loaded import LoadedModel
from model.prompt import at_token_boundary
from model.recall.cursor import Cursor
from model.recall.evidence import gate_features, probabilities
from model.recall.mixer import RecallMixer
from model.recall.proposals import LineRequest, RecallStores
from model.recall.ranking import FEATURES, Forest
from model.recall.taken import NOTHING_TAKEN, Taken
from model.recall.weights import RecallWeights
from model.request import Request
from model.training.cursors import UnseenRepository, asked_completer, nothing_found
from model.training.fim import Cut

_MOST_TOKENS = 64  # of a line
_MOST_LINES = 5  # of a block
_LOOKED_UP_CHARS = 400  # more than LONGEST tokens, but for runs of spaces
_COMPARED = 16  # of the coder's tokens, with all that recall has
_UNFITTED = RecallWeights(
    np.zeros((3, 0)),
    Forest(np.zeros((0, 1), int), np.zeros((0, 1)), np.zeros((0, 2)), 0.0),
    sure=1.0,
    sure_inside=1.0,
)


@dataclass(frozen=True, eq=False)
class Step:
    """One token of a target. `chances`: float [k, 3] of coder, document and repository for the tokens that may be the
    likeliest, the right one first (several that write the same, summed)."""

    features: np.ndarray
    chances: np.ndarray


@dataclass(frozen=True, eq=False)
class RecallSample:
    """`table`: float [candidates, FEATURES]; `right`: which of them are the line. `steps`: the line's tokens."""

    repository: str
    inside: bool
    table: np.ndarray
    right: np.ndarray
    steps: tuple[Step, ...]


class Collector:
    """Samples of one repository under one coder."""

    def __init__(self, repository: UnseenRepository, model: LoadedModel) -> None:
        self._repository = repository
        self._model = model
        self._completer = asked_completer(model)
        self._line_ends = _line_ends(model)

    def sample(self, path: str, cut: Cut) -> RecallSample:
        """What recall proposes at a cut, and for each token of the line what coder and repository give it."""
        request, line = self._repository.request(path, cut), cut.middle.partition("\n")[0]
        self._completer.prepare(request, nothing_found)
        taught = self._completer.teach(request, nothing_found, f"{line}\n", _MOST_TOKENS)
        before = taught.prompt.before
        mixer = RecallMixer(request, taught.prompt, self._model.vocabulary, _UNFITTED)
        table, right, _ = self.candidates(request, line)
        begins = ~self._model.vocabulary.not_beginning(taught.begin, self._model.own_decoder.vocab_size)
        steps = tuple(
            _step(
                mixer,
                [*before, *taught.ids[:n]],
                taught.logits[n],
                [t for t in self._right_tokens(token) if n or begins[t]],
                begins if n == 0 else None,
            )
            for n, token in enumerate(taught.ids)
        )
        return RecallSample(self._repository.name, _inside(cut), table, right, steps)

    def unasked(self, path: str, cut: Cut) -> Iterator[RecallSample]:
        """As `sample`, without what takes the coder: for the ranker. Of a block each of the first lines, as if recall
        had written the one before from where it stands."""
        request, taken, n_lines = self._repository.request(path, cut), NOTHING_TAKEN, 0
        for line in cut.middle.split("\n"):
            if line.strip():
                table, right, taken = self.candidates(request, line, taken)
                yield RecallSample(self._repository.name, _inside(cut), table, right, ())
                n_lines += 1
            if n_lines == _MOST_LINES:
                return
            request = replace(request, prefix=f"{request.prefix}{line}\n")

    def candidates(
        self, request: Request, line: str, taken: Taken = NOTHING_TAKEN
    ) -> tuple[np.ndarray, np.ndarray, Taken]:
        """`table` and `right` of a sample, and what is taken behind its line."""
        vocabulary = self._model.vocabulary
        prefix, _ = at_token_boundary(vocabulary, request.prefix)
        cursor = Cursor.of(request.path, request.prefix, request.suffix)
        ids = vocabulary.encode(prefix[-_LOOKED_UP_CHARS:])[-LONGEST:]
        stores = RecallStores(request.lines, request.tokens, vocabulary)
        proposals = stores.propose(LineRequest(cursor, ids, taken=taken))
        if proposals is None:
            return np.zeros((0, len(FEATURES))), np.zeros(0, bool), taken.otherwise()
        right = np.array([text.strip() == line.strip() for text in proposals.texts], bool)
        behind = proposals.taken[int(right.argmax())] if right.any() else taken.otherwise()
        return proposals.table, right, behind

    def _right_tokens(self, token: int) -> list[int]:
        """Those that write the same; blank lines behind a line's end may differ."""
        text = self._model.vocabulary.token_bytes(token)
        return self._line_ends[text.rstrip()] if b"\n" in text else [token]


def _line_ends(model: LoadedModel) -> dict[bytes, list[int]]:
    """Tokens with a line's end by what stands before it."""
    found: dict[bytes, list[int]] = {}
    for token in range(model.own_decoder.vocab_size):
        text = model.vocabulary.token_bytes(token)
        if b"\n" in text:
            found.setdefault(text.rstrip(), []).append(token)
    return found


def _inside(cut: Cut) -> bool:
    """As `Proposals.inside`."""
    return bool(cut.prefix.rpartition("\n")[2].strip())


def _step(
    mixer: RecallMixer,
    context: Sequence[int],
    logits: np.ndarray,
    right: Sequence[int],
    begins: np.ndarray | None,
) -> Step:
    """`begins`: of the first token, bool [vocab], those that can be it."""
    coder = probabilities(logits)
    own, other = mixer.evidence(context)
    possible = coder if begins is None else np.where(begins, coder, -1.0)
    likely = np.argpartition(-possible, _COMPARED)[:_COMPARED]
    others = list({*likely.tolist(), *own.tokens.tolist(), *other.tokens.tolist()}.difference(right))
    others = [token for token in others if possible[token] >= 0]
    tokens = [*right, *others]
    chances = np.stack([coder[tokens], own.of(tokens), other.of(tokens)], axis=1)
    summed = np.concatenate([chances[: len(right)].sum(axis=0, keepdims=True), chances[len(right) :]])
    return Step(gate_features(own, other, coder, first=begins is not None), summed.astype(np.float32))


def save_samples(samples: Sequence[RecallSample], file: Path) -> None:
    """One array per field, one behind the other, and how long each piece is."""
    steps = [step for sample in samples for step in sample.steps]
    np.savez_compressed(
        file,
        inside=np.array([sample.inside for sample in samples]),
        table=np.concatenate([sample.table for sample in samples]),
        right=np.concatenate([sample.right for sample in samples]),
        n_candidates=np.array([len(sample.table) for sample in samples]),
        n_steps=np.array([len(sample.steps) for sample in samples]),
        features=np.array([step.features for step in steps]),
        chances=np.concatenate([np.zeros((0, 3), np.float32), *(step.chances for step in steps)]),
        n_chances=np.array([len(step.chances) for step in steps]),
    )


def load_samples(repository: str, file: Path) -> list[RecallSample]:
    """What `save_samples` has written of a repository."""
    with np.load(file) as raw:
        tables = _pieces(raw["table"], raw["n_candidates"])
        rights = _pieces(raw["right"], raw["n_candidates"])
        steps = [
            Step(*step)
            for step in zip(raw["features"], _pieces(raw["chances"], raw["n_chances"]), strict=True)
        ]
        ends = np.cumsum(raw["n_steps"]).tolist()
        groups = [tuple(steps[end - n : end]) for end, n in zip(ends, raw["n_steps"].tolist(), strict=True)]
        parts = zip(raw["inside"].tolist(), tables, rights, groups, strict=True)
        return [RecallSample(repository, *part) for part in parts]


def _pieces(values: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    return np.split(values, np.cumsum(lengths)[:-1]) if len(lengths) else []
