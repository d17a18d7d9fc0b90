"""An adapter for somebody else's coder: planned, trained, stopped, gone on with, judged, served."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch

from lsp_server.settings import Settings
from model.assignments import override
from model.checkpoint.adapter import AdapterConfig, FuserConfig
from model.checkpoint.adapter import read_config as read_adapter
from model.completer import Completer
from model.engines.torch.engine import open_torch_engine
from model.engines.torch.projector import Projector
from model.loading import load_from_settings, load_model
from model.request import Request
from model.training import __main__ as command
from model.training.adapter import prepare
from model.training.adapter_config import AdapterStage, check_modes
from model.training.adapter_training import AdapterTraining
from model.training.checkpoint import read_journal
from model.training.config import ConfigError, read_config
from model.training.contexts import ModeMix
from model.training.samples import RepositorySamples, divide
from model.training.validate import read
from tests.model.found_item import FoundItem
from tests.model.training.conftest import module_text
from tests.tiny_checkpoint import write_tiny_checkpoint

RECIPE = """
coder = "unknown"
samples = "unknown"
out = "unknown"
steps = 4
seconds = 1e9
batch = 3
accumulate = 2
train_coder = false
train_embedding = false
coder_dtype = "bfloat16"
checkpointing = true
compile = false
m = 2
d_key = 32
fuser_layers = 1
projector_layers = 2
chunk_tokens = 48
utility = 0.0
left_out = 0.5
validate_batches = 2
threads = 1
[shape]
length = 192
suffix = 40
middle = 24
snippets = 64
hybrid_text = 32
signatures = 24
recite = 16
[modes]
none = 0.0
snippets = 0.0
pseudo = 0.7
hybrid = 0.3
"""


@pytest.fixture
def coder(tmp_path: Path) -> Path:
    return write_tiny_checkpoint(tmp_path / "coder", adapter=False, seed=5, fim_order="psm")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Two repositories; what git ignores, and what is secret, is not among what is learned from."""
    for repository, words in {
        "zoo": "lion bear wolf crow toad",
        "kitchen": "soup cake rice bean corn",
    }.items():
        names = words.split()
        for name, after in zip(names, names[1:] + names[:1], strict=True):
            file = tmp_path / "own" / repository / "package" / f"{name}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(module_text(name, calls=after))
        root = tmp_path / "own" / repository
        (root / ".git").mkdir()
        (root / ".gitignore").write_text("build_here/\n")
        (root / "build_here").mkdir()
        (root / "build_here" / "made.py").write_text(module_text("ignored"))
    return tmp_path / "own"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "recipe.toml"


def arguments(recipe: Path, coder: Path, out: Path, *more: str) -> list[str]:
    return ["adapter", "--config", str(recipe), "--coder", str(coder), "--out", str(out), *more]


def test_from_a_plan_to_the_line_for_the_settings(
    recipe: Path, coder: Path, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ordinary completer then reads pseudo-tokens with just these settings."""
    asked = arguments(recipe, coder, tmp_path / "out", "--repositories", str(own))
    assert command.main([*asked, "--plan"]) == 0
    planned = capsys.readouterr().out
    assert "GB  at the peak" in planned
    assert "of 1 repositories and 1 left out to judge by; ends after 4 steps" in planned
    assert not (tmp_path / "out" / "journal.jsonl").exists()
    learned = [file.read_text() for file in (tmp_path / "out" / "samples").glob("*.json")]
    assert len(learned) == 2
    assert not any("ignored_" in text for text in learned)

    assert command.main(asked) == 0
    told = capsys.readouterr()
    assert "100%, step 4, loss" in told.err
    assert "exact match pseudo" in told.err
    assert "nats per token" in told.out
    line = next(line for line in told.out.splitlines() if line.startswith("to use it: "))
    words = shlex.split(line.removeprefix("to use it: "))
    assert words[0] == "hef-lsp"
    settings = override(Settings(), [word for word in words[1:] if word != "--set"])
    assert Path(settings.model.adapter) == tmp_path / "out" / "export"
    assert settings.model.context in ("pseudo", "hybrid")

    model = load_from_settings(settings.model)
    assert model.notes == ()
    assert model.encoder is not None
    memory = model.encoder.embed([module_text("lion")]).memories[0]
    item = FoundItem("lion.py", module_text("lion"), memory=memory)
    request = Request("a.py", "def f():\n    return", "\n", context="pseudo", max_tokens=4, deadline_ms=6e4)
    done = Completer(model, settings.model).complete(request, lambda query: [item])
    assert done.mode == "pseudo"
    assert [shown.path for shown in done.context] == ["lion.py"]


def test_left_out_repositories_are_measured_and_never_learned_from(
    recipe: Path, coder: Path, own: Path, tmp_path: Path
) -> None:
    assert command.main(arguments(recipe, coder, tmp_path / "out", "--repositories", str(own))) == 0
    measured = {one.mode: one for one in read(tmp_path / "out" / "left_out.jsonl")}
    assert {"none", "snippets", "pseudo", "hybrid", "pseudo, random vectors"} <= measured.keys()
    over = {"coder": str(coder), "out": str(tmp_path / "out"), "samples": str(tmp_path / "out" / "samples")}
    given = prepare(read_config(AdapterStage, recipe, over))
    assert len(given.learned) == len(given.left_out) == 1
    assert given.learned[0].name != given.left_out[0].name


def test_of_a_single_repository_none_is_left_out(samples: list[RepositorySamples]) -> None:
    assert divide(samples[:1], 0.5, 1) == (tuple(samples[:1]), ())
    learned, out = divide(samples, 0.01, 1)
    assert len(learned) == len(out) == 1


@pytest.fixture
def config(recipe: Path, coder: Path, samples: list[RepositorySamples], tmp_path: Path) -> AdapterStage:
    (tmp_path / "samples").mkdir()
    for repository in samples:
        file = tmp_path / "samples" / f"{repository.name.replace('/', '+')}.json"
        file.write_text(json.dumps(asdict(repository)))
    over = {"coder": str(coder), "samples": str(tmp_path / "samples"), "out": str(tmp_path / "run")}
    return read_config(AdapterStage, recipe, over)


def started(config: AdapterStage) -> AdapterTraining:
    torch.manual_seed(config.seed)
    given = prepare(config)
    return AdapterTraining(config, given.checkpoint, given.vocabulary)


class AfterSteps(Event):
    """Stops a run behind its n-th step."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self._left = n

    def is_set(self) -> bool:
        self._left -= 1
        return self._left <= 0


def test_a_stopped_run_goes_on_and_its_checkpoint_has_nothing_that_is_frozen(config: AdapterStage) -> None:
    batcher = prepare(config).batcher
    whole = started(config)
    assert whole.go(batcher, Event())
    halves = read_config(AdapterStage, write_recipe(config, out="halves"))
    first = started(halves)
    assert not first.go(batcher, AfterSteps(2))
    state = torch.load(halves.out / "checkpoint.pt", weights_only=True)
    assert {name.split(".")[0] for name in state["trained"]} == {"fuser", "projector"}
    assert not any("embed_tokens" in name for name in state["trained"])
    second = started(halves)
    assert second.resume()
    assert second.go(batcher, Event())
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    assert [line["step"] for line in read_journal(halves.out / "journal.jsonl")] == [1, 2, 3, 4]


def write_recipe(config: AdapterStage, out: str) -> Path:
    file = config.out.parent / f"{out}.toml"
    told = {"coder": config.coder, "samples": config.samples, "out": config.out.parent / out}
    text = RECIPE
    for name, value in told.items():
        text = text.replace(f'{name} = "unknown"', f'{name} = "{value}"')
    file.write_text(text)
    return file


def test_a_checkpoint_of_other_settings_is_refused(config: AdapterStage) -> None:
    run = started(config)
    run.save()
    with pytest.raises(ValueError, match="trains other parts"):
        started(replace(config, train_fuser=False)).resume()


def test_rows_that_teach_a_frozen_coder_nothing_are_refused(config: AdapterStage) -> None:
    with pytest.raises(ConfigError, match="a frozen coder learns nothing from rows of none, blocks"):
        check_modes(config, ModeMix(none=0.1, snippets=0.0, blocks=0.2))


def test_the_fuser_reads_the_frozen_coders_own_table(config: AdapterStage) -> None:
    network = started(config).network
    assert network.fuser.encoder.embed_tokens is network.coder.model.embed_tokens
    assert network.coder.head.dtype == torch.bfloat16
    assert all(p.dtype == torch.float32 for p in network.trained().values())


SMALL: dict[str, Any] = {"batch": 6, "accumulate": 1, "checkpointing": False, "loss_chunk": 10**6}


def test_small_batches_again_and_in_chunks_are_the_same_step(config: AdapterStage) -> None:
    """Accumulated, recomputed, scored in chunks: the gradients are those of the same batches kept whole."""
    batcher = prepare(config).batcher
    batches = [batcher.batch(n, 0.9, None) for n in range(2)]
    runs = [started(replace(config, loss_chunk=7)), started(replace(config, **(SMALL | {"batch": 3})))]
    gradients = []
    for run in runs:
        for batch in batches:
            total, _ = run._terms.of(batch, 0.5)
            (total / 2).backward()
        gradients.append(
            {name: p.grad.clone() for name, p in run.network.trained().items() if p.grad is not None}
        )
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-4, rtol=0.02)


@pytest.fixture
def joined(config: AdapterStage, tmp_path: Path) -> Path:
    """LlavaCode's kind: the encoder of another adapter, frozen, a node one pseudo-token."""
    encoder = write_tiny_checkpoint(tmp_path / "encoder", adapter=True, seed=7)
    config = replace(
        config,
        encoder=str(encoder),
        train_fuser=False,
        joined=True,
        alignment="paper",
        course="cosine",
        policy="greedy",
        reinforce=0.1,
        reinforce_last=1.0,
        rollout_rows=0,
        rollout_tokens=5,
        retrieval=0.0,
        muon=False,
    )
    run = started(config)
    run.go(prepare(config).batcher, Event())
    assert all("policy" in line for line in read_journal(config.out / "journal.jsonl"))
    assert {name.split(".")[0] for name in run.network.trained()} == {"projector"}
    return run.export()


def test_a_joined_adapter_is_served_with_one_pseudo_token_a_node(
    joined: Path, coder: Path, tmp_path: Path
) -> None:
    model = load_model(str(coder), adapter=str(joined), device="cpu")
    assert model.notes == ()
    assert model.pseudo is not None
    assert model.encoder is not None
    assert model.pseudo.per_node == 1
    theirs = load_model(str(tmp_path / "encoder"), device="cpu").encoder
    assert theirs is not None
    assert model.encoder.fingerprint == theirs.fingerprint
    memories = model.encoder.embed([module_text("lion"), "class Bear:\n    pass\n"]).memories
    vectors = model.pseudo.project(memories)
    assert vectors.shape == (2, model.decoder.hidden_size)
    reference = open_torch_engine("cpu", "float32").projector(joined, read_adapter(joined)).project(memories)
    np.testing.assert_allclose(vectors, reference, atol=1e-4, rtol=1e-4)


def test_a_frozen_adapter_is_validated_beside_its_coder(
    joined: Path, config: AdapterStage, coder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "validate.toml"
    shape = RECIPE[RECIPE.index("[shape]") : RECIPE.index("[modes]")]
    file.write_text(
        f'model = "{joined}"\ncoder = "{coder}"\nsamples = "{config.samples}"\nout = "{tmp_path / "losses.jsonl"}"\n'
        f'modes = ["none", "pseudo"]\nbatches = 2\nbatch = 3\nwritten = 4\nwritten_tokens = 6\n{shape}'
    )
    assert command.main(["validate", "--config", str(file)]) == 0
    none, pseudo = read(tmp_path / "losses.jsonl")
    assert none.loss != pseudo.loss
    for one in (none, pseudo):
        assert one.em is not None
        assert one.es is not None
        assert 0 <= one.right <= 1
        assert 0 <= one.em <= one.es <= 1


def test_an_adapter_of_another_coder_is_not_validated(
    joined: Path, config: AdapterStage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_tiny_checkpoint(tmp_path / "other", adapter=False, seed=9)
    file = tmp_path / "validate.toml"
    file.write_text(
        f'model = "{joined}"\ncoder = "{other}"\nsamples = "{config.samples}"\nout = "{tmp_path / "losses.jsonl"}"\n'
    )
    with pytest.raises(SystemExit) as stopped:
        command.main(["validate", "--config", str(file)])
    assert stopped.value.code == 1
    assert "is not one for" in capsys.readouterr().err


def test_a_coder_that_is_not_here_is_told_with_the_next_step(
    recipe: Path, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(["adapter", "--config", str(recipe), "--coder", "example/none", "--out", str(tmp_path)])
    assert stopped.value.code == 1
    assert "hef-lsp --models pull example/none" in capsys.readouterr().err


def test_joined_memories_are_not_added_where_widths_happen_to_agree() -> None:
    torch.manual_seed(0)
    memory = torch.randn(3, 8)
    joined, own = Projector(8, 8, 2, joined=True), Projector(8, 8, 2)
    own.load_state_dict(joined.state_dict())
    torch.testing.assert_close(own(memory), joined(memory) + memory)
    fuser = FuserConfig(300, 4, 8, 1, 1, 1, 4, 1e4, m=2)
    assert not AdapterConfig("", 8, fuser, joined=True).adds
    assert AdapterConfig("", 4, fuser).adds
