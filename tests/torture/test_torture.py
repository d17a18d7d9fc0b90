"""The short form of every kind of torture, with fixed seeds; the full one is `make torture`."""

from __future__ import annotations

import os

import pytest

from tests.torture import summary
from tests.torture.kinds import KINDS
from tests.torture.runner import Form, Kind, Outcome, run_here
from tests.torture.runner import run as run_cases

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, pipes and signals of POSIX")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_the_short_form(kind: Kind) -> None:
    records = run_cases(kind, kind.short, range(kind.short.cases))
    assert not any(record.failures for record in records), summary.failures(records)


def test_what_a_case_raises_is_a_failure_with_its_place(tmp_path) -> None:
    def case(seed, size, scratch):
        raise KeyError("gone")

    kind = Kind("raises", case, Form(1, 1), Form(1, 1), lambda size: 1)
    outcome = run_here(kind, 0, 1, tmp_path / "scratch")
    assert "KeyError: 'gone'" in outcome.failures[0]
    assert "test_torture.py" in outcome.failures[0]


def test_a_case_cleans_up_behind_it_and_says_what_memory_it_took(tmp_path) -> None:
    form = Form(1, 1)
    kind = Kind("writes", lambda seed, size, scratch: Outcome(figures={"n": seed}), form, form, lambda size: 1)
    outcome = run_here(kind, 7, 1, tmp_path / "scratch")
    assert outcome.figures["n"] == 7
    assert outcome.figures["peak_mb"] > 1
    assert not (tmp_path / "scratch").exists()
