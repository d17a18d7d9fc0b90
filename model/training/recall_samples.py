"""Cursors in repositories that the coder has not seen, with everything that recall's numbers are fitted to.

What is written down does not depend on those numbers: they are fitted in seconds, and anew without the coder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.layout import DocumentName
from model.loaded import LoadedModel
from model.prompt import Budget, Prompt, at_token_boundary, build_prompt, empty_head
from model.recall.evidence import gate_features, probabilities
from model.recall.mixer import RecallMixer
from model.recall.ranking import FEATURES, Forest
from model.recall.weights import RecallWeights
from model.request import Request
from model.training.cursors import UnseenRepository
from model.training.fim import Cut

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
        self._line_ends = _line_ends(model)

    def sample(self, path: str, cut: Cut) -> RecallSample:
        """What recall proposes at a cut, and for each token of the line what coder and repository give it."""
        repository = self._repository
        request = Request(path, cut.prefix, cut.suffix, tokens=repository.tokens, lines=repository.lines)
        prefix, begin = at_token_boundary(self._model.vocabulary, cut.prefix)
        line = cut.middle.partition("\n")[0]
        target = self._model.vocabulary.encode(f"{begin}{line}\n")
        name = DocumentName(path, repository.name)
        prompt, logits = self._logits(name, prefix, cut.suffix, target)
        mixer = RecallMixer(request, prompt, self._model.vocabulary, _UNFITTED)
        proposals = mixer.propose(prompt.before, ())
        table = np.zeros((0, len(FEATURES))) if proposals is None else proposals.table
        texts = () if proposals is None else proposals.texts
        right = np.array([text.strip() == line.strip() for text in texts], bool)
        steps = tuple(
            _step(mixer, [*prompt.before, *target[:n]], logits[n], self._right_tokens(token), first=n == 0)
            for n, token in enumerate(target)
        )
        return RecallSample(repository.name, bool(prefix.rpartition("\n")[2].strip()), table, right, steps)

    def _right_tokens(self, token: int) -> list[int]:
        """Those that write the same; blank lines behind a line's end may differ."""
        text = self._model.vocabulary.token_bytes(token)
        return self._line_ends[text.rstrip()] if b"\n" in text else [token]

    def _logits(
        self, name: DocumentName, prefix: str, suffix: str, target: Sequence[int]
    ) -> tuple[Prompt, np.ndarray]:
        """The prompt without context, and the coder's logits behind it and behind each but the last of `target`."""
        model, decoder = self._model, self._model.decoder
        budget = Budget(decoder.capacity - len(target), 192)
        head = empty_head(decoder.hidden_size)
        prompt = build_prompt(model.vocabulary, model.fim_order, head, prefix, suffix, budget, name)
        decoder.rewind(0)
        decoder.extend(decoder.embed(prompt.ids[:-1]))
        return prompt, decoder.extend(decoder.embed([*prompt.ids[-1:], *target[:-1]]), all_rows=True)


def _line_ends(model: LoadedModel) -> dict[bytes, list[int]]:
    """Tokens with a line's end by what stands before it."""
    found: dict[bytes, list[int]] = {}
    for token in range(model.decoder.vocab_size):
        text = model.vocabulary.token_bytes(token)
        if b"\n" in text:
            found.setdefault(text.rstrip(), []).append(token)
    return found


def _step(
    mixer: RecallMixer, context: Sequence[int], logits: np.ndarray, right: Sequence[int], *, first: bool
) -> Step:
    coder = probabilities(logits)
    own, other = mixer.evidence(context)
    likely = np.argpartition(-coder, _COMPARED)[:_COMPARED]
    others = list({*likely.tolist(), *own.tokens.tolist(), *other.tokens.tolist()}.difference(right))
    tokens = [*right, *others]
    chances = np.stack([coder[tokens], own.of(tokens), other.of(tokens)], axis=1)
    summed = np.concatenate([chances[: len(right)].sum(axis=0, keepdims=True), chances[len(right) :]])
    return Step(gate_features(own, other, coder, first=first), summed.astype(np.float32))


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
        features=np.stack([step.features for step in steps]),
        chances=np.concatenate([step.chances for step in steps]),
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
    return np.split(values, np.cumsum(lengths)[:-1])
