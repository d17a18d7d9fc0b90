"""The benchmark of next edits: what counts as right, on a history of one commit."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.benchmarks.histories import OldAndNew, edits_of, steps_between
from tests.benchmarks.next_edit import Typist, main, played

BEFORE = "log.warn(x)\ny = 1\nif x:\n    log.warn(x, 2)\nlog.info(x)\n"
AFTER = BEFORE.replace("warn", "warning")


def edit(before: str, after: str) -> OldAndNew:
    return OldAndNew("", tuple(before.splitlines(keepends=True)), tuple(steps_between(before, after)))


def test_lines_that_changed_one_by_one_are_typed_one_by_one() -> None:
    assert [(step.first, step.end) for step in steps_between("a\nb\nc\nd\n", "A\nB\nc\nd\ne\n")] == [
        (0, 1),
        (1, 2),
        (4, 4),
    ]


def test_an_edit_has_its_place_while_others_are_done() -> None:
    found = edit("a\nb\nc\n", "A\nnew\nb\nC\n")
    text = found.text(frozenset({0}))

    assert found.text(frozenset()) == "a\nb\nc\n"
    assert found.text(frozenset({0, 1})) == "A\nnew\nb\nC\n"
    assert text[found.offset(1, frozenset({0})) :] == "c\n"
    assert found.length(1, frozenset({0})) == 2


def test_an_offer_is_right_where_it_makes_what_was_wanted() -> None:
    done = played(edit(BEFORE, AFTER), 0.0)

    assert done.n_wanted == 1
    assert [shown.right for shown in done.shown] == [True]


def test_an_offer_that_makes_something_else_is_wrong() -> None:
    done = played(edit(BEFORE, AFTER.replace("warning(x, 2)", "warning(x, 3)")), 0.0)

    assert [shown.right for shown in done.shown] == [False]


def test_what_was_typed_is_what_the_commit_has() -> None:
    typist = Typist(edit(BEFORE, AFTER))
    while typist.type_next():
        pass

    assert not typist.proposals(set())


def test_commits_that_change_one_file_are_read_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = tmp_path / "repositories" / "one"
    repository.mkdir(parents=True)

    def git(*arguments: str) -> None:
        own = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(repository), *own, *arguments], check=True, capture_output=True)

    git("init")
    for text in (BEFORE, AFTER):
        (repository / "a.py").write_text(text, encoding="utf-8")
        git("add", "a.py")
        git("commit", "-m", "x")

    assert [len(found.steps) for found in edits_of(repository, 9)] == [2]
    told = tmp_path / "told.jsonl"
    asked = ["--repositories", str(tmp_path / "repositories"), "--told", str(told), "--min-chance"]
    assert main([*asked, "0"]) == 0
    assert "wanted 1, shown 1, right 1 (100.0%)" in capsys.readouterr().out
    shown = json.loads(told.read_text(encoding="utf-8"))
    assert (shown["what"], shown["right"]) == ("shown", True)
    assert (shown["old"], shown["new"]) == ("    log.warn(x, 2)", "    log.warning(x, 2)")

    assert main([*asked, "1"]) == 0
    missed = json.loads(told.read_text(encoding="utf-8"))
    assert (missed["what"], missed["chance"]) == ("missed", shown["chance"])
