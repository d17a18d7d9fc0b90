"""Predictions files: what scripts read, what comes back, and what a killed run leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.evaluation.predictions import latest, read, resume
from model.evaluation.tasks import EvaluationError
from tests.model.evaluation.answers import an_answer


def test_a_line_begins_with_the_fields_that_scripts_read() -> None:
    line = json.loads(an_answer(right=True).line())
    assert [*line][:7] == ["task_id", "mode", "text", "em", "es", "ms", "forward_passes"]
    assert (line["em"], line["es"], line["ms"]) == (100.0, 100.0, 10.0)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    answers = [an_answer(), an_answer("pseudo", right=True, task_id="é\u2028")]
    file = tmp_path / "predictions.jsonl"
    file.write_text("".join(one.line() + "\n" for one in answers), encoding="utf-8")
    assert read(file) == answers


def test_a_line_that_a_killed_run_left_unfinished_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "predictions.jsonl"
    assert resume(file) == []
    whole = an_answer().line() + "\n"
    file.write_text(whole + an_answer("pseudo").line()[:40])
    assert resume(file) == [an_answer()]
    assert file.read_text() == whole


def test_of_two_answers_of_one_system_the_later_counts() -> None:
    first, second, other = an_answer(), an_answer(right=True), an_answer("pseudo")
    assert list(latest([first, other, second])) == [second, other]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 2 is not a prediction"),
        ("{}", "line 2 is not a prediction"),
        ("[]", "line 2 is not a prediction"),
        (an_answer(kind="poem").line(), "unknown kind 'poem'"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    file = tmp_path / "predictions.jsonl"
    file.write_text(f"{an_answer().line()}\n{line}\n")
    with pytest.raises(EvaluationError, match=complaint):
        read(file)


def test_lines_without_nats_and_budget_stay_readable(tmp_path: Path) -> None:
    new = an_answer(nats=1.25, nats_tokens=7)
    line = json.loads(new.line())
    assert (line["nats"], line["nats_tokens"], line["budget"]) == (1.25, 7, "total 960")
    old = {name: value for name, value in line.items() if name not in ("nats", "nats_tokens", "budget")}
    other = old | {"settings": ["model.contextTokens=512", "model.suffixTokens=8"]}
    file = tmp_path / "predictions.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in (old, other)))
    first, second = read(file)
    assert first == an_answer()
    assert (second.system.budget, second.nats, second.nats_tokens) == ("total 512", None, None)
    assert "nats" not in json.loads(an_answer().line())
