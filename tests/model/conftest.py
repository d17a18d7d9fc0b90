"""One tiny checkpoint for all tests of the model; each test loads its own decoder, because a decoder has a cache."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from model.loaded import LoadedModel
from model.loading import load_model
from model.vocabulary import Vocabulary
from tests.qwen_checkpoint import write_qwen_checkpoint
from tests.tiny_checkpoint import tiny_tokenizer, write_tiny_checkpoint


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture
def tiny_model(tiny_folder: Path) -> LoadedModel:
    return load_model(str(tiny_folder), device="cpu")


@pytest.fixture
def joining_model(tiny_model: LoadedModel) -> LoadedModel:
    """Its tokens join a line's end with the next one's indentation, so that the model writes that end again."""
    tokenizer = tiny_tokenizer(joins_lines=True)
    return replace(tiny_model, vocabulary=Vocabulary(json.loads(tokenizer.to_str())))


@pytest.fixture(scope="session")
def vocabulary(tiny_folder: Path) -> Vocabulary:
    return Vocabulary.load(tiny_folder / "tokenizer.json")


@pytest.fixture(scope="session")
def qwen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen_checkpoint(tmp_path_factory.mktemp("checkpoint") / "qwen")


@pytest.fixture
def qwen_model(qwen_folder: Path) -> LoadedModel:
    return load_model(str(qwen_folder), device="cpu")
