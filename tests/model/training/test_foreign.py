"""Tasks made from archives of other languages: which packages may stand there, and that the same bytes come out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.evaluation.repository import extract
from model.evaluation.tasks import read_tasks
from model.training import foreign
from model.training.archives import ArchiveError, name_and_version, read_archive
from model.training.config import ConfigError, read_config
from model.training.filters import CHANCES, FOREIGN, measured_names
from model.training.foreign import ForeignConfig, ForeignPackage
from tests.model.training.conftest import GPL, module_text
from tests.model.training.foreign_archives import go_text, write_archive


@pytest.fixture
def config(tmp_path: Path) -> ForeignConfig:
    folder = tmp_path / "archives"
    packages = (
        write_archive(folder / "zoo-1.0.tgz", {f"{name}.go": go_text(name) for name in ("lion", "bear")}),
        write_archive(
            folder / "kitchen-1.0.tgz", {"soup.go": go_text("soup"), "tool.py": module_text("tool")}
        ),
    )
    return ForeignConfig(folder, tmp_path / "out", packages, per_language=10)


def _with(config: ForeignConfig, files: dict[str, str], **changes: Any) -> ForeignConfig:
    package = write_archive(config.archives / "zoo-1.0.tgz", files, **changes)
    return replace(config, packages=(package, config.packages[1]))


def test_tasks_and_repositories_are_what_the_evaluation_reads(config: ForeignConfig, tmp_path: Path) -> None:
    foreign.run(config)
    tasks = read_tasks(config.out / "tasks.jsonl.xz")
    extract(config.out / "repos.tar.xz", {"zoo", "kitchen"}, tmp_path / "snapshots")
    assert [task.repo for task in tasks] == ["kitchen"] * 5 + ["zoo"] * 5
    for task in tasks:
        assert (task.language, task.kind) == ("go", "line")
        assert (tmp_path / "snapshots" / task.repo / task.path).read_bytes().decode() == task.text
    for beside in ("LICENSE", "README.md", "tool.py"):
        assert (tmp_path / "snapshots" / "kitchen" / beside).exists()


def test_the_same_bytes_come_out_whatever_the_files_are_called(
    config: ForeignConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign.run(config)
    digest = capsys.readouterr().out.split("sha256 ")[1][:64]
    made = [(config.out / name).read_bytes() for name in ("tasks.jsonl.xz", "repos.tar.xz")]
    (config.archives / "zoo-1.0.tgz").rename(config.archives / "a")
    again = replace(config, out=config.out / "again", packages=config.packages[::-1], digest=digest)
    foreign.run(again)
    assert [(again.out / name).read_bytes() for name in ("tasks.jsonl.xz", "repos.tar.xz")] == made
    assert ": the published numbers' tasks" in capsys.readouterr().out


def test_tests_vendored_and_made_files_and_copies_give_no_task(config: ForeignConfig) -> None:
    own = {"lion.go": go_text("lion"), "again/lion.go": go_text("lion")}
    others = {path: go_text(f"n{n}") for n, path in enumerate(("lion_test.go", "vendor/a.go", "dist/b.go"))}
    foreign.run(replace(_with(config, {**own, **others}), per_language=1_000))
    paths = {task.path for task in read_tasks(config.out / "tasks.jsonl.xz") if task.repo == "zoo"}
    assert len(paths) == 1
    assert paths < own.keys()


def test_what_was_compiled_from_a_folder_is_not_there(config: ForeignConfig, tmp_path: Path) -> None:
    files = {"src/lion.go": go_text("lion"), "lib/lion.go": go_text("lion"), "srcs/a.go": go_text("a")}
    foreign.run(_with(config, files, folder="src"))
    extract(config.out / "repos.tar.xz", {"zoo"}, tmp_path / "snapshots")
    found = {
        path.relative_to(tmp_path / "snapshots").as_posix()
        for path in tmp_path.rglob("snapshots/zoo/**/*.go")
    }
    assert found == {"zoo/src/lion.go"}


@pytest.mark.parametrize(
    ("files", "changes", "reason"),
    [
        ({}, {"sha256": "0" * 64}, "zoo: no archive of version 1.0"),
        ({"LICENSE": GPL}, {}, "zoo: the license is None, not MIT"),
        ({"package.json": '{"license": "SEE LICENSE"}'}, {}, "zoo: the license is None, not MIT"),
        ({"package.json": "{"}, {}, "zoo: the license is None, not MIT"),
        ({}, {"license": "BSD"}, "zoo: the license is MIT, not BSD"),
        ({}, {"language": "cobol"}, "zoo: cobol is none of"),
    ],
)
def test_a_package_that_breaks_the_rule_is_named(
    config: ForeignConfig, files: dict[str, str], changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        foreign.run(_with(config, {"a.go": go_text("a"), **files}, **changes))
    assert not config.out.exists()


def test_a_damaged_archive_is_named(config: ForeignConfig) -> None:
    broken = config.archives / "zoo-1.0.tgz"
    broken.write_bytes(broken.read_bytes()[:-40])
    with pytest.raises(ArchiveError, match=r"zoo-1\.0\.tgz cannot be read"):
        read_archive(broken, "zoo", "1.0", {".go"})


def test_names_and_versions_of_archives() -> None:
    for name, expected in {
        "zod-4.6.7.tgz": ("zod", "4.6.7"),
        "libuv1_1.50.0.orig.tar.xz": ("libuv1", "1.50.0"),
        "pydantic_core-2.50.5.tar.gz": ("pydantic_core", "2.50.5"),
        "tanstack-query-core-5.108.4.tgz": ("tanstack-query-core", "5.108.4"),
        "zoo-1.0-py3-none-any.whl": None,
        "notes.txt": None,
    }.items():
        assert name_and_version(Path(name)) == expected


def test_committed_packages_are_listed_once_and_never_learned_from() -> None:
    packages = [ForeignPackage(**table) for table in read_config(ForeignConfig, FOREIGN).packages]
    assert len({package.name for package in packages}) == len(packages)
    per_language = {
        language: [p for p in packages if p.language == language] for language in foreign.SUFFIXES
    }
    assert all(len(mine) >= 8 for mine in per_language.values())
    fitted = [ForeignPackage(**table) for table in read_config(ForeignConfig, CHANCES).packages]
    assert not {package.name for package in packages} & {package.name for package in fitted}
    for package in [*packages, *fitted]:
        assert {package.name.lower().replace("_", "-"), package.repository.lower()} <= measured_names()
