"""What a retrieval brings into reach, counted in names; and the command that counts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.evaluation.coverage import FINDERS, covered, main, wanted_names
from model.evaluation.sources import Snippet
from model.vocabulary import Vocabulary
from tests.model.evaluation.holes import a_task, write_archive, write_tasks

PRICES = "def discounted(item, season):\n    return item.price * season.factor\n"


def _snippet(text: str) -> Snippet:
    return Snippet("shop/price.py", 1, 2, text, 1.0)


def test_names_that_the_prompt_shows_are_not_wanted() -> None:
    task = a_task(target="    return sum(discounted(item, 'summer') for item in items)")
    assert wanted_names(task) == {"sum", "discounted", "item"}
    assert wanted_names(a_task(target="    return total(items)")) == set()


def test_a_name_counts_only_as_a_whole_and_within_the_budget(vocabulary: Vocabulary) -> None:
    names = {"discounted", "factor"}
    assert covered(vocabulary, [_snippet(PRICES)], names, 500) == 1
    assert covered(vocabulary, [_snippet("discounted_before = refactor()")], names, 500) == 0
    assert covered(vocabulary, [_snippet("discounted()")], names, 500) == 0.5
    assert covered(vocabulary, [_snippet("x = 1\n" * 400 + PRICES)], names, 500) == 0


def test_every_finder_is_reported_per_kind(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = a_task(
        prefix="from shop.price import *\n\ndef total(items):\n", target="    return discounted(items)"
    )
    texts = {f"shop/{task.path}": task.text, "shop/shop/price.py": PRICES, "shop/shop/other.py": "BLUE = 1\n"}
    archive = write_archive(tmp_path / "repos.tar", texts)
    tasks = write_tasks(tmp_path / "tasks.jsonl", [task])
    model = ["--set", f"model.name={tiny_folder}", "--set", "model.device=cpu"]
    assert main(["--tasks", str(tasks), "--repos", str(archive), *model]) == 0
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[2:]
    ]
    assert [row[1] for row in rows] == [name for name in FINDERS if name != "dense-minilm"]
    assert {row[0] for row in rows} == {"line"}
    assert {row[1]: row[3] for row in rows}["jaccard"] == "100.0"
