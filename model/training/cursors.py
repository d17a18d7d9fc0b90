"""Cursors in repositories that the coder has not seen: what the stages `recall` and `confidence` are fitted at."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from indexer import LineIndex, SuffixIndex
from model.blocks.block import SPAN
from model.completer import Completer
from model.loaded import LoadedModel
from model.loading import load_model
from model.repository import ContextItem, RetrievalQuery
from model.request import Mixing, Request, unmixed
from model.settings import ModelSettings
from model.training.fim import Cut, cut_at
from model.vocabulary import Vocabulary

_MAX_CHARS = 200_000  # of a file
T = TypeVar("T")


class CursorConfig(Protocol):
    """What such a stage is told: `RecallConfig` and `ConfidenceConfig`."""

    @property
    def repositories(self) -> Path: ...
    @property
    def samples(self) -> Path: ...
    @property
    def coder(self) -> str: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True, eq=False)
class UnseenRepository:
    """The Python files of a repository, path -> text, and what an index keeps of them for recall."""

    name: str
    texts: Mapping[str, str]
    lines: LineIndex
    tokens: SuffixIndex

    @classmethod
    def read(cls, folder: Path, vocabulary: Vocabulary) -> UnseenRepository:
        """All files but those that are huge or no text."""
        texts = dict(_read_texts(folder))
        lines, tokens = LineIndex(), SuffixIndex()
        lines.update(texts)
        tokens.update({path: np.array(vocabulary.encode(text), np.int32) for path, text in texts.items()})
        return cls(folder.name, texts, lines, tokens)

    def request(self, path: str, cut: Cut) -> Request:
        """At a cut, with the repository and without a deadline."""
        return Request(
            path, cut.prefix, cut.suffix, deadline_ms=float("inf"), tokens=self.tokens, lines=self.lines
        )

    def cursors(self, n: int, kinds: Mapping[str, float], rng: random.Random) -> Iterator[tuple[str, Cut]]:
        """n places where code is wanted, in proportion to the length of the files. `kinds`: shares of `Cut.kind`."""
        paths = sorted(path for path, text in self.texts.items() if text.strip())
        sizes = [len(self.texts[path]) for path in paths]
        while n:
            path = rng.choices(paths, sizes)[0]
            kind = rng.choices(list(kinds), list(kinds.values()))[0]
            cut = cut_at(self.texts[path], rng.randrange(len(self.texts[path])), rng, kind)
            if cut and not cut.middle.lstrip().startswith("#"):
                n -= 1
                yield path, cut


def nothing_found(query: RetrievalQuery) -> tuple[ContextItem, ...]:
    """`Retrieve` of a repository that has no more to be read than what stands around the cursor."""
    return ()


def asked_completer(model: LoadedModel, mixing: Mixing = unmixed) -> Completer:
    """Reads what it does in an editor, the text below the cursor's line included, but nothing retrieved, which would
    take several times as long. What of the document is left out of the window gets at most a block."""
    return Completer(model, ModelSettings(block_tokens=SPAN), mixing=mixing)


def collect(
    config: CursorConfig,
    work_out: Callable[[UnseenRepository, LoadedModel, random.Random], Sequence[T]],
    save: Callable[[Sequence[T], Path], None],
    load: Callable[[str, Path], Sequence[T]],
) -> list[T]:
    """What is worked out in every repository. What an earlier run has saved is read, and no coder loaded for it."""
    model = None
    found: list[T] = []
    for folder in sorted(path for path in config.repositories.iterdir() if path.is_dir()):
        file = config.samples / f"{folder.name}.npz"
        if not file.exists():
            model = model or load_model(config.coder)
            rng = random.Random(f"{config.seed} {folder.name}")
            samples = work_out(UnseenRepository.read(folder, model.vocabulary), model, rng)
            config.samples.mkdir(parents=True, exist_ok=True)
            beside = file.with_suffix(".tmp.npz")
            save(samples, beside)
            os.replace(beside, file)
        found += load(folder.name, file)
    return found


def _read_texts(folder: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.rglob("*.py")):
        try:
            text = file.read_bytes().decode("utf-8").replace("\r\n", "\n")
        except (OSError, UnicodeDecodeError):
            continue
        if len(text) <= _MAX_CHARS:
            yield file.relative_to(folder).as_posix(), text
