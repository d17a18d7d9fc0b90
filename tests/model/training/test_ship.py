from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from model.checkpoint.opening import verify_checksums
from model.loading import load_model
from model.training.bits import LanguageBits, read_bits, save_bits
from model.training.ship import ShipConfig, count_parameters, mean_of, read_sittings, run, smoothed
from tests.tiny_checkpoint import write_tiny_checkpoint


@pytest.fixture
def config(tmp_path: Path) -> ShipConfig:
    write_tiny_checkpoint(tmp_path / "export")
    (tmp_path / "corpus").mkdir()
    entry = {"name": "ann/zoo", "version": "abc", "license": "MIT", "files": 5, "bytes": 9000, "tokens": 3000}
    manifest = {"repositories": [entry], "left_out": {"license": 2}}
    (tmp_path / "corpus" / "manifest.json").write_text(json.dumps(manifest))
    pretraining = [{"step": i, "tokens": 100 * i, "seconds": i, "loss": 5 - i / 50} for i in range(1, 101)]
    adapter = [
        {"step": i, "seconds": i, "loss_pseudo": 2.0, "loss_none": 3.0, "cosine": 0.5} for i in range(1, 9)
    ]
    for name, lines in {"pretrain": pretraining, "adapter": adapter}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "notes.md").write_text("# A model\n\nFor tests.\n")
    return ShipConfig(
        export=tmp_path / "export",
        corpus=tmp_path / "corpus",
        pretrain_journals=(tmp_path / "pretrain.jsonl",),
        adapter_journals=(tmp_path / "adapter.jsonl",),
        notes=tmp_path / "notes.md",
        out=tmp_path / "pretrained",
    )


def test_the_shipped_folder_is_verified_and_serves(config: ShipConfig) -> None:
    config.out.mkdir()
    (config.out / "old.safetensors").write_text("weights of an older version")
    run(config)
    assert not (config.out / "old.safetensors").exists()
    verify_checksums(config.out, required=True)
    assert load_model(str(config.out), device="cpu").pseudo is not None
    assert (config.out / "loss_curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_card_says_what_the_records_say(config: ShipConfig) -> None:
    run(config)
    card = (config.out / "MODEL_CARD.md").read_text()
    assert card.startswith("# A model\n")
    assert "100 steps, 10,000 tokens seen" in card
    assert "pseudo 2.000" in card
    assert "| ann/zoo | abc | MIT | 5 | 9 |" in card
    assert "license 2" in card
    assert f"| model | {count_parameters(config.out, 'model'):,} |" in card


def test_sittings_count_on(config: ShipConfig) -> None:
    journal = config.pretrain_journals[0]
    both = read_sittings((journal, config.out / "none.jsonl", journal))
    assert [both[99]["step"], both[100]["step"], both[-1]["step"]] == [100, 101, 200]
    assert both[-1]["tokens"] == 20_000
    assert both[-1]["loss"] == both[99]["loss"]


def test_counts_match_the_network(config: ShipConfig) -> None:
    assert (
        count_parameters(config.export, "model") == load_model(str(config.export), device="cpu").n_parameters
    )


def test_means_and_curves() -> None:
    journal = [{"a": float(i)} for i in range(100)] + [{"b": 1.0}]
    assert mean_of(journal, "a") == pytest.approx(74.5)
    x, y = smoothed([(float(i), 2.0) for i in range(8)])
    assert x[-1] == 7.0
    assert set(y) == {2.0}
    assert smoothed([]) == ([], [])


def test_the_card_tells_languages_apart(config: ShipConfig, tmp_path: Path) -> None:
    manifest = json.loads((config.corpus / "manifest.json").read_text())
    go = {**manifest["repositories"][0], "name": "gin", "language": "go", "tokens": 1000}
    manifest["repositories"].append(go)
    (config.corpus / "manifest.json").write_text(json.dumps(manifest))
    bits = tmp_path / "bits.jsonl"
    save_bits([LanguageBits("go", 2, 4, 5000, 1.25, (1.0, 1.5))], bits)
    assert read_bits(bits)[0].interval == (1.0, 1.5)
    run(replace(config, bits=bits))
    card = (config.out / "MODEL_CARD.md").read_text()
    assert "| go | 2 | 4 | 5 | 1.250 | 1.000 to 1.500 |" in card
    assert "Of the tokens python 75.0 %, go 25.0 %." in card
