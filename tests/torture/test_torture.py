"""The short form of every kind of torture, with fixed seeds; the full one is `make torture`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.torture import summary
from tests.torture.kinds import KINDS
from tests.torture.runner import ROOT, Form, Kind, Outcome, Record, Until, run_here
from tests.torture.runner import run as run_cases

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, pipes and signals of POSIX")


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[list[Record]]]]:
    """The kinds that are asked for, two at a time: half of each is waiting for a process to start."""
    chosen = [
        item for item in request.session.items if getattr(item, "function", None) is test_the_short_form
    ]
    kinds = [item.callspec.params["kind"] for item in chosen]
    with ThreadPoolExecutor(2) as pool:
        yield {kind.name: pool.submit(run_cases, kind, kind.short, range(kind.short.cases)) for kind in kinds}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_the_short_form(kind: Kind, running: dict[str, Future[list[Record]]]) -> None:
    records = running[kind.name].result()
    assert len(records) == kind.short.cases
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
    kind = Kind(
        "writes", lambda seed, size, scratch: Outcome(figures={"n": seed}), form, form, lambda size: 1
    )
    outcome = run_here(kind, 7, 1, tmp_path / "scratch")
    assert outcome.figures["n"] == 7
    assert outcome.figures["peak_mb"] > 1
    assert not (tmp_path / "scratch").exists()


def test_the_memory_of_a_case_is_not_that_of_whoever_runs_it() -> None:
    held = bytearray(b"a" * (64 << 20))
    told = subprocess.run(
        [sys.executable, "-c", "from tests.memory import peak_mb; print(peak_mb())"],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    assert 1 < float(told.stdout) < len(held) >> 20


def test_time_that_is_over_begins_no_case_and_cuts_off_the_one_that_runs() -> None:
    kind = KINDS["files"]
    assert run_cases(kind, kind.short, range(3), until=Until(last=0)) == []
    assert run_cases(kind, kind.short, range(3), until=Until(end=0)) == []


def test_a_long_case_is_made_as_long_as_its_time() -> None:
    form = KINDS["typing"].full
    assert KINDS["typing"].fitting(form, 600).size < 600
    assert KINDS["typing"].fitting(form, 1e9) == form
    assert KINDS["typing"].fitting(form, 1) == KINDS["typing"].short
    assert KINDS["files"].fitting(KINDS["files"].full, 1) == KINDS["files"].full
