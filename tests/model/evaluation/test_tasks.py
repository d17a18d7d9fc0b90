"""Reading tasks, refusing bad ones, and drawing an even sample."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from model.evaluation.tasks import EvaluationError, Task, read_tasks, select
from tests.model.evaluation.holes import a_task, write_tasks


def test_tasks_are_read_from_plain_and_compressed_lines(tmp_path: Path) -> None:
    tasks = [a_task(task_id="a", suffix="\u2028é\r\n"), a_task(task_id="b", kind="api")]
    plain = write_tasks(tmp_path / "tasks.jsonl", tasks)
    packed = tmp_path / "tasks.jsonl.xz"
    packed.write_bytes(lzma.compress(plain.read_bytes()))
    assert read_tasks(plain) == tasks
    assert read_tasks(packed) == tasks


def test_fields_that_are_not_needed_are_ignored(tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text(json.dumps({**asdict(a_task()), "line": 3, "official_bm25": []}) + "\n\n")
    assert read_tasks(file) == [a_task()]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 2 is not JSON"),
        ("[1]", "line 2 is not a JSON object"),
        (json.dumps({**asdict(a_task()), "target": None}), "line 2 has no text in target"),
        ("{}", "line 2 has no text in task_id, repo, path"),
        (json.dumps(asdict(a_task(kind="poem"))), "line 2 has the unknown kind 'poem'"),
        (json.dumps(asdict(a_task(path="../cart.py"))), "not inside the snapshot"),
        (json.dumps(asdict(a_task(repo="/etc"))), "not inside the snapshot"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    file = write_tasks(tmp_path / "tasks.jsonl", [a_task()])
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(EvaluationError, match=complaint):
        read_tasks(file)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl.xz"
    file.write_bytes(b"not xz")
    with pytest.raises(EvaluationError, match=r"tasks\.jsonl\.xz cannot be read"):
        read_tasks(file)


def _pool() -> list[Task]:
    """Three repositories: 30 lines and 30 calls; 10 lines; 2 calls."""
    sizes = {("big", "line"): 30, ("big", "api"): 30, ("middle", "line"): 10, ("small", "api"): 2}
    return [
        a_task(task_id=f"{repo}/{kind}/{i}", repo=repo, kind=kind)
        for (repo, kind), n in sizes.items()
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("limit", "per_repository"),
    [
        (3, {"big": 1, "middle": 1, "small": 1}),
        (6, {"big": 2, "middle": 2, "small": 2}),
        (14, {"big": 6, "middle": 6, "small": 2}),
        (30, {"big": 18, "middle": 10, "small": 2}),
        (None, {"big": 60, "middle": 10, "small": 2}),
        (1000, {"big": 60, "middle": 10, "small": 2}),
    ],
)
def test_a_limit_is_spent_evenly_over_repositories(limit: int | None, per_repository: dict[str, int]) -> None:
    assert Counter(task.repo for task in select(_pool(), limit=limit)) == per_repository


def test_within_a_repository_kinds_take_turns() -> None:
    drawn = select([task for task in _pool() if task.repo == "big"], limit=10)
    assert Counter(task.kind for task in drawn) == {"line": 5, "api": 5}


def test_the_draw_depends_on_names_only_and_grows_with_the_limit() -> None:
    few, many = select(_pool(), limit=7), select(list(reversed(_pool())), limit=20)
    assert set(few) <= set(many)
    assert few == select(list(reversed(_pool())), limit=7)


def test_only_the_kinds_asked_for_are_drawn() -> None:
    assert Counter(task.kind for task in select(_pool(), ["api"])) == {"api": 32}
    assert select(_pool(), ["function"]) == []


def test_tasks_of_one_repository_stand_together() -> None:
    repositories = [task.repo for task in select(_pool(), limit=30)]
    assert repositories == sorted(repositories)
