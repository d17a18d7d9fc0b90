from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from model.checkpoint.opening import open_checkpoint
from model.training import foreign, validate
from model.training.bits import held_out_files
from model.training.foreign import ForeignConfig
from model.training.network import load_coder
from model.training.samples import RepositorySamples
from model.training.validate import MIXES, ValidateConfig
from model.vocabulary import Vocabulary
from tests.model.training.foreign_archives import go_text, write_archive


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


def test_bits_per_byte_are_told_by_language_without_any_sample(tiny_folder: Path, tmp_path: Path) -> None:
    packages = tuple(
        write_archive(
            tmp_path / "archives" / f"{name}-1.0.tgz",
            {f"{name}{n}.go": go_text(f"{name}{n}") for n in range(3)},
        )
        for name in ("zoo", "kitchen")
    )
    foreign.run(ForeignConfig(tmp_path / "archives", tmp_path / "made", packages))
    held_out = (tmp_path / "made" / "repos.tar.xz",)
    out = tmp_path / "out" / "losses.jsonl"
    config = ValidateConfig(
        tiny_folder, tmp_path / "none", out, held_out=held_out, held_out_files=4, held_out_tokens=64
    )
    assert validate.run(config) == []
    (line,) = out.with_name("bits.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert (found["language"], found["repositories"], found["files"]) == ("go", 2, 4)
    vocabulary, coder = (
        Vocabulary.load(tiny_folder / "tokenizer.json"),
        load_coder(open_checkpoint(str(tiny_folder)), False),
    )
    bits = n_bytes = 0.0
    for held in held_out_files(held_out, 4):
        ids = [vocabulary.fim.end, *vocabulary.encode(held.file.text)[:64]]
        with torch.no_grad():
            chances = coder.logits(coder(coder.embed(torch.tensor([ids])))).log_softmax(-1)[0]
        bits -= sum(float(chances[n, token]) for n, token in enumerate(ids[1:])) / math.log(2)
        n_bytes += len(b"".join(map(vocabulary.token_bytes, ids[1:])))
    assert found["bytes"] == n_bytes
    assert found["bits_per_byte"] == pytest.approx(bits / n_bytes)
