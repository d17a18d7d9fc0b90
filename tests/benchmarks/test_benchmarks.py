"""The benchmarks measure what they say, on a repository of a few files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.loaded import LoadedModel
from model.loading import load_from_settings
from model.settings import ModelSettings
from tests.benchmarks import (
    cancelling,
    context_peers,
    drafting,
    identical,
    indexing,
    jumping,
    repository_size,
)
from tests.benchmarks.embedders import FreeEmbedder
from tests.benchmarks.engine_subjects import SHAPE
from tests.benchmarks.measurement import Measurement, json_line, row, table, this_machine
from tests.benchmarks.subjects import Subject, copy_of
from tests.model.evaluation.holes import a_task, write_archive, write_tasks
from tests.tiny_checkpoint import write_tiny_checkpoint

TINY = {
    "vocab_size": 4096,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}

MODULE = """import os

class Cart:
    def total_{n}(self, items):
        result = 0
        for item in items:
            result += item.price
        if result > {n}:
            result -= 1
        return result
"""


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    folder = tmp_path / "shop"
    for n in range(6):
        file = folder / f"part_{n % 2}" / f"module_{n}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(MODULE.format(n=n) * 3)
    (folder / "notes.txt").write_text("not Python")
    return copy_of(folder, tmp_path / "copy")


def test_the_index_benchmarks_report_numbers_of_this_repository(subject: Subject) -> None:
    embedder = FreeEmbedder(sample_every=1)
    first, vectors = indexing.first_index(subject, embedder)
    assert first.values["lines"] == 6 * 30
    assert first.values["chunks"] >= 6
    assert vectors.case == "vectors, exact search"
    assert min(first.values["seconds"], vectors.values["seconds"]) > 0
    assert len(embedder.sample) == embedder.n_embedded > 0
    [reopened] = indexing.reopened(subject, embedder)
    assert reopened.values["chunks"] == first.values["chunks"]
    [retrieval] = indexing.retrieval(subject, embedder)
    assert 0 < retrieval.values["p50_ms"] <= retrieval.values["p95_ms"]


def test_an_edit_embeds_one_leaf_and_is_found(subject: Subject) -> None:
    [edit] = indexing.one_edit(subject, FreeEmbedder(), None)
    assert edit.values["leaves_max"] == 1
    assert edit.values["retrieved_percent"] == 100


def test_a_copy_takes_at_most_so_many_files_and_leaves_the_folder_alone(
    subject: Subject, tmp_path: Path
) -> None:
    few = copy_of(subject.root, tmp_path / "few", 4)
    assert len(few.files) == 4
    assert {file.parent.name for file in few.files} == {"part_0", "part_1"}
    assert all(file.is_relative_to(tmp_path / "few") for file in few.files)


def test_drafts_on_and_off_are_compared_text_by_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_folder = write_tiny_checkpoint(tmp_path / "tiny")
    task = a_task()
    archive = write_archive(tmp_path / "repos.tar", {f"{task.repo}/{task.path}": task.text})
    tasks, answers = write_tasks(tmp_path / "tasks.jsonl", [task]), tmp_path / "answers.jsonl"
    arguments = ["--tasks", str(tasks), "--repos", str(archive), "--predictions", str(answers)]
    arguments += ["--set", f"model.name={tiny_folder}", "--set", "model.device=cpu"]
    assert identical.main(arguments) == 0
    assert "1 tasks, 0 different" in capsys.readouterr().out
    on, off = answers.read_text().splitlines()
    answers.write_text(f"{on}\n{json.dumps({**json.loads(off), 'text': 'another', 'forward_passes': 30})}\n")
    assert identical.main(arguments) == 1  # nothing is computed anew
    assert "different: t/1" in capsys.readouterr().out
    assert len(answers.read_text().splitlines()) == 2


def test_the_draft_benchmark_takes_bodies_out_and_leaves_the_subject_out_of_its_packages(
    subject: Subject,
) -> None:
    tasks = list(drafting._blocks(subject))
    assert len(tasks) == 6
    for task in tasks:
        assert task.prefix.endswith("(self, items):\n")
        assert "result" not in task.suffix[:10]
        whole = (subject.root / task.path).read_text()
        body = whole.removeprefix(task.prefix).removesuffix(task.suffix)
        assert not task.finished(body)
        assert task.finished(body + "class Next:\n    x = 1\n")


def test_cancels_are_timed_in_the_prompt_and_in_the_answer(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "N_TOKENS", 32)
    rows = list(cancelling.cancelled(subject, str(write_tiny_checkpoint(tmp_path / "tiny"))))
    assert {row.case for row in rows} <= {"in the prompt", "in the answer"}
    assert all(0 < row.values["p50_ms"] <= row.values["max_ms"] < 10_000 for row in rows)


def test_rows_are_for_people_and_for_scripts() -> None:
    values = {"prefill_p50_ms": 1.5, "prefill_p95_ms": 20.0, "tokens": 3}
    measurement = Measurement("keystroke", "shop", 1500, "warm", values, "<= 2 ms", "40 keystrokes")
    assert row(measurement).endswith("  prefill 1.5 / 20 ms  tokens 3   [<= 2 ms]   (40 keystrokes)")
    assert next(iter(table([measurement]))) == "\nkeystroke: shop, 1,500 Python files"
    line = json.loads(json_line(measurement, this_machine()))
    assert line["values"] == values
    assert line["machine"].keys() == {
        "processor",
        "cores",
        "load",
        "python",
        "onnxruntime",
        "torch",
        "commit",
    }


def test_reading_blocks_costs_no_prefill_and_two_rounds_cost_two() -> None:
    lengths = context_peers.Lengths(context=192, window=32, line=2, rounds=1)
    rows = {row.case: row.values for row in context_peers.compared(SHAPE | TINY, "tiny", lengths)}
    assert rows.keys() == {*context_peers.CASES, "making the blocks"}
    assert all(values["ms"] > 0 for values in rows.values())
    assert rows[context_peers.BLOCKS]["times_blocks"] == rows["none"]["times_none"] == 1
    assert rows["RepoCoder, 2 rounds"]["ms"] > rows["none"]["ms"]


def test_every_size_of_a_repository_has_the_same_cursors(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    for n in range(30):
        (folder / f"module_{n}.py").write_text(MODULE.format(n=n) * 4)
    rows = list(repository_size.measured(folder, (200, 900, 9_000), tiny_model(tmp_path)))
    *measured, last = rows
    assert [row.case for row in measured] == [*repository_size.MODES] * 2
    assert (last.case, last.values["lines"]) == ("left out", 30 * 40)
    assert all(row.values["times_smallest"] == 1 for row in measured[:3])
    assert all(row.values["same_answers_percent"] == 100 for row in measured if row.case == "none")
    blocks, none = measured[2].values, measured[0].values
    assert blocks["prefilled"] <= none["prefilled"] < measured[1].values["prefilled"]
    repository_size.draw(measured, tmp_path / "size.png")
    assert (tmp_path / "size.png").read_bytes().startswith(b"\x89PNG")


def test_a_jump_with_blocks_computes_the_window_only(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "short.py").write_text(MODULE.format(n=1))
    long = "".join(MODULE.format(n=n) for n in range(jumping.N_LINES // 9 + 1))
    (folder / "long.py").write_text(long)
    rows = list(jumping.measured(copy_of(folder, tmp_path / "copy"), tiny_model(tmp_path), 2))
    found = {row.case: row.values for row in rows}
    assert found["hybrid"]["to_hybrid"] == 1
    assert found["blocks, 256 tokens"]["prefilled"] <= 256 < found["hybrid"]["prefilled"]
    assert found["blocks, 448 tokens"]["prefilled"] <= 448


def test_a_jump_needs_a_long_file(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file of shop has 2000 lines"):
        list(jumping.measured(subject, tiny_model(tmp_path), 2))


def tiny_model(folder: Path) -> LoadedModel:
    name = str(write_tiny_checkpoint(folder / "tiny"))
    return load_from_settings(ModelSettings(name=name, device="cpu", context="blocks"))
