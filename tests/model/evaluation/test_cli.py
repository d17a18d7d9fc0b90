"""`python -m model.evaluation` from arguments to JSON, with a tiny checkpoint and a made-up repository."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from model.evaluation.cli import main
from model.evaluation.modes import MODES
from model.evaluation.tasks import Task
from tests.model.evaluation.holes import a_task, write_archive, write_tasks

FIELDS = {"kind", "source", "mode", "n", "em", "es", "p50_ms", "p95_ms", "prompt_tokens", "forward_passes"}


@pytest.fixture
def inputs(tmp_path: Path, tiny_folder: Path) -> list[str]:
    """Arguments for two repositories with a line and a call each."""
    tasks, texts = [], {}
    for repo in ("shop", "bank"):
        whole = a_task(repo=repo, task_id=f"{repo}/line")
        tasks += [whole, _later(whole)]
        texts |= {
            f"{repo}/{whole.path}": whole.text,
            f"{repo}/price.py": "def price(item):\n    return item.total\n",
        }
    archive = write_archive(tmp_path / "repos.tar.xz", texts)
    file = write_tasks(tmp_path / "tasks.jsonl", tasks)
    return [
        "--tasks",
        str(file),
        "--repos",
        str(archive),
        "--model",
        str(tiny_folder),
        "--set",
        "model.device=cpu",
    ]


def _later(task: Task) -> Task:
    """A call further down in the same file."""
    before, after = task.text.split("print(total([]))")
    prefix = {"prefix": before, "target": "print(total([]))", "suffix": after}
    return Task(**{**asdict(task), **prefix, "kind": "api", "task_id": f"{task.repo}/api"})


def _json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_all_modes_of_a_checkpoint_are_reported_with_the_promised_fields(
    inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*inputs, "--json"]) == 0
    lines = _json_lines(capsys.readouterr().out)
    modes = ("none", "snippets", "pseudo", "hybrid", "blocks")
    assert [(line["kind"], line["mode"]) for line in lines] == [
        (k, m) for k in ("line", "api") for m in modes
    ]
    assert all(line.keys() >= FIELDS for line in lines)
    assert {line["n"] for line in lines} == {2}
    assert {line["source"] for line in lines} == {"Made up"}
    assert all(0 <= line["em"] <= 100 and 0 <= line["es"] <= 100 for line in lines)
    assert all(line["p95_ms"] >= line["p50_ms"] > 0 and line["forward_passes"] >= 1 for line in lines)
    prompts = {line["mode"]: line["prompt_tokens"] for line in lines if line["kind"] == "line"}
    assert prompts["none"] < prompts["pseudo"] < prompts["snippets"]


def test_predictions_have_one_line_per_task_and_mode(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "predictions.jsonl"
    asked = [
        "--context",
        "none,snippets",
        "--kind",
        "line",
        "--limit",
        "1",
        "--predictions",
        str(file),
        "--json",
    ]
    assert main([*inputs, *asked]) == 0
    predictions = _json_lines(file.read_text())
    assert [prediction["mode"] for prediction in predictions] == ["none", "snippets"]
    assert [*predictions[0]][:7] == ["task_id", "mode", "text", "em", "es", "ms", "forward_passes"]
    summary = _json_lines(capsys.readouterr().out)[0]
    assert (summary["n"], summary["es"]) == (1, round(predictions[0]["es"], 2))


def test_a_run_that_was_cut_goes_on_where_it_ended(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "predictions.jsonl"
    asked = [
        *inputs,
        "--kind",
        "line",
        "--predictions",
        str(file),
        "--cache",
        str(tmp_path / "cache"),
        "--json",
    ]
    assert main([*asked, "--context", "none,snippets"]) == 0
    whole = file.read_text()
    lines = whole.splitlines(keepends=True)
    file.write_text("".join(lines[:2]) + lines[2][:30])
    assert main([*asked, "--context", "none,snippets", "--resume"]) == 0
    after = [*_json_lines(file.read_text())]
    assert file.read_text().startswith("".join(lines[:2]))  # not done again
    assert [(one["task_id"], one["mode"], one["text"]) for one in after] == [
        (one["task_id"], one["mode"], one["text"]) for one in _json_lines(whole)
    ]
    capsys.readouterr()
    assert main([*asked, "--context", "jaccard", "--resume"]) == 0
    assert len(file.read_text().splitlines()) == 6
    assert [(line["mode"], line["n"]) for line in _json_lines(capsys.readouterr().out)] == [("jaccard", 2)]


def test_other_settings_are_not_taken_for_done(inputs: list[str], tmp_path: Path) -> None:
    file = tmp_path / "predictions.jsonl"
    asked = [*inputs, "--context", "none", "--limit", "1", "--predictions", str(file), "--resume"]
    assert main(asked) == main([*asked, "--set", "model.suffixTokens=8"]) == 0
    assert [one["settings"] for one in _json_lines(file.read_text())] == [
        ["model.device=cpu"],
        ["model.device=cpu", "model.suffixTokens=8"],
    ]


def test_every_baseline_and_every_experiment_but_embedding_runs(
    inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = {name: mode for name, mode in MODES.items() if mode.embedder == "fuser"}
    assert main([*inputs, "--limit", "2", "--kind", "line", "--context", ",".join(wanted), "--json"]) == 0
    lines = {line["mode"]: line for line in _json_lines(capsys.readouterr().out)}
    assert lines.keys() == wanted.keys()
    prompts = {mode: line["prompt_tokens"] for mode, line in lines.items()}
    assert prompts["pseudo-0"] == prompts["none"] < prompts["pseudo-8"]
    assert prompts["pseudo-zero"] == prompts["pseudo-random"] == prompts["pseudo"]
    assert prompts["jaccard"] < prompts["repocoder"]  # it reads twice
    assert lines["blocks"]["prefilled"] <= prompts["none"] < prompts["blocks"]  # they were made ahead
    assert lines["blocks"]["budget"] == "window 448 + context"
    assert lines["copy-match"]["forward_passes"] == 0


def test_the_table_is_for_people(inputs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*inputs, "--context", "none", "--limit", "2"]) == 0
    out = capsys.readouterr().out
    assert "2 tasks of 2 repositories" in out
    assert out.splitlines()[2].split()[:4] == ["kind", "source", "mode", "n"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--context", "none,psychic"], "no context mode 'psychic'"),
        (["--kind", "poem"], "no kind 'poem'"),
        (["--kind", "function"], "holds no task of the kinds asked for"),
        (["--limit", "0"], "--limit is at least 1"),
        (["--ablate", "nothing"], "no experiment 'nothing'"),
        (["--limit", "1", "--ablate", "harmful"], "the tasks are all of one"),
        (["--context", "blocks", "--set", "model.context=none"], "cannot read blocks: it read hybrid"),
        (["--window", "8"], "--window is at least 64"),
        (["--resume"], "goes on with the file of --predictions"),
        (["--set", "model.nonsense=1"], "Unknown setting"),
        (["--tasks", "none.jsonl"], "none.jsonl cannot be read"),
        (["--repos", "none.tar"], "none.tar cannot be unpacked"),
        (["--predictions", "no/such/folder/file"], "cannot be written"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    inputs: list[str], arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*inputs, *arguments]) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""


def test_a_bad_line_is_named_by_its_number(inputs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(inputs[1])
    file.write_text(file.read_text() + "{}\n")
    assert main(inputs) == 2
    assert "line 5" in capsys.readouterr().err


def test_a_model_that_is_not_there_is_exit_code_1(
    inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*inputs, "--model", "no/such/model/anywhere"]) == 1
    assert "no model at" in capsys.readouterr().err


def test_a_mode_without_its_adapter_is_refused_and_not_renamed(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.tiny_checkpoint import write_tiny_checkpoint

    bare = ["--model", str(write_tiny_checkpoint(tmp_path / "bare", adapter=False))]
    assert main([*inputs, *bare, "--context", "none,pseudo"]) == 1
    assert "no adapter for the context modes pseudo" in capsys.readouterr().err
    assert main([*inputs, *bare, "--limit", "1", "--json"]) == 0
    modes = [line["mode"] for line in _json_lines(capsys.readouterr().out)]
    assert modes == ["none", "snippets", "blocks"]


def test_nats_and_a_window_for_the_file(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Context comes on top of the file's tokens; what a copying baseline writes is not weighed."""
    sizes = ["model.snippetTokens=64", "model.hybridTextTokens=32", "model.signatureTokens=16"]
    small = [part for size in [*sizes, "model.pseudoTokens=16"] for part in ("--set", size)]
    modes = ("none", "snippets", "pseudo", "repocoder", "copy-match")
    file = tmp_path / "predictions.jsonl"
    asked = [*inputs, *small, "--kind", "line", "--context", ",".join(modes), "--predictions", str(file)]
    assert main([*asked, "--window", "80", "--nats", "--json"]) == 0
    lines = {line["mode"]: line for line in _json_lines(capsys.readouterr().out)}
    assert {line["budget"] for line in lines.values()} == {"window 80 + context"}
    assert lines["none"]["nats_difference"] == 0.0
    assert all(lines[mode]["nats"] > 0 and len(lines[mode]["nats_interval"]) == 2 for mode in modes[:-1])
    assert lines["snippets"]["nats_difference"] != 0.0
    assert "nats" not in lines["copy-match"]
    assert {
        one["nats_tokens"] > 0 for one in _json_lines(file.read_text()) if one["mode"] != "copy-match"
    } == {True}
    assert main([*asked, "--window", "80", "--nats", "--resume"]) == 0
    assert "window 80 + context" in capsys.readouterr().out
    assert len(file.read_text().splitlines()) == 2 * len(modes)  # weighed already
    assert main([*inputs, "--kind", "line", "--window", "512"]) == 2
    assert "positions" in capsys.readouterr().err
