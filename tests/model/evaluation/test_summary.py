"""Means, percentiles, differences and the table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.evaluation.predictions import System
from model.evaluation.summary import difference, summarize, table
from tests.model.evaluation.answers import an_answer


def test_each_kind_source_and_mode_has_a_line_with_its_own_means() -> None:
    answers = [
        an_answer(),
        an_answer(right=True, ms=30.0, prompt_tokens=300, forward_passes=9),
        an_answer("pseudo", ms=7.0),
        an_answer(kind="crossfile", source="C"),
        an_answer(source="B"),
    ]
    lines = {(s.kind, s.source, s.mode): s.json() for s in summarize(answers)}
    assert [*lines] == [
        ("line", "B", "none"),
        ("line", "S", "none"),
        ("line", "S", "pseudo"),
        ("crossfile", "C", "none"),
    ]
    expected = {
        "n": 2,
        "em": 50.0,
        "p50_ms": 20.0,
        "p95_ms": 29.0,
        "prompt_tokens": 200.0,
        "forward_passes": 7.5,
    }
    assert lines["line", "S", "none"].items() >= expected.items()
    assert lines["line", "S", "none"]["stages_ms"]["prefill"] == [10.0, 14.5]
    assert lines["line", "S", "none"]["id_f1"] == 75.0  # one of two names is right in one, both in the other


def test_a_prompt_that_nobody_read_is_not_prefilled() -> None:
    """Recall writes whole answers without the coder."""
    [summary] = summarize([an_answer(prompt_tokens=300), an_answer(prompt_tokens=1_000, forward_passes=0)])
    assert (summary.prompt_tokens, summary.prefilled) == (650.0, 150.0)


def test_origins_are_told_apart() -> None:
    answers = [an_answer(), an_answer(origin="relocated", right=True), an_answer(origin="relocated")]
    [summary] = summarize(answers)
    origins = summary.json()["origins"]
    assert (origins["original"]["n"], origins["original"]["em"]) == (1, 0.0)
    assert (origins["relocated"]["n"], origins["relocated"]["em"]) == (2, 50.0)
    assert [line.split()[0] for line in table([summary]).splitlines()] == [
        "kind",
        "line",
        "original",
        "relocated",
    ]


def test_the_interval_draws_repositories_and_not_tasks() -> None:
    """Two repositories, one all right and one all wrong: whole repositories drawn anew give 0, 50 or 100."""
    answers = [
        an_answer(repo=repo, right=right) for repo, right in [("a", False), ("b", True)] for _ in range(200)
    ]
    [summary] = summarize(answers)
    assert summary.em == pytest.approx(50.0)
    assert summary.em_interval == (0.0, 100.0)


def test_other_settings_and_other_models_are_other_systems() -> None:
    plain = an_answer()
    changed = replace(plain, system=System("none", plain.system.model, ("drafts.enabled=false",)))
    assert [s.mode for s in summarize([plain, changed])] == ["none", "none drafts.enabled=false"]
    other = replace(plain, system=System("none", "large"))
    assert [s.mode for s in summarize([plain, other])] == ["none (tiny 0123 cpu float32)", "none (large)"]


def test_a_difference_is_of_the_tasks_that_both_answered() -> None:
    """Of four tasks in two repositories three are common; the system is better in one repository only."""
    reference = [an_answer(task_id=name, repo=name[0]) for name in ("a1", "a2", "b1")]
    better = [
        an_answer("pseudo", task_id="a1", repo="a", right=True, ms=20.0),
        an_answer("pseudo", task_id="b1", repo="b", ms=20.0),
        an_answer("pseudo", task_id="b2", repo="b", right=True, ms=20.0),
    ]
    found = difference(better, reference)
    assert found is not None
    assert (found.n, found.em, found.em_interval, found.p50_ratio) == (2, 50.0, (0.0, 100.0), 2.0)
    assert difference(better, []) is None


def test_nats_are_compared_with_the_file_alone_task_by_task() -> None:
    """Two of the three tasks have both; recall is no part of the coder, another budget is another system."""
    with_recall = System("none", "tiny 0123 cpu float32 with recall")
    narrow = System("none", "tiny 0123 cpu float32", budget="window 448 + context")
    answers = [
        an_answer(task_id="a", nats=2.0, nats_tokens=9, system=with_recall),
        an_answer(task_id="b", nats=1.0, nats_tokens=9, system=with_recall),
        an_answer(task_id="a", nats=9.0, nats_tokens=9, system=narrow),
        *(
            an_answer("pseudo", task_id=task, nats=nats, nats_tokens=9)
            for task, nats in (("a", 1.5), ("b", 0.75), ("c", 3.0))
        ),
        an_answer("copy-match", nats_tokens=0),
    ]
    summaries = summarize(answers)
    lines = {one.mode.split()[0]: one.json() for one in summaries if "window" not in one.mode}
    assert (lines["pseudo"]["nats"], lines["pseudo"]["nats_n"]) == (1.75, 3)
    assert lines["pseudo"]["nats_difference"] == -0.375
    assert lines["pseudo"]["nats_interval"] == [-0.5, -0.25]
    assert lines["none"]["nats_difference"] == 0.0
    assert "nats" not in lines["copy-match"]
    assert {line["budget"] for line in lines.values()} == {"total 960"}
    assert "none [window 448 + context]" in {one.mode for one in summaries}
    head, *rows = table(summaries).splitlines()
    assert "nats" in head
    assert any("-0.375" in row for row in rows)
    assert "nats" not in table(summarize([an_answer()]))


def test_languages_are_told_apart_and_named_where_there_are_others_than_python() -> None:
    answers = [an_answer(language="go", right=True), an_answer(language="rust"), an_answer()]
    summaries = summarize(answers)
    assert [(s.json()["language"], s.json()["em"]) for s in summaries] == [
        ("go", 100.0),
        ("python", 0.0),
        ("rust", 0.0),
    ]
    head, *rows = table(summaries).splitlines()
    assert head.split()[:4] == ["kind", "source", "language", "mode"]
    assert [row.split()[2] for row in rows] == ["go", "python", "rust"]
    assert "language" not in table(summarize([an_answer()]))
