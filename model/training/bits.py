"""How well a coder foresees code of each language, in bits per byte: comparable over tokenizers, unlike nats per token.

The texts are files of repositories that nothing was trained on, read from their beginning behind the mark that
separates texts, each as far as one window goes.
"""

from __future__ import annotations

import hashlib
import json
import math
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import torch

from indexer.languages import TEXT
from model.engines.torch.qwen2 import Qwen2
from model.evaluation.sampling import interval
from model.training.archives import language_of_files
from model.training.filters import is_test, why_not
from model.training.losses import scored
from model.training.sources import SourceFile, decode
from model.vocabulary import Vocabulary

_CHUNK = 1024


@dataclass(frozen=True)
class LanguageBits:
    """Of `files` in `repositories`; `interval`: 95 %, bootstrap by repository."""

    language: str
    repositories: int
    files: int
    bytes: int
    bits_per_byte: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class HeldOut:
    """One file that is weighed."""

    repository: str
    language: str
    file: SourceFile


def measure_bits(
    coder: Qwen2, vocabulary: Vocabulary, files: Iterable[HeldOut], window: int
) -> list[LanguageBits]:
    """Of each language of these files, names in order."""
    weighed: dict[str, list[tuple[str, float, int]]] = {}
    for held in files:
        bits, n_bytes = _bits(coder, vocabulary, held.file.text, window)
        weighed.setdefault(held.language, []).append((held.repository, bits, n_bytes))
    return [_of_language(language, rows) for language, rows in sorted(weighed.items())]


def _of_language(language: str, rows: Sequence[tuple[str, float, int]]) -> LanguageBits:
    repositories = sorted({name for name, _, _ in rows})
    n_bytes = sum(n for _, _, n in rows)
    # A repository's own figure counts once in the interval: they are of about the same size.
    own = [_rate([row for row in rows if row[0] == name]) for name in repositories]
    return LanguageBits(
        language, len(repositories), len(rows), n_bytes, _rate(rows), interval(own, repositories)
    )


def _rate(rows: Sequence[tuple[str, float, int]]) -> float:
    return sum(bits for _, bits, _ in rows) / sum(n for _, _, n in rows)


@torch.no_grad()
def _bits(coder: Qwen2, vocabulary: Vocabulary, text: str, window: int) -> tuple[float, int]:
    """Of the first `window` tokens, and the bytes that they are."""
    ids = vocabulary.encode(text)[:window]
    row = torch.tensor([vocabulary.fim.end, *ids], device=coder.head.device)
    hidden = coder(coder.embed(row[None, :-1]))[0]
    losses = scored(hidden, coder.head, row[1:], _CHUNK).losses
    return float(losses.double().sum()) / math.log(2), sum(len(vocabulary.token_bytes(i)) for i in ids)


def held_out_files(archives: Iterable[Path], per_language: int) -> list[HeldOut]:
    """At most so many files of each language, evenly over the repositories of `repos.tar.xz` archives, as the stages
    `fresh` and `foreign` write them; no tests, and nothing that is not learned from, either."""
    repositories: dict[str, dict[str, list[SourceFile]]] = {}
    for archive in archives:
        for name, file in _files(archive):
            language = TEXT if file.path.endswith(".h") else language_of_files([file])  # C's or C++'s
            if language != TEXT and not is_test(file.path) and why_not(file.path, file.text) is None:
                repositories.setdefault(name, {}).setdefault(language, []).append(file)
    # A repository counts for the language that most of its files are of.
    main = {name: max(kinds, key=lambda kind: len(kinds[kind])) for name, kinds in repositories.items()}
    found: list[HeldOut] = []
    for language in sorted(set(main.values())):
        mine = {
            name: sorted(kinds[language], key=_lot)
            for name, kinds in repositories.items()
            if main[name] == language
        }
        found += _evenly(mine, language, per_language)
    return found


def _evenly(mine: Mapping[str, list[SourceFile]], language: str, n: int) -> list[HeldOut]:
    most = max(map(len, mine.values()))
    in_turn = (
        (name, files[i]) for i in range(most) for name, files in sorted(mine.items()) if i < len(files)
    )
    return [HeldOut(name, language, file) for (name, file), _ in zip(in_turn, range(n), strict=False)]


def _files(archive: Path) -> Iterator[tuple[str, SourceFile]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            name, _, path = member.name.partition("/")
            stream = tar.extractfile(member) if member.isfile() and path else None
            text = decode(stream.read()) if stream and PurePosixPath(path).suffix else None
            if text:
                yield name, SourceFile(path, text)


def _lot(file: SourceFile) -> bytes:
    return hashlib.sha256(file.path.encode()).digest()


def save_bits(found: Sequence[LanguageBits], file: Path) -> None:
    """One JSON line each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(asdict(one)) + "\n" for one in found), encoding="utf-8")


def read_bits(file: Path) -> list[LanguageBits]:
    """What `save_bits` wrote to `file`."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [LanguageBits(**(line | {"interval": tuple(line["interval"])})) for line in lines]


def bits_table(found: Sequence[LanguageBits]) -> str:
    """Markdown, for the model card."""
    head = ["| language | repositories | files | kB | bits per byte | 95 % |", "| --- " + "| ---: " * 5 + "|"]
    rows = [
        f"| {one.language} | {one.repositories} | {one.files} | {one.bytes // 1000} | {one.bits_per_byte:.3f} "
        f"| {one.interval[0]:.3f} to {one.interval[1]:.3f} |"
        for one in found
    ]
    return "\n".join([*head, *rows])
