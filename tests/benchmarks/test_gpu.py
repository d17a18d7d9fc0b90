"""The GPU benchmark runs from end to end without a GPU, so that a GPU's minutes go into measuring."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.benchmarks import gpu
from tests.benchmarks.gpu_generating import Rehearsed
from tests.benchmarks.gpu_subjects import SHAPES, TINY, Rates, build, needed_bytes, share_equal, vocabulary

ROOT = Path(__file__).resolve().parents[2]
TOPICS = {"first token", "compression", "token", "start", "agreement", "pass", "attention", "slots", "line"}


@pytest.mark.slow
def test_every_row_is_measured_and_every_path_writes_the_same_tokens(tmp_path: Path) -> None:
    assert gpu.main(["--tiny", "--json", str(tmp_path / "rows")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert {row["benchmark"] for row in rows} == TOPICS
    assert all(np.isfinite(value) for row in rows for value in row["values"].values())
    equal = [row["values"]["equal_from_start"] for row in rows if "equal_from_start" in row["values"]]
    assert equal == [1.0, 1.0, 1.0]  # transformers, drafts off, drafts on
    off, on = (row["values"]["passes"] for row in rows if row["benchmark"] == "line")
    assert on < off


def test_a_bare_checkout_with_torch_is_enough() -> None:
    missing = ("hnswlib", "lsprotocol", "pathspec", "pygls", "tree_sitter", "tree_sitter_python", "watchdog")
    code = f"import sys; sys.modules.update(dict.fromkeys({missing})); from tests.benchmarks import gpu"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, timeout=100, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == 1
    assert "--tiny" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "gigabytes"), [("0.5B", 0.99), ("1.5B", 3.09), ("7B", 14.14)])
def test_the_floor_counts_the_bytes_that_a_token_reads(name: str, gigabytes: float) -> None:
    """The figures of Qwen2.5-Coder's published parameter counts."""
    subject = build(name, torch.device("meta"), torch.bfloat16, TINY, Rates(4e12, 800e12))
    assert subject.bytes_per_token / 1e9 == pytest.approx(gigabytes, abs=0.01)
    assert subject.token_floor_ms == pytest.approx(gigabytes / 4, abs=0.003)
    assert subject.prompt_floor_ms(2000) == pytest.approx(gigabytes * 2.5, abs=0.03)


def test_the_tokenizer_has_a_word_for_every_id() -> None:
    made = vocabulary(SHAPES["tiny"].vocab_size)
    words = {made.token_bytes(i) for i in range(596)}
    assert len(words) == 596
    assert b"" not in words
    assert set(range(596, 600)) == made.control_ids


def test_a_rehearsed_drafter_is_wrong_about_every_fourth_token() -> None:
    drafter = Rehearsed([10, 11, 12, 13, 14, 15], 600)
    assert drafter.draft([1, 2], 1, None).tokens == (11, 11, 12, 13, 15, 15)
    assert drafter.draft([1, 2, 10, 11], 1, None).tokens == (12, 13, 15, 15)


@pytest.mark.parametrize(
    ("ours", "theirs", "share"), [([1, 2], [1, 2], 1), ([1, 2], [1, 3], 0.5), ([1, 2], [1], 0.5)]
)
def test_outputs_agree_as_far_as_they_are_equal(ours: list[int], theirs: list[int], share: float) -> None:
    assert share_equal(ours, theirs) == share


def test_topics_are_chosen_and_unknown_ones_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu._parser().parse_args(["--only", "first token,line"]).only == ("first token", "line")
    with pytest.raises(SystemExit):
        gpu._parser().parse_args(["--only", "lines"])
    assert "no topic 'lines': of pass,attention," in capsys.readouterr().err


@pytest.mark.slow
def test_llavacode_s_tables_can_be_measured_alone(tmp_path: Path) -> None:
    assert gpu.main(["--tiny", "--only", "compression", "--json", str(tmp_path / "rows")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert {row["benchmark"] for row in rows} == {"compression", "start", "agreement"}
    theirs, ours = (row["values"] for row in rows if row["benchmark"] == "compression")
    assert ours.keys() - theirs.keys() == {"text_token_ms", "pseudo_token_ms"}


@pytest.mark.parametrize(("room", "said"), [(1.1, "tiny of transformers left out"), (0.1, "tiny left out")])
def test_what_has_no_room_is_left_out_and_told(
    room: float, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first look is before the weights are there, the second after."""
    needed = needed_bytes("tiny", torch.float32)
    free = iter([room * needed, room * needed - needed])
    monkeypatch.setattr(gpu, "_free_bytes", lambda device: next(free))
    assert gpu.main(["--tiny", "--only", "slots"]) == 0
    assert said in capsys.readouterr().out
