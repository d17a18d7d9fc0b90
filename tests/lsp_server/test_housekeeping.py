"""--caches and --purge: the user sees what is kept and deletes it, whatever is stale or in use."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from indexer import Index
from indexer.caches import VANISHED
from lsp_server import cli


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three repositories with caches; the current folder lies in the first, whose inner project has one as well."""
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "hub").mkdir()
    for name in ("first", "first/inner", "second", "third"):
        root = tmp_path / name
        (root / ".git").mkdir(parents=True)
        (root / "a.py").write_text("x = 1\n", encoding="utf-8")
        with closing(Index.open(root, None)) as index:
            index.update()
    (tmp_path / "first" / "src").mkdir()
    monkeypatch.chdir(tmp_path / "first" / "src")
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*arguments: str, code: int = 0) -> Any:
        assert cli.main([*arguments, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return command


def projects(report: Any, key: str = "caches") -> set[str]:
    return {Path(cache["project"]).name for cache in report[key]}


def test_every_cache_is_listed_with_its_project(places: Path, run: Any) -> None:
    report = run("--caches")

    assert report["home"] == str(places / "cache")
    assert report["hub"] == str(places / "hub")
    assert {cache["project"] for cache in report["caches"]} == {
        str(places / name) for name in ("first", "first/inner", "second", "third")
    }
    assert all(cache["bytes"] > 0 and not cache["stale"] for cache in report["caches"])


def test_a_person_reads_the_same(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(places / "third")
    assert cli.main(["--caches"]) == 0
    out = capsys.readouterr().out

    assert f"{places / 'second'} (second-" in out
    assert f"stale: {VANISHED}" in out
    assert str(places / "hub") in out


def test_by_default_the_repository_here_is_purged_and_what_lies_in_it(places: Path, run: Any) -> None:
    report = run("--purge")

    assert projects(report, "deleted") == {"first", "inner"}
    assert report["bytes"] == sum(cache["bytes"] for cache in report["deleted"]) > 0
    assert projects(run("--caches")) == {"second", "third"}
    assert {folder.name.partition("-")[0] for folder in (places / "cache").iterdir()} == {"second", "third"}
    assert run("--purge")["deleted"] == []


def test_a_folder_is_named_there_or_not(places: Path, run: Any) -> None:
    shutil.rmtree(places / "third")
    assert projects(run("--purge", "../../third"), "deleted") == {"third"}
    assert projects(run("--purge", str(places / "second")), "deleted") == {"second"}


def test_what_is_stale_goes_as_the_setting_says(places: Path, run: Any) -> None:
    shutil.rmtree(places / "third")
    for file in (places / "cache").glob("second-*/v*/*"):
        os.utime(file, (time.time() - 5 * 86_400,) * 2)

    assert projects(run("--purge", "--stale"), "deleted") == {"third"}
    assert projects(run("--purge", "--stale", "--set", "index.keepCachesDays=3"), "deleted") == {"second"}
    assert projects(run("--caches")) == {"first", "inner"}


def test_everything_is_everything_of_ours(places: Path, run: Any) -> None:
    for folder in ("graphs/decoder-0123456789abcdef", "graphs/mine", "packages/0123456789ab"):
        (places / "cache" / folder).mkdir(parents=True)
    run("--purge", "--all")

    assert [path.relative_to(places / "cache").as_posix() for path in sorted((places / "cache").rglob("*"))] == [
        "graphs", "graphs/mine",
    ]  # fmt: skip
    assert (places / "hub").is_dir()
    assert (places / "second" / "a.py").exists()


def test_what_an_editor_has_open_stays_and_is_named(
    places: Path, run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Index.open(places / "second", None)):
        report = run("--purge", "--all", code=1)
        assert projects(report, "kept") == {"second"}
        assert projects(report, "deleted") == {"first", "inner", "third"}
        assert cli.main(["--purge", str(places / "second")]) == 1
        assert "Close the editors" in capsys.readouterr().err
    assert projects(run("--purge", "--all"), "deleted") == {"second"}


@pytest.mark.parametrize(
    "arguments", [["--stale"], ["--all"], ["--purge", ".", "--all"], ["--purge", "--all", "--stale"]]
)
def test_what_to_purge_is_said_once(places: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert len(list((places / "cache").iterdir())) == 4
