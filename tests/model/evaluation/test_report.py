"""Means, percentiles and the table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.evaluation.report import Score, summarize, table

SCORE = Score(
    task_id="t",
    repo="r",
    kind="line",
    source="S",
    origin="original",
    mode="none",
    text="x",
    em=0.0,
    es=50.0,
    first_line_em=100.0,
    ms=10.0,
    prompt_tokens=100,
    tokens=5,
    forward_passes=6,
)


def test_each_kind_source_and_mode_has_a_line_with_its_own_means() -> None:
    scores = [
        SCORE,
        replace(SCORE, em=100.0, es=100.0, ms=30.0, prompt_tokens=300, forward_passes=9),
        replace(SCORE, mode="pseudo", ms=7.0),
        replace(SCORE, kind="crossfile", source="C"),
        replace(SCORE, source="B"),
    ]
    lines = {(s.kind, s.source, s.mode): s.json() for s in summarize(scores)}
    assert [*lines] == [
        ("line", "B", "none"),
        ("line", "S", "none"),
        ("line", "S", "pseudo"),
        ("crossfile", "C", "none"),
    ]
    expected = {"n": 2, "em": 50.0, "es": 75.0, "p50_ms": 20.0, "p95_ms": 29.0, "prompt_tokens": 200.0}
    assert lines["line", "S", "none"].items() >= {**expected, "forward_passes": 7.5}.items()


def test_origins_are_told_apart() -> None:
    scores = [SCORE, replace(SCORE, origin="relocated", em=100.0), replace(SCORE, origin="relocated", es=80.0)]
    [summary] = summarize(scores)
    assert summary.json()["origins"] == {
        "original": {"n": 1, "em": 0.0, "es": 50.0},
        "relocated": {"n": 2, "em": 50.0, "es": 65.0},
    }
    assert [line.split()[0] for line in table([summary]).splitlines()] == ["kind", "line", "original", "relocated"]


def test_the_interval_draws_repositories_and_not_tasks() -> None:
    """Two repositories, one all right and one all wrong: whole repositories drawn anew give 0, 50 or 100."""
    scores = [replace(SCORE, repo=repo, em=em) for repo, em in [("a", 0.0), ("b", 100.0)] for _ in range(200)]
    [summary] = summarize(scores)
    assert summary.em == pytest.approx(50.0)
    assert summary.em_interval == (0.0, 100.0)


def test_a_prediction_line_has_the_fields_that_scripts_read() -> None:
    names = ["task_id", "mode", "text", "em", "es", "ms", "forward_passes"]
    assert [*SCORE.prediction()] == names
