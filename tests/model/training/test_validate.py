from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from model.training import validate
from model.training.samples import RepositorySamples
from model.training.validate import MIXES, ModeLoss, ValidateConfig


@pytest.fixture
def config(tiny_folder: Path, tmp_path: Path, samples: list[RepositorySamples]) -> ValidateConfig:
    for repository in samples:
        text = json.dumps(asdict(repository))
        (tmp_path / f"{repository.name.replace('/', '+')}.json").write_text(text)
    shape = {"length": 192, "suffix": 40, "middle": 24, "snippets": 64, "signatures": 24}
    out = tmp_path / "out" / "losses.jsonl"
    return ValidateConfig(tiny_folder, tmp_path, out, batches=3, batch=4, chunk_tokens=48, shape=shape)


def test_every_mode_is_measured_on_the_same_cursors(config: ValidateConfig) -> None:
    measured = {m.mode: m for m in validate.run(config)}
    assert list(measured) == list(MIXES)
    assert {m.n for m in measured.values()} == {12}
    none = measured.pop("none")
    assert (none.difference, none.interval, none.cosine) == (0.0, (0.0, 0.0), None)
    for mode in measured.values():
        assert mode.difference == pytest.approx(mode.loss - none.loss)
        assert mode.interval[0] <= mode.difference <= mode.interval[1]
        assert mode.difference != 0
    assert measured["pseudo"].cosine is not None
    assert measured["snippets"].cosine is None


def test_what_was_measured_is_written_and_the_same_again(config: ValidateConfig) -> None:
    first = validate.run(config)
    lines = [json.loads(line) for line in config.out.read_text().splitlines()]
    written = [ModeLoss(**(line | {"interval": tuple(line["interval"])})) for line in lines]
    assert written == first
    again = validate.run(replace(config, out=config.out.with_name("again.jsonl")))
    named = {m.mode: m.loss for m in again if "random" not in m.mode}  # noise is drawn anew
    assert named == {m.mode: m.loss for m in first if "random" not in m.mode}
