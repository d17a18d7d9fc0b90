"""A tiny corpus through the real stages: repositories on disk -> tokenizer, token file, samples."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from model.training import corpus
from model.training.corpus import CorpusConfig
from model.training.samples import RepositorySamples, SamplesConfig, sample_repository, texts_of
from model.training.tokens import TokenFile
from model.vocabulary import Vocabulary

MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"
GPL = "GNU GENERAL PUBLIC LICENSE Version 3"


def module_text(name: str, n: int = 6, calls: str = "shared") -> str:
    """A module of small functions that call those of another; no two names share their text."""
    functions = [
        f"def {name}_{i}(value, other={i}):\n"
        f'    """Return the {name} of value number {i}."""\n'
        f"    total = value * {i + 2} + other\n"
        f"    for step in range({i + 1}):\n"
        f"        total += {calls}_{i}(step) if step else {name}\n"
        f"    return total\n"
        for i in range(n)
    ]
    return f"from {calls} import {name}\n\n\n" + "\n\n".join(functions)


def write_checkout(folder: Path, name: str, files: dict[str, str], license_text: str = MIT) -> Path:
    root = folder / name
    for path, text in {"LICENSE": license_text, ".commit": "abc123\n", **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def write_wheel(folder: Path, name: str, version: str, metadata: str, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}-{version}.dist-info/METADATA", metadata)
        for path, text in files.items():
            wheel.writestr(path, text)


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two repositories of five modules each, tokenized with 330 tokens."""
    folder = tmp_path_factory.mktemp("corpus")
    for owner, words in {
        "ann+zoo": "lion bear wolf crow toad",
        "bob+kitchen": "soup cake rice bean corn",
    }.items():
        names = words.split()
        following = zip(names, names[1:] + names[:1], strict=True)
        files = {f"package/{name}.py": module_text(name, calls=after) for name, after in following}
        write_checkout(folder / "checkouts", owner, files)
    (folder / "library").mkdir()
    config = CorpusConfig(
        out=folder / "out", checkouts=(folder / "checkouts",), library=folder / "library", vocab_size=330
    )
    corpus.run(config)
    return config.out


@pytest.fixture(scope="session")
def token_file(corpus_folder: Path) -> TokenFile:
    return TokenFile.load(corpus_folder)


@pytest.fixture(scope="session")
def corpus_vocabulary(corpus_folder: Path) -> Vocabulary:
    return Vocabulary.load(corpus_folder / "tokenizer" / "tokenizer.json")


@pytest.fixture(scope="session")
def samples(token_file: TokenFile, corpus_vocabulary: Vocabulary) -> list[RepositorySamples]:
    config = SamplesConfig(corpus=Path(), out=Path(), per_repository=12, hits=4)
    return [
        sample_repository(r.name, texts_of(token_file, r, corpus_vocabulary), config)
        for r in token_file.repositories
    ]
