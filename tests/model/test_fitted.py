"""Recall and confidence lie beside the weights or beside the adapter, and it is told which are in force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lsp_server.loading import describe
from model.checkpoint.opening import write_checksums
from model.confidence import FEATURES, Confidence
from model.loaded import LoadedModel
from model.loading import load_model
from model.recall.ranking import Forest
from model.recall.weights import RecallWeights
from model.settings import EMBEDDED_TINY
from tests.tiny_checkpoint import write_tiny_checkpoint

FOREST = Forest(np.zeros((1, 1), np.int64), np.zeros((1, 1)), np.zeros((1, 2)), 0.0)


def recall(sure: float) -> RecallWeights:
    return RecallWeights(np.zeros((3, 16)), FOREST, sure=sure, sure_inside=sure)


def fit(folder: Path, sure: float) -> None:
    recall(sure).save(folder)
    Confidence(np.full(len(FEATURES), sure)).save(folder)
    write_checksums(folder)


@pytest.fixture
def coder(tmp_path: Path) -> Path:
    return write_tiny_checkpoint(tmp_path / "coder", adapter=False)


def loaded(coder: Path, adapter: Path, tmp_path: Path) -> LoadedModel:
    return load_model(str(coder), adapter=str(adapter), embedded=tmp_path / "absent")


def test_what_was_fitted_is_found_beside_the_adapter(coder: Path, tmp_path: Path) -> None:
    adapter = write_tiny_checkpoint(tmp_path / "adapter")
    assert loaded(coder, adapter, tmp_path).recall is None
    fit(adapter, 0.3)
    model = loaded(coder, adapter, tmp_path)
    assert model.recall is not None
    assert model.confidence is not None
    assert model.recall.sure == 0.3
    fit(coder, 0.6)
    model = loaded(coder, adapter, tmp_path)
    assert model.recall is not None
    assert model.recall.sure == 0.3  # the user named this folder


def test_an_adapter_of_another_coder_brings_nothing(coder: Path, tmp_path: Path) -> None:
    other = write_tiny_checkpoint(tmp_path / "other", seed=5)
    fit(other, 0.3)
    model = loaded(coder, other, tmp_path)
    assert (model.pseudo, model.recall, model.confidence) == (None, None, None)


def test_it_is_told_which_bounds_are_in_force(coder: Path) -> None:
    bare = replace(load_model(str(coder)), recall=None, confidence=None)
    assert describe(bare).endswith("; no recall, confidence unknown")
    foreign = replace(bare, recall=recall(0.3).for_another_coder())
    assert describe(foreign).endswith("; recall with the bounds for another coder, confidence unknown")
    own = replace(bare, recall=recall(0.3), confidence=Confidence(np.zeros(len(FEATURES))))
    assert describe(own).endswith("; recall fitted, confidence fitted")
    tiny = replace(own, name=EMBEDDED_TINY)
    assert describe(tiny).endswith("; learned Python, other languages are only recalled")
