"""The command line without a model: usage, exit codes, places."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsp_server import cli
from lsp_server.commands import repository_of, snapshot_at
from lsp_server.problems import UserMustActError


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--set", "nonsense=1", "--version"], 2, "Unknown setting 'nonsense'"),
        (["--complete", "nowhere.py"], 2, "FILE:LINE:COL"),
        (["--complete", "/no/such/file.py:1:1"], 1, "No such file"),
        (["--reindex", "/no/such/folder"], 1, "is not a folder"),
        (["--tcp", "host"], 2, "HOST:PORT"),
        (["--tcp", "0.0.0.0:0"], 1, "server.allowRemote=true"),
    ],
)
def test_problems_are_one_sentence_on_stderr(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == code
    output = capsys.readouterr()
    assert said in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["--reindex", "--doctor"],
        ["--context", "x"],
        ["--package", "a"],
        ["--publish", "--vectors"],
    ],
)
def test_wrong_usage_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hef-lsp ")


def test_a_place_is_counted_from_one_and_splits_the_file_there(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_bytes("x = '😀'\r\ny = one\r\n".encode())
    found, snapshot = snapshot_at(f"{file}:2:5")

    assert found == file
    assert (snapshot.prefix, snapshot.suffix) == ("x = '😀'\ny = ", "one\n")
    assert snapshot_at(f"{file}:1:7")[1].line_before == "x = '😀"
    assert snapshot_at(f"{file}:1:99")[1].line_after == ""


@pytest.mark.parametrize("place", ["0:1", "1:0", "9:1", "1", "x:y", "-1:1", "1:"])
def test_places_outside_the_file_are_wrong_usage(tmp_path: Path, place: str) -> None:
    file = tmp_path / "a.py"
    file.write_text("one\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"FILE:LINE:COL|has no line"):
        snapshot_at(f"{file}:{place}")


def test_a_file_that_is_no_text_needs_the_user(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserMustActError, match="not UTF-8"):
        snapshot_at(f"{tmp_path / 'a.py'}:1:1")


def test_the_repository_is_the_work_tree_then_the_project_then_the_folder(tmp_path: Path) -> None:
    file = tmp_path / "outer" / "inner" / "a.py"
    file.parent.mkdir(parents=True)
    assert repository_of(file) == file.parent
    (file.parent / "pyproject.toml").touch()
    assert repository_of(file) == file.parent
    (tmp_path / "outer" / ".git").mkdir()
    assert repository_of(file) == tmp_path / "outer"
