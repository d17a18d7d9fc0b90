"""`--reindex`: one pass for who watches, and a word about an index that is there already."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from indexer import Index, IndexStage, Progress
from lsp_server import cli
from lsp_server.commands import index_of, loaded
from lsp_server.doctor import CONNECT, NAMED_FILES
from lsp_server.settings import Settings, override
from tests import tiny_coder

BAR = re.compile(r"\[(#*) *\] Index(?:ing|ed) repository")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    (root / "shop").mkdir()
    for number in range(30):
        text = f"def scale_{number}(factor):\n    return {number} * factor\n"
        (root / "shop" / f"scale_{number}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(root)
    return root


def reindexed(*arguments: str) -> None:
    assert cli.main(["--reindex", *arguments, *tiny_coder.ARGUMENTS]) == 0


def touched(root: Path) -> None:
    for file in root.rglob("*.py"):
        os.utime(file, (1, 1))


def test_a_run_goes_from_nothing_to_all_once(repository: Path) -> None:
    """Before: files were read twice for who watches, and each stage began with nothing again."""
    runs: list[list[Progress]] = []
    settings = override(Settings(), [tiny_coder.ASSIGNMENT])
    for _ in range(2):
        with (
            loaded(settings) as (coder, thread),
            closing(index_of(repository, settings, coder, thread)) as index,
        ):
            assert isinstance(index, Index)
            runs.append([])
            index.update(progress=runs[-1].append)
        touched(repository)
    first, again = ([progress.share for progress in run] for run in runs)

    assert first == sorted(first)
    assert again == sorted(again)
    assert {progress.stage for progress in runs[0]} >= {
        IndexStage.READING,
        IndexStage.TOKENIZING,
        IndexStage.EMBEDDING,
    }
    assert [progress.stage for progress in runs[1]][:1] == [IndexStage.OPENING]
    assert 0 <= first[0] < first[-1] <= 1


def test_the_bar_fills_once(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    reindexed()
    drawn = [len(bar) for bar in BAR.findall(capsys.readouterr().err)]

    assert len(drawn) > 30
    assert drawn == sorted(drawn)
    assert drawn[-1] == 24


def test_an_index_around_the_folder_is_named(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reindexed("shop")
    assert capsys.readouterr().err == ""
    reindexed()
    assert capsys.readouterr().err == ""  # what lies inside is nothing to mention
    reindexed("shop", "--json")
    out, err = capsys.readouterr()
    assert err.startswith(f"hef-lsp: {repository} has an index already, with the files of shop in it")
    assert err.count("\n") == 1
    assert json.loads(out)["indexed_around"] == str(repository)


def test_an_index_that_leaves_the_folder_out_is_not(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / ".gitignore").write_text("shop/\n", encoding="utf-8")
    reindexed()
    reindexed("shop", "--json")
    out, err = capsys.readouterr()

    assert err == ""
    assert json.loads(out.splitlines()[-1])["indexed_around"] is None


@pytest.fixture
def doctor(repository: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def ask(*arguments: str) -> str:
        cli.main(["--doctor", *arguments, *tiny_coder.ARGUMENTS])
        return capsys.readouterr().out

    return ask


def test_the_doctor_names_all_skipped_files_on_request(
    doctor: Any, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"broken_{number:02}.py" for number in range(NAMED_FILES + 4)]
    for name in names:
        (repository / name).write_bytes(b"\xff\xfe")
    reindexed()
    assert "(`hef-lsp --doctor --all` names them)" in capsys.readouterr().out
    some = next(line for line in doctor().splitlines() if "not UTF-8" in line)

    assert f"{names[NAMED_FILES - 1]} and 4 more, which `hef-lsp --doctor --all` names." in some
    assert names[NAMED_FILES] not in some
    for arguments in (("--all",), ("--json",)):
        everything = doctor(*arguments)
        assert all(name in everything for name in names)
        assert "more" not in everything.partition("not UTF-8")[2].partition("\n")[0]


def test_a_missing_editor_is_not_called_well(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    reindexed()
    *lines, last = doctor().splitlines()
    assert [line.split()[0] for line in lines if " editor: " in line] == ["hint"]
    assert last == f"Next: {CONNECT}"

    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    *lines, last = doctor().splitlines()
    assert [line.split()[0] for line in lines if " editor: " in line] == ["ok", "ok"]
    assert CONNECT not in last


@pytest.mark.parametrize(
    ("assignment", "mark", "said"),
    [
        ("completion.enabled=false", "hint", "Suggestions are off: completion.enabled is false."),
        ("completion.automatic=false", "hint", "Suggestions come only when asked for"),
        ("completion.minConfidence=0.35", "ok", "from 35 % sure (completion.minConfidence)"),
    ],
)
def test_the_doctor_says_what_keeps_suggestions_from_coming(
    doctor: Any, assignment: str, mark: str, said: str
) -> None:
    lines = doctor("--set", assignment).splitlines()
    found = [line for line in lines if line.removeprefix(mark).strip().startswith("suggestions: ")]
    assert len(found) == 1
    assert said in found[0]
