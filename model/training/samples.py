"""Stage `samples`: repositories -> completion tasks with the contexts that the server's retrieval finds for them.

Samples hold text, not tokens, so that they serve any coder. What the prompt shows of the file being completed is
never among the contexts, so the answer is not either.
"""

from __future__ import annotations

import json
import math
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from indexer import Hit, Index, Query
from indexer.chunking import Chunk, chunk
from indexer.hierarchy import leaf_text
from indexer.languages import language_of
from indexer.query import SHOWN_AFTER, SHOWN_BEFORE
from model.training.config import ConfigError
from model.training.fim import Cut, cut_at
from model.training.own import read_own
from model.training.sources import SourceRepository
from model.training.tokens import TokenFile, TokenRepository
from model.vocabulary import Vocabulary

_MAX_SIBLINGS = 8
_FEWEST_FILES = 5  # of a repository: fewer leave little to retrieve
Texts = Callable[[], dict[str, str]]  # path -> text of a repository's files, read when it is its turn


@dataclass(frozen=True)
class SamplesConfig:
    """Settings of the stage."""

    out: Path  # a folder: one JSON file per repository
    corpus: Path | None = None  # of the stage `corpus`
    own: Path | None = (
        None  # instead of a corpus: a repository of yours, or a folder of them; nobody else's filters
    )
    repositories: int = 200
    per_repository: int = 40
    hits: int = 10
    max_repository_tokens: int = 160_000
    seed: int = 1


@dataclass(frozen=True)
class Passage:
    """A chunk as retrieval gave it. `leaf` is what the fuser reads: scope header and text."""

    path: str
    text: str
    leaf: str
    signature: str


@dataclass(frozen=True)
class Sample:
    """A cursor and what was retrieved for it: indices into its repository's passages, best first.

    `positive` is the place in `hits` of the passage that shares most with the target, -1 if none shares anything.
    """

    path: str
    prefix: str
    middle: str
    suffix: str
    hits: tuple[int, ...]
    positive: int
    siblings: tuple[int, ...]  # passages of the best hit's file, in order: the children of a file node


@dataclass(frozen=True)
class RepositorySamples:
    name: str
    passages: tuple[Passage, ...]
    samples: tuple[Sample, ...]


def run(config: SamplesConfig) -> None:
    """Write the samples of repositories in random order; those that are already there are not made again. Raises
    ConfigError where there is nothing to make them of."""
    if (config.corpus is None) == (config.own is None):
        raise ConfigError(
            "samples are made of one of `corpus` (stage `corpus` makes it) and `own` (your code)"
        )
    chosen = _of_corpus(config, config.corpus) if config.corpus else _of_own(config.own or Path())
    random.Random(config.seed).shuffle(chosen)
    config.out.mkdir(parents=True, exist_ok=True)
    for name, texts in chosen[: config.repositories]:
        file = config.out / f"{name.replace('/', '+')}.json"
        if not file.exists():
            found = sample_repository(name, texts(), config)
            beside = file.with_suffix(".tmp")
            beside.write_text(json.dumps(asdict(found)), encoding="utf-8")
            os.replace(beside, file)


def _of_corpus(config: SamplesConfig, folder: Path) -> list[tuple[str, Texts]]:
    if not (folder / "index.json").is_file():
        raise ConfigError(f"{folder} is no corpus: the stage `corpus` makes one")
    corpus = TokenFile.load(folder)
    vocabulary = Vocabulary.load(folder / "tokenizer" / "tokenizer.json")
    return [
        (r.name, partial(texts_of, corpus, r, vocabulary))
        for r in corpus.repositories
        if len(r.files) >= _FEWEST_FILES and r.n_tokens <= config.max_repository_tokens
    ]


def _of_own(folder: Path) -> list[tuple[str, Texts]]:
    found: list[tuple[str, Texts]] = [
        (r.name, partial(_texts, r)) for r in read_own(folder) if len(r.files) >= _FEWEST_FILES
    ]
    if not found:
        raise ConfigError(
            f"{folder} has no repository with {_FEWEST_FILES} files of code that can be learned from"
        )
    return found


def _texts(repository: SourceRepository) -> dict[str, str]:
    return {file.path: file.text for file in repository.files}


def read_samples(folder: Path) -> Iterator[RepositorySamples]:
    for file in sorted(folder.glob("*.json")):
        raw = json.loads(file.read_text(encoding="utf-8"))
        passages = tuple(Passage(**p) for p in raw["passages"])
        samples = tuple(map(_sample_of, raw["samples"]))
        yield RepositorySamples(raw["name"], passages, samples)


def divide(
    repositories: Sequence[RepositorySamples], share: float, seed: int
) -> tuple[tuple[RepositorySamples, ...], tuple[RepositorySamples, ...]]:
    """Those that are learned from, and a share of them, at least one, that is left out; of a single one none is."""
    with_samples = [repository for repository in repositories if repository.samples]
    count = max(0, min(math.ceil(share * len(with_samples)), len(with_samples) - 1))
    names = sorted(repository.name for repository in with_samples)
    out = set(random.Random(f"{seed} left out").sample(names, count))
    learned = tuple(r for r in with_samples if r.name not in out)
    return learned, tuple(r for r in with_samples if r.name in out)


def _sample_of(raw: dict[str, Any]) -> Sample:
    return Sample(**(raw | {"hits": tuple(raw["hits"]), "siblings": tuple(raw["siblings"])}))


def texts_of(corpus: TokenFile, repository: TokenRepository, vocabulary: Vocabulary) -> dict[str, str]:
    """Path -> text of a repository's files."""
    decode = vocabulary.tokenizer.decode
    return {f.path: decode(corpus.tokens[f.start : f.end].tolist()) for f in repository.files}


def sample_repository(name: str, texts: dict[str, str], config: SamplesConfig) -> RepositorySamples:
    """Index the files as the server does and ask for the contexts of random cursors."""
    rng = random.Random(f"{config.seed} {name}")
    collected = _Collector(texts)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "repository"
        for path, text in texts.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="")
        index = Index.open(root, None, Path(folder) / "cache")
        try:
            index.update()
            for path, cut in _cuts(texts, config.per_repository, rng):
                hidden = _shown_lines(cut)
                hits = index.search(Query(path, cut.prefix, cut.suffix, None, hidden), config.hits)
                collected.add(path, cut, hidden, hits)
        finally:
            index.close()
    return RepositorySamples(name, tuple(collected.passages), tuple(collected.samples))


class _Collector:
    """Turns hits into samples; owns the repository's list of passages."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.passages: dict[Passage, int] = {}
        self.samples: list[Sample] = []
        self._chunks = {path: chunk(text, language_of(path)) for path, text in texts.items()}

    def add(self, path: str, cut: Cut, hidden: tuple[int, int], hits: Sequence[Hit]) -> None:
        places = ((hit.path, hit.first_line) for hit in hits if hit.level == "chunk")
        found = [_passage(p, c) for p, line in places for c in self._chunks[p] if c.first_line == line]
        found = list(dict.fromkeys(found))
        if not found:
            return
        siblings = [
            _passage(found[0].path, c)
            for c in self._chunks[found[0].path]
            if found[0].path != path or c.last_line < hidden[0] or c.first_line > hidden[1]
        ]
        self.samples.append(
            Sample(
                path,
                cut.prefix[-2 * SHOWN_BEFORE :],
                cut.middle,
                cut.suffix[: 2 * SHOWN_AFTER],
                self._places(found),
                best_match(cut, found),
                self._places(siblings[:_MAX_SIBLINGS]),
            )
        )

    def _places(self, passages: Sequence[Passage]) -> tuple[int, ...]:
        return tuple(self.passages.setdefault(p, len(self.passages)) for p in passages)


def _passage(path: str, piece: Chunk) -> Passage:
    return Passage(path, piece.text, leaf_text(piece), piece.signature)


def _shown_lines(cut: Cut) -> tuple[int, int]:
    """First and last line (1-based) of the file that a prompt can show."""
    first = max(0, len(cut.prefix) - SHOWN_BEFORE)
    shown = cut.prefix[first:] + cut.middle + cut.suffix[:SHOWN_AFTER]
    first_line = cut.prefix.count("\n", 0, first) + 1
    return first_line, first_line + shown.count("\n")


def _cuts(texts: dict[str, str], n: int, rng: random.Random) -> Iterator[tuple[str, Cut]]:
    """Random cursors, in proportion to the length of the files."""
    paths = sorted(texts)
    for path in rng.choices(paths, [len(texts[p]) for p in paths], k=n):
        text = texts[path]
        cut = cut_at(text, rng.randrange(len(text)), rng)
        if cut is not None:
            yield path, cut


def best_match(cut: Cut, passages: Sequence[Passage]) -> int:
    """The passage that shares most words with the target; words that many passages have count less."""
    words = [set(_words(p.text)) for p in passages]
    counts = Counter(word for own in words for word in own)
    target = set(_words(cut.middle))
    scores = [sum(1 / counts[word] for word in target & own) for own in words]
    best = max(range(len(scores)), key=scores.__getitem__)
    return best if scores[best] > 0 else -1


def _words(text: str) -> list[str]:
    return [
        word for word in "".join(c if c.isalnum() or c == "_" else " " for c in text).split() if len(word) > 2
    ]
