"""What a coder reads where the settings leave it open: more on a GPU, if it was taught to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.completer import Completer
from model.engines.engine import Engine
from model.engines.torch.engine import TorchEngine
from model.loaded import LoadedModel
from model.loading import load_from_settings
from model.reading import LONG_POSITIONS, ON_CPU, ON_CUDA, Budgets, budgets_for
from model.repository import RetrievalQuery
from model.request import Request
from model.settings import AUTOMATIC, DEFAULT_MODEL, DraftSettings, ModelSettings
from tests.model.found_item import FoundItem
from tests.tiny_checkpoint import write_tiny_checkpoint

DIGITS = "".join(map(str, range(10_000)))  # a token each
ANSWER = DEFAULT_MODEL.max_tokens
MARKS = 8  # tokens of a prompt beside those of a text
ROUNDED_DOWN = 100  # a cut moves by some tokens at a time, and snippets end where documents do


class OnFakeCuda(TorchEngine):
    """Computes on the CPU and says that it is a GPU."""

    @property
    def device(self) -> str:
        return "cuda"


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(*_: object) -> Engine:
        return OnFakeCuda(torch.device("cpu"), torch.float32)

    monkeypatch.setattr("model.loading.choose_engine", chosen)


def loaded(folder: Path, positions: int = 32_768, **settings: int) -> tuple[LoadedModel, ModelSettings]:
    write_tiny_checkpoint(folder / "coder", adapter=False, max_position_embeddings=positions)
    wanted = ModelSettings(name=str(folder / "coder"), **settings)
    return load_from_settings(wanted, embedded=folder / "nothing"), wanted


def retrieve(query: RetrievalQuery) -> Sequence[FoundItem]:
    return [FoundItem(f"{n}.py", DIGITS[n * 300 :][:300]) for n in range(9)]


def read_tokens(
    model: LoadedModel,
    settings: ModelSettings,
    context: str = "none",
    *,
    before: str = DIGITS,
    after: str = "\n",
) -> int:
    completer = Completer(model, settings, drafts=DraftSettings(enabled=False))
    asked = Request("a.py", before, after, context, max_tokens=2, deadline_ms=600_000.0)
    return completer.complete(asked, retrieve).prompt_tokens


def test_only_what_is_left_open_is_filled() -> None:
    assert ON_CUDA.fill(ModelSettings()) == replace(
        DEFAULT_MODEL, context_tokens=2048, suffix_tokens=512, snippet_tokens=768
    )
    said = ModelSettings(context_tokens=960, suffix_tokens=0, snippet_tokens=10)
    assert ON_CUDA.fill(said) == said
    assert ON_CPU.fill(replace(said, suffix_tokens=AUTOMATIC)).suffix_tokens == 192


@pytest.mark.parametrize(
    ("device", "positions", "budgets"),
    [
        ("cpu", 32_768, ON_CPU),
        ("cuda", 32_768, ON_CUDA),
        ("cuda:1", LONG_POSITIONS, ON_CUDA),
        ("cuda", 8192, ON_CPU),  # the larger embedded coder's
        ("cuda", 2048, ON_CPU),  # the tiny one's
    ],
)
def test_a_gpu_reads_more_with_a_coder_of_long_prompts(device: str, positions: int, budgets: Budgets) -> None:
    assert budgets_for(device, positions) is budgets


@pytest.mark.usefixtures("fake_cuda")
def test_on_a_gpu_the_prompt_the_suffix_and_the_snippets_are_longer(tmp_path: Path) -> None:
    model, settings = loaded(tmp_path)
    assert (model.device, model.positions) == ("cuda", ON_CUDA.context_tokens + ANSWER)
    assert model.decoder.capacity == model.positions
    assert read_tokens(model, settings) == ON_CUDA.context_tokens
    for context, most in (("none", ON_CUDA.suffix_tokens), ("snippets", ON_CUDA.snippet_tokens)):
        after = DIGITS if context == "none" else "\n"
        read = read_tokens(model, settings, context, before="1", after=after)
        assert most - ROUNDED_DOWN <= read <= most + MARKS


@pytest.mark.usefixtures("fake_cuda")
def test_on_a_gpu_what_the_user_says_holds(tmp_path: Path) -> None:
    model, settings = loaded(tmp_path, context_tokens=960, suffix_tokens=64)
    assert model.positions == 960 + ANSWER
    assert read_tokens(model, settings) == 960
    assert read_tokens(model, settings, before="1", after=DIGITS) <= 64 + MARKS


@pytest.mark.usefixtures("fake_cuda")
def test_on_a_gpu_a_coder_of_short_prompts_reads_what_it_was_taught(tmp_path: Path) -> None:
    model, settings = loaded(tmp_path, positions=8192)
    assert model.positions == ON_CPU.context_tokens + ANSWER
    assert read_tokens(model, settings) == ON_CPU.context_tokens


def test_on_the_cpu_nothing_changes(tmp_path: Path) -> None:
    model, settings = loaded(tmp_path)
    assert (model.device, model.positions) == ("cpu", ON_CPU.context_tokens + ANSWER)
    assert read_tokens(model, settings) == ON_CPU.context_tokens


def test_retrieved_text_has_room_for_what_it_is_allowed() -> None:
    """`Contexts` gives it three eighths of the positions at most."""
    assert ON_CUDA.snippet_tokens <= (ON_CUDA.context_tokens + ANSWER) * 3 // 8
