"""How a machine's pace is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.completer import Completer
from model.loaded import LoadedModel
from model.loading import load_from_settings
from model.pace import LINE_TOKENS, Pace, measure_pace
from model.request import Request
from model.settings import ModelSettings
from tests.tiny_checkpoint import write_tiny_checkpoint


class Paced:
    """A decoder for which each pass takes what it is told: `seconds` for one row, the first pass over a piece twice."""

    hidden_size, vocab_size, capacity, n_slots, prefill_piece = 4, 50, 512, 1, 32

    def __init__(self, seconds: float) -> None:
        self.now, self.length = 0.0, 0
        self.widths: list[int] = []
        self._seconds = seconds
        self._known: set[int] = set()

    def select(self, slot: int) -> None:
        assert slot == 0

    def rewind(self, length: int) -> None:
        self.length = length

    def embed(self, ids: list[int]) -> np.ndarray:
        assert all(0 <= i < self.vocab_size for i in ids)
        return np.zeros((len(ids), 4), np.float32)

    def extend(self, vectors: np.ndarray) -> np.ndarray:
        self.now += self._seconds * len(vectors) * (1 if self.length in self._known else 2)
        self._known.add(self.length)
        self.length += len(vectors)
        self.widths.append(len(vectors))
        return np.zeros(50, np.float32)


def measured(decoder: Paced, prompt_tokens: int) -> Pace:
    return measure_pace(decoder, prompt_tokens, lambda: decoder.now, lambda: decoder.now)  # type: ignore[arg-type]


def test_each_piece_counts_as_when_it_took_the_least_time() -> None:
    decoder = Paced(0.001)
    pace = measured(decoder, 80)
    assert decoder.widths == [32, 32, 16] * 2 + [1] * 6
    assert pace.prompt_ms == pytest.approx(80.0)
    assert pace.token_ms == pytest.approx(2.0)
    assert (pace.begin_ms, pace.line_ms) == (pytest.approx(82.0), pytest.approx(LINE_TOKENS * 2.0))
    assert Pace(10, 81.0, 1.0).needs_ms == 82
    assert Pace(10, 20.0, 10.0).needs_ms == LINE_TOKENS * 10.0
    assert decoder.length == 0


def test_a_machine_that_is_busy_is_not_a_slow_one() -> None:
    decoder = Paced(0.001)
    pace = measure_pace(decoder, 80, lambda: decoder.now, lambda: 10 * decoder.now)  # type: ignore[arg-type]
    assert pace == measured(Paced(0.001), 80)


def test_what_is_very_slow_is_measured_in_part() -> None:
    decoder = Paced(0.1)
    pace = measured(decoder, 320)
    assert decoder.widths[:2] == [32, 1]  # 6.4 s were enough
    assert pace.prompt_ms == pytest.approx(64_000)


def test_the_prompt_is_the_one_that_a_new_place_has(tiny_model: LoadedModel) -> None:
    def prompt_tokens(**changes: object) -> int:
        settings = ModelSettings(**changes)  # type: ignore[arg-type]
        return Completer(tiny_model, settings).pace(settings.context).prompt_tokens

    assert prompt_tokens(context_tokens=128) == 128
    assert prompt_tokens() == tiny_model.positions - 48


def test_what_blocks_hold_is_not_read_at_a_new_place(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, max_position_embeddings=1024)
    settings = ModelSettings(name=str(folder), context="blocks", window_tokens=64)
    completer = Completer(load_from_settings(settings), settings)
    assert completer.mode("blocks") == "blocks"
    assert completer.pace("blocks").prompt_tokens == 64


def test_measuring_leaves_no_trace_and_comes_first(tiny_model: LoadedModel) -> None:
    request = Request("a.py", "import os\n\nclass A:\n    def f(self):\n        ", "\n", max_tokens=8)
    completer = Completer(tiny_model)
    assert completer.pace("none").line_ms > 0
    first = completer.complete(request, None)
    assert first.reused_tokens == 0
    assert first.text == Completer(tiny_model).complete(request, None).text
    decoder = Paced(0.001)
    decoder.length = 1
    with pytest.raises(ValueError, match="before anything is completed"):
        measured(decoder, 32)
