"""The memory of a training step: what is computed against the bytes that torch's CPU allocator hands out."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from model.checkpoint.coder import Qwen2Config
from model.checkpoint.opening import open_checkpoint
from model.training.adapter import prepare
from model.training.adapter_config import AdapterStage
from model.training.adapter_training import AdapterTraining
from model.training.config import find_config, read_config
from model.training.footprint import footprint, largest_batch
from model.training.planning import plan, shape_of
from model.training.samples import RepositorySamples
from tests.tiny_checkpoint import write_tiny_checkpoint

# Wide and long enough that tensors, not what surrounds them, are what is counted.
CODER: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 5,
    "vocab_size": 1000,
}
# As many nodes in every row, and no file that adds its chunks to some.
NODES = {"fewest_nodes": 4, "max_nodes": 4, "parents": 0.0}
MODES = {"none": 0.0, "snippets": 0.0, "pseudo": 1.0, "hybrid": 0.0, "recite": 0.0, **NODES}
SHAPE = {"length": 224, "suffix": 64, "middle": 48}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, samples: list[RepositorySamples]) -> Path:
    folder = tmp_path_factory.mktemp("footprint")
    write_tiny_checkpoint(folder / "coder", adapter=False, **CODER)
    (folder / "samples").mkdir()
    for repository in samples:
        file = folder / "samples" / f"{repository.name.replace('/', '+')}.json"
        file.write_text(json.dumps(asdict(repository)))
    return folder


@pytest.fixture
def config(folder: Path, tmp_path: Path) -> AdapterStage:
    return AdapterStage(
        coder=str(folder / "coder"),
        samples=folder / "samples",
        out=tmp_path,
        batch=4,
        steps=10,
        train_coder=False,
        train_embedding=False,
        coder_dtype="bfloat16",
        fuser_layers=2,
        m=2,
        d_key=32,
        chunk_tokens=24,  # what every chunk here has and more, so that none is padded
        loss_chunk=128,
        compile=False,
        utility=0.0,
        threads=1,
        shape=SHAPE,
        modes=MODES,
    )


def computed(config: AdapterStage) -> int:
    coder = Qwen2Config.from_json(open_checkpoint(config.coder).config)
    return footprint(config, shape_of(config, coder)).peak


def measured(config: AdapterStage) -> int:
    """Bytes of network and optimizers before the second step, and the most that this step has on top of them."""
    given = prepare(config)
    run = AdapterTraining(config, given.checkpoint, given.vocabulary)
    batches = [given.batcher.batch(i, 0.5, None) for i in range(config.accumulate)]
    run.step(batches)
    at_rest = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in run.network.parameters()}
    for optimizer in run._optimizers._all:
        for state in optimizer.state.values():
            at_rest |= {
                t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
                for t in state.values()
                if isinstance(t, torch.Tensor)
            }
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        run.step(batches)
    events = [e for e in watched.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return sum(at_rest.values()) + peak


VARIANTS: dict[str, dict[str, Any]] = {
    "frozen": {},
    "twice as many rows": {"batch": 8},
    "several batches a step": {"accumulate": 2},
    "activations again": {"checkpointing": True},
    "activations again, two batches": {"checkpointing": True, "accumulate": 2, "batch": 8},
    "frozen fuser, joined": {"train_fuser": False, "joined": True},
    "AdamW alone": {"muon": False},
    "every row answered": {
        "reinforce": 0.1,
        "reinforce_last": 1.0,
        "policy": "greedy",
        "rollout_tokens": 12,
        "rollout_rows": 0,
    },
    "coder trained along": {"train_coder": True, "coder_dtype": "float32", "train_embedding": True},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_the_memory_of_a_step_is_what_was_computed(config: AdapterStage, changes: dict[str, Any]) -> None:
    config = replace(config, **changes)
    found = measured(config)
    assert 0.95 * found <= computed(config) <= 1.4 * found


def test_a_larger_card_takes_more_rows_and_never_more_than_fit(config: AdapterStage) -> None:
    shape = shape_of(config, Qwen2Config.from_json(open_checkpoint(config.coder).config))
    some, more = (largest_batch(config, shape, room) for room in (100_000_000, 400_000_000))
    assert 1 <= some < more
    assert footprint(replace(config, batch=some), shape).peak <= 100_000_000
    assert footprint(replace(config, batch=some + 1), shape).peak > 100_000_000
    assert largest_batch(config, shape, 1_000) == 0


def test_the_shipped_recipes_fit_a_card_of_24_gb() -> None:
    """Shapes of Qwen2.5-Coder-1.5B; nothing of it is here."""
    shape = Qwen2Config(
        vocab_size=151_936,
        hidden_size=1536,
        intermediate_size=8960,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
        head_dim=128,
        tie_word_embeddings=True,
        rope_theta=1e6,
    )
    for name in ("frozen", "llavacode"):
        config = read_config(AdapterStage, find_config(name))
        taken = footprint(config, shape_of(config, shape))
        assert taken.peak < 0.9 * 24e9
        assert largest_batch(config, shape_of(config, shape), int(0.9 * 24e9)) >= config.batch
        assert "coder" not in taken.trained


def test_the_plan_names_what_is_trained_and_the_peak(config: AdapterStage) -> None:
    text = plan(config)
    shape = shape_of(config, Qwen2Config.from_json(open_checkpoint(config.coder).config))
    taken = footprint(config, shape)
    assert f"projector {taken.trained['projector']:,} weights" in text
    assert f"{taken.peak / 1e9:7.2f} GB  at the peak" in text
    assert "24 samples of 2 repositories; ends after 10 steps" in text
