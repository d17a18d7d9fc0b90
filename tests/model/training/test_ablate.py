from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from model.training import ablate
from model.training.ablate import AblateConfig
from model.training.adapter import AdapterStage
from model.training.checkpoint import read_journal
from model.training.config import ConfigError
from model.training.samples import RepositorySamples

SIZES = (
    "length = 192\nsuffix = 40\nmiddle = 24\nsnippets = 64\nhybrid_text = 32\nsignatures = 24\nrecite = 16\n"
)


@pytest.fixture
def config(tiny_folder: Path, tmp_path: Path, samples: list[RepositorySamples]) -> AblateConfig:
    (tmp_path / "samples").mkdir()
    for repository in samples:
        file = tmp_path / "samples" / f"{repository.name.replace('/', '+')}.json"
        file.write_text(json.dumps(asdict(repository)))
    common = f'samples = "{tmp_path}/samples"\nbatch = 4\nchunk_tokens = 48\nthreads = 1\n'
    (tmp_path / "adapter.toml").write_text(
        f'coder = "{tiny_folder}"\nout = "unused"\nm = 2\nfuser_layers = 1\nd_key = 32\ncompile = false\n'
        f"{common}[shape]\n{SIZES}[modes]\nrecite = 0.5\n"
    )
    (tmp_path / "validate.toml").write_text(
        f'model = "unused"\nout = "unused"\nbatches = 2\n{common}[shape]\n{SIZES}'
    )
    files = (tmp_path / "adapter.toml", tmp_path / "validate.toml")
    return AblateConfig(*files, tmp_path / "out", steps=2, variants={"three vectors": {"m": 3}})


def test_each_variant_is_trained_for_the_same_steps_and_measured(config: AblateConfig) -> None:
    ablate.run(config)
    for folder, m in (("all", 2), ("three_vectors", 3)):
        assert [line["step"] for line in read_journal(config.out / folder / "journal.jsonl")] == [1, 2]
        assert json.loads((config.out / folder / "export" / "adapter.json").read_text())["fuser"]["m"] == m
    table = (config.out / "table.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == ["| all", "| three vectors"]


def test_what_is_measured_is_not_trained_again(config: AblateConfig) -> None:
    ablate.run(config)
    before = (config.out / "all" / "journal.jsonl").stat().st_mtime_ns
    table = (config.out / "table.md").read_text()
    ablate.run(config)
    assert (config.out / "all" / "journal.jsonl").stat().st_mtime_ns == before
    assert (config.out / "table.md").read_text() == table


def test_a_variant_changes_what_it_names_and_nothing_else() -> None:
    base = AdapterStage("coder", Path("samples"), Path("out"), align=2.0, modes={"none": 0.2, "recite": 0.4})
    changed = ablate.variant(base, {"retrieval": 0.0, "modes": {"recite": 0.0}}, Path("there"), 7)
    assert (changed.align, changed.retrieval, changed.steps, changed.out) == (2.0, 0.0, 7, Path("there"))
    assert changed.modes == {"none": 0.2, "recite": 0.0}
    with pytest.raises(ConfigError, match="no setting algin"):
        ablate.variant(base, {"algin": 0.0}, Path("there"), 7)
