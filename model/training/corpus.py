"""Stage `corpus`: folders of repositories -> tokenizer, token file, manifest.

Python, and of other languages a share that the settings say. Repositories stay whole as far as their byte budget goes,
because cross-file context needs them; a budget per repository buys variety. What is left out is counted by reason.
"""

from __future__ import annotations

import json
import lzma
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath

from tokenizers import Tokenizer

from model.evaluation.tasks import PYTHON
from model.training.archives import language_of_files, read_by_language
from model.training.bpe import save_tokenizer, train_tokenizer
from model.training.config import ConfigError
from model.training.filters import (
    NearDuplicates,
    Overlap,
    is_test,
    may_use,
    measured_names,
    read_exclusions,
    why_not,
    without_license_header,
)
from model.training.own import read_own
from model.training.sources import SourceFile, SourceRepository, read_checkouts, read_library, read_wheels
from model.training.tokens import TokenWriter


@dataclass(frozen=True)
class CorpusConfig:
    """Settings of the stage. Sizes in bytes of source text."""

    out: Path
    checkouts: tuple[Path, ...] = ()
    wheels: tuple[Path, ...] = ()
    archives: tuple[
        Path, ...
    ] = ()  # folders of npm's, Debian's and sdists' archives: other languages than Python
    repositories: tuple[
        Path, ...
    ] = ()  # yours: a repository each, or a folder of them; no license is asked for
    library: Path | None = None  # the standard library; None: the running interpreter's
    with_library: bool = True
    tokenizer: Path | None = (
        None  # folder of a finished one, for repositories that a trained model is tried on
    )
    exclude: tuple[Path, ...] = ()  # files of names, one per line
    tasks: tuple[Path, ...] = ()  # evaluation tasks (JSONL, .xz): no file may share a window with theirs
    window: int = 50
    checkout_bytes: int = 500_000
    wheel_bytes: int = 220_000
    archive_bytes: int = 220_000
    foreign_share: float = 0.3  # of all of it at most, each language as much as any other
    test_share: float = 0.15
    vocab_size: int = 4096
    tokenizer_bytes: int = 40_000_000
    max_length: int = 2048
    seed: int = 1


@dataclass(frozen=True)
class ManifestEntry:
    name: str
    version: str
    license: str
    files: int
    bytes: int
    tokens: int = 0
    language: str = PYTHON


@dataclass
class Selection:
    """What was taken, and how much was left out for which reason."""

    repositories: list[SourceRepository] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    copies: NearDuplicates = field(default_factory=NearDuplicates)
    names: set[str] = field(default_factory=set)

    @property
    def n_chars(self) -> int:
        return sum(map(_n_chars, self.repositories))


def run(config: CorpusConfig) -> list[ManifestEntry]:
    """Build everything under `config.out`; returns the manifest, which is also written there."""
    check_sources(config)
    overlap = Overlap(task_texts(config.tasks), config.window)
    listed = read_exclusions(line for file in config.exclude for line in file.read_text().splitlines())
    excluded = listed | measured_names()
    chosen = select(_repositories(config), excluded, overlap, config)
    add_foreign(chosen, excluded, overlap, config)
    tokenizer = _tokenizer([f.text for r in chosen.repositories for f in r.files], config)
    tokenizer.encode_special_tokens = True  # A control token that a file spells out is text like any other.
    writer, manifest = TokenWriter(), []
    for repository in chosen.repositories:
        encodings = tokenizer.encode_batch([f.text for f in repository.files], add_special_tokens=False)
        ids = [e.ids for e in encodings]
        paths = [f.path for f in repository.files]
        writer.add(
            repository.name, repository.version, repository.license or "", zip(paths, ids, strict=True)
        )
        manifest.append(replace(_entry(repository), tokens=sum(map(len, ids))))
    writer.save(config.out)
    _write_manifest(config.out / "manifest.json", manifest, chosen.left_out)
    return manifest


def _tokenizer(texts: list[str], config: CorpusConfig) -> Tokenizer:
    """The finished tokenizer that was asked for, else one trained on these texts; it lies beside the tokens."""
    if config.tokenizer:
        (config.out / "tokenizer").mkdir(parents=True, exist_ok=True)
        for file in config.tokenizer.glob("tokenizer*.json"):
            shutil.copyfile(file, config.out / "tokenizer" / file.name)
        return Tokenizer.from_file(str(config.out / "tokenizer" / "tokenizer.json"))
    tokenizer = train_tokenizer(
        _sample(texts, config.tokenizer_bytes, random.Random(config.seed)), config.vocab_size
    )
    save_tokenizer(tokenizer, config.out / "tokenizer", config.max_length)
    return tokenizer


def task_texts(files: Iterable[Path]) -> Iterator[str]:
    """The whole files of the evaluation tasks, each once."""
    seen = set()
    for file in files:
        read = lzma.open if file.suffix == ".xz" else open
        with read(file, "rt", encoding="utf-8") as lines:
            for task in map(json.loads, lines):
                if (task["repo"], task["path"]) not in seen:
                    seen.add((task["repo"], task["path"]))
                    yield task["prefix"] + task["target"] + task["suffix"]


def select(
    repositories: Iterable[tuple[SourceRepository, int]],
    excluded: set[str],
    overlap: Overlap,
    config: CorpusConfig,
    chosen: Selection | None = None,
) -> Selection:
    """Filter the repositories, each with its byte budget, and add them to `chosen`; the order of the input decides
    which copy stays."""
    chosen, rng = chosen or Selection(), random.Random(config.seed)
    for repository, budget in repositories:
        basename = repository.name.rsplit("/", 1)[-1].lower()
        reason = "duplicate repository" if basename in chosen.names else may_use(repository, excluded)
        if reason:
            chosen.left_out[reason] += 1
            continue

        def is_good(file: SourceFile) -> bool:
            return _is_good(file, overlap, chosen.copies, chosen.left_out)

        kept = _within_budget(repository.files, budget, config.test_share, rng, is_good)
        if kept:
            chosen.names.add(basename)
            chosen.repositories.append(replace(repository, files=kept))
    return chosen


def add_foreign(chosen: Selection, excluded: set[str], overlap: Overlap, config: CorpusConfig) -> None:
    """Add what the archives have of other languages until it is `foreign_share` of all, as much of each language; what
    one has too little of, others do not make up for."""
    by_language = read_by_language(config.archives)
    n_python = chosen.n_chars
    room = int(n_python * config.foreign_share / (1 - config.foreign_share)) if by_language else 0
    for repositories in by_language.values():
        left = room // len(by_language)
        for repository in repositories:
            n_before = chosen.n_chars
            select([(repository, min(left, config.archive_bytes))], excluded, overlap, config, chosen)
            left -= chosen.n_chars - n_before


def _n_chars(repository: SourceRepository) -> int:
    return sum(len(file.text) for file in repository.files)


def _is_good(file: SourceFile, overlap: Overlap, copies: NearDuplicates, left_out: Counter[str]) -> bool:
    reason = why_not(file.path, file.text)
    if reason is None and overlap.shares(file.text):
        reason = "overlap with tasks"
    if reason is None and not copies.take(file.text):
        reason = "copy"
    if reason:
        left_out[reason] += 1
    return reason is None


def _within_budget(
    files: Iterable[SourceFile],
    budget: int,
    test_share: float,
    rng: random.Random,
    is_good: Callable[[SourceFile], bool],
) -> tuple[SourceFile, ...]:
    """Whole folders in random order until the budget is full, tests up to their share; order of paths is kept."""
    folders: dict[str, list[SourceFile]] = {}
    for file in (replace(f, text=without_license_header(f.text)) for f in files):
        folders.setdefault(str(PurePosixPath(file.path).parent), []).append(file)
    order = sorted(folders)
    rng.shuffle(order)
    left = {True: int(budget * test_share), False: budget}
    kept = []
    for file in (f for folder in order for f in folders[folder]):
        # The budget first: the other checks read the whole text.
        if left[is_test(file.path)] >= len(file.text) and is_good(file):
            left[is_test(file.path)] -= len(file.text)
            kept.append(file)
    return tuple(sorted(kept, key=lambda f: f.path))


def check_sources(config: CorpusConfig) -> None:
    """Raises ConfigError that names everything that the settings mean and that is not there."""
    wanted = (
        ("checkouts", config.checkouts, "a folder of checkouts `owner+name`, each with a file .commit"),
        ("wheels", config.wheels, "a folder of `pip download --no-deps --only-binary=:all: NAME ...`"),
        (
            "archives",
            config.archives,
            "a folder of archives: `npm pack`, `apt-get source --download-only`, sdists",
        ),
        ("repositories", config.repositories, "a repository of yours, or a folder of them"),
        ("exclude", config.exclude, "a list of repositories and packages to leave out, one name a line"),
        ("tasks", config.tasks, "evaluation tasks (JSONL, .xz), with which no file may share text"),
        ("tokenizer", (config.tokenizer,) if config.tokenizer else (), "a folder with a tokenizer.json"),
    )
    missing = [
        f"  {name}: {path}, {what}" for name, paths, what in wanted for path in paths if not path.exists()
    ]
    if missing:
        raise ConfigError("\n".join(["the corpus is made of what is not here:", *missing]))


def _repositories(config: CorpusConfig) -> Iterator[tuple[SourceRepository, int]]:
    for folder in config.repositories:
        yield from ((r, config.checkout_bytes) for r in read_own(folder))
    for folder in config.checkouts:
        yield from ((r, config.checkout_bytes) for r in read_checkouts(folder))
    if config.with_library:
        library = config.library or Path(json.__file__).parent.parent
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        yield read_library(library, "python-standard-library", version, "PSF-2.0"), 4 * config.checkout_bytes
    for folder in config.wheels:
        yield from ((r, config.wheel_bytes) for r in read_wheels(folder))


def _sample(texts: list[str], n_bytes: int, rng: random.Random) -> list[str]:
    order = rng.sample(range(len(texts)), len(texts))
    kept, size = [], 0
    for i in order:
        if size >= n_bytes:
            break
        kept.append(texts[i])
        size += len(texts[i])
    return kept


def _entry(repository: SourceRepository) -> ManifestEntry:
    size = sum(len(f.text.encode()) for f in repository.files)
    return ManifestEntry(
        repository.name,
        repository.version,
        repository.license or "",
        len(repository.files),
        size,
        language=language_of_files(repository.files),
    )


def _write_manifest(file: Path, manifest: list[ManifestEntry], left_out: Counter[str]) -> None:
    table = {"repositories": [asdict(e) for e in manifest], "left_out": dict(left_out.most_common())}
    file.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
