from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from model.training import validate
from model.training.samples import RepositorySamples
from model.training.validate import MIXES, ValidateConfig


@pytest.fixture
def config(tiny_folder: Path, tmp_path: Path, samples: list[RepositorySamples]) -> ValidateConfig:
    for repository in samples:
        text = json.dumps(asdict(repository))
        (tmp_path / f"{repository.name.replace('/', '+')}.json").write_text(text)
    shape = {"length": 192, "suffix": 40, "middle": 24, "snippets": 64, "hybrid_text": 32, "signatures": 24}
    out = tmp_path / "out" / "losses.jsonl"
    return ValidateConfig(tiny_folder, tmp_path, out, batches=3, batch=4, chunk_tokens=48, shape=shape)


def test_every_mode_is_measured_on_the_same_cursors(config: ValidateConfig) -> None:
    measured = {m.mode: m for m in validate.run(config)}
    assert list(measured) == list(MIXES)
    assert {m.n for m in measured.values()} == {12}
    for base in ("none", "recite, vectors of another repository"):
        assert (measured[base].difference, measured[base].interval) == (0.0, (0.0, 0.0))
        of_base = [m for m in measured.values() if MIXES[m.mode][1] == base != m.mode]
        assert of_base
        for mode in of_base:
            assert mode.difference == pytest.approx(mode.loss - measured[base].loss)
            assert mode.interval[0] <= mode.difference <= mode.interval[1]
            assert mode.difference != 0
    assert measured["pseudo"].cosine is not None
    assert measured["pseudo"].found is not None
    assert measured["snippets"].cosine is measured["none"].cosine is None


def test_what_was_measured_is_written_and_the_same_again(config: ValidateConfig) -> None:
    first = validate.run(config)
    assert validate.read(config.out) == first
    again = validate.run(replace(config, out=config.out.with_name("again.jsonl")))
    named = {m.mode: m.loss for m in again if "random" not in m.mode}  # noise is drawn anew
    assert named == {m.mode: m.loss for m in first if "random" not in m.mode}


def test_some_modes_alone_are_what_they_are_among_all(config: ValidateConfig) -> None:
    whole = {m.mode: m for m in validate.run(config)}
    some = validate.run(replace(config, modes=("none", "blocks")))
    assert some == [whole["none"], whole["blocks"]]
