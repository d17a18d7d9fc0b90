"""The report is made of predictions files alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.evaluation.modes import BUDGETS, HARMFUL_SHARES
from model.evaluation.report import main
from tests.model.evaluation.answers import an_answer

PNG = b"\x89PNG"


def _file(folder: Path, modes: list[str], name: str = "predictions.jsonl") -> Path:
    """Two tasks in two repositories for each mode; `none` is wrong in both, others right in one."""
    file = folder / name
    answers = [
        an_answer(mode, task_id=repo, repo=repo, right="none" not in mode and repo == "a", origin=origin)
        for mode in modes
        for repo, origin in (("a", "original"), ("b", "relocated"))
    ]
    file.write_text("".join(one.line() + "\n" for one in answers))
    return file


def _cells(text: str, first: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return [row for row in rows if row[0] == first]


def test_the_report_has_quality_origins_costs_and_differences(tmp_path: Path) -> None:
    assert main([str(_file(tmp_path, ["none", "pseudo"])), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out/report.md").read_text()
    assert "2 tasks of 2 repositories; tiny 0123 cpu float32" in text
    quality, origins, costs, differences = _cells(text, "pseudo")
    assert quality[1:4] == ["2", "50.0", "0.0 to 100.0"]
    assert origins[1].startswith("100.0 / 100.0 (1)")
    assert costs[1:5] == ["0 / 0", "5 / 5", "5 / 5", "10 / 10"]
    assert differences[1:4] == ["2", "+50.0", "0.0 to 100.0"]
    assert (tmp_path / "out/em_latency_line_s.png").read_bytes().startswith(PNG)


def test_plots_of_ablations_are_drawn_where_their_modes_were_run(tmp_path: Path) -> None:
    harmful = list(HARMFUL_SHARES["pseudo"].values())
    parts = [
        _file(tmp_path, ["plain-none", "plain-pseudo", *harmful]),
        _file(tmp_path, list(BUDGETS.values()), "budget.jsonl"),
    ]
    assert main([*map(str, parts), "--out", str(tmp_path / "out"), "--against", "plain-pseudo"]) == 0
    text = (tmp_path / "out/report.md").read_text()
    for name in ("em_latency_line_s.png", "budget_line_s.png", "harmful_line_s.png"):
        assert f"]({name})" in text
        assert (tmp_path / "out" / name).read_bytes().startswith(PNG)
    assert _cells(text, "plain-none")[-1][2] == "-50.0"


def test_the_same_files_give_the_same_report(tmp_path: Path) -> None:
    file = _file(tmp_path, ["none", "pseudo"])
    for out in ("one", "two"):
        main([str(file), "--out", str(tmp_path / out)])
    assert (tmp_path / "one/report.md").read_text() == (tmp_path / "two/report.md").read_text()


def test_nothing_to_report_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").touch()
    assert main([str(tmp_path / "empty"), "--out", str(tmp_path)]) == 2
    assert main([str(tmp_path / "absent"), "--out", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_report_says_how_well_answers_are_foreseen_and_what_a_prompt_was_for(tmp_path: Path) -> None:
    file = tmp_path / "predictions.jsonl"
    answers = [
        an_answer(mode, task_id=task, nats=nats, nats_tokens=9)
        for mode, nats in (("none", 2.0), ("snippets", 1.5))
        for task in "ab"
    ]
    file.write_text("".join(one.line() + "\n" for one in answers))
    assert main([str(file), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out/report.md").read_text()
    assert "Tokens of a prompt: total 960." in text
    assert ["snippets", "2", "1.500", "-0.500", "-0.500 to -0.500", "total 960"] in _cells(text, "snippets")
