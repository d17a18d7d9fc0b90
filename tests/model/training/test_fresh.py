"""Tasks made from sdists: which packages may stand there, and that the same bytes come out each time."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from model.evaluation.repository import extract
from model.evaluation.tasks import read_tasks
from model.training import __main__ as command
from model.training import fresh
from model.training.config import ConfigError, read_config
from model.training.filters import FRESH, NearDuplicates, measured_names
from model.training.fresh import FreshConfig
from model.training.sources import read_sdist
from tests.model.training.conftest import GPL, MIT, module_text, write_checkout
from tests.model.training.test_corpus import build as build_corpus

DECLARED = "Metadata-Version: 2.4\nName: zoo\nLicense-Expression: MIT\n"


def _files(*names: str) -> dict[str, str]:
    """A package of modules that call each other in turn, 1,500 lines and more."""
    files = {}
    for name, after in zip(names, names[1:] + names[:1], strict=True):
        _, _, body = module_text(name, 30, calls=after).partition("\n")
        imported = ", ".join(f"{after}_{n}" for n in range(30))
        files[f"src/zoo/{name}.py"] = f"from zoo.{after} import (\n    {imported},\n)\n{body}"
    return files


def _write_sdist(folder: Path, name: str, files: dict[str, str]) -> dict[str, Any]:
    """An sdist with these files, MIT if they say nothing else; its entry in the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as tar:
        for path, text in {"PKG-INFO": DECLARED, "LICENSE": MIT, "README.md": "zoo", **files}.items():
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return {
        "name": name,
        "version": "1.0",
        "sha256": hashlib.sha256((folder / f"{name}-1.0.tar.gz").read_bytes()).hexdigest(),
        "license": "MIT",
        "first_release": date(2025, 3, 1),
        "repository": f"ann/{name}",
    }


ANIMALS = ("lion", "bear", "wolf", "crow", "toad", "newt", "moth", "hare", "seal")
DISHES = ("soup", "cake", "rice", "bean", "corn", "tofu", "kale", "plum", "pear")


@pytest.fixture
def config(tmp_path: Path) -> FreshConfig:
    """Two packages in which everything is as it should be."""
    packages = (
        _write_sdist(tmp_path / "sdists", "zoo", _files(*ANIMALS)),
        _write_sdist(tmp_path / "sdists", "kitchen", _files(*DISHES)),
    )
    return FreshConfig(sdists=tmp_path / "sdists", out=tmp_path / "out", packages=packages, per_kind=4)


def _with(config: FreshConfig, files: dict[str, str] | None = None, **changes: Any) -> FreshConfig:
    """The first package made anew or described otherwise."""
    first = _write_sdist(config.sdists, "zoo", files) if files else config.packages[0]
    return replace(config, packages=({**first, **changes}, *config.packages[1:]))


def test_tasks_and_repositories_are_what_the_evaluation_reads(config: FreshConfig, tmp_path: Path) -> None:
    fresh.run(config)
    tasks = read_tasks(config.out / "tasks.jsonl.xz")
    extract(config.out / "repos.tar.xz", {"zoo", "kitchen"}, tmp_path / "snapshots")
    assert [(t.repo, t.kind) for t in tasks[::4]] == [
        (repo, kind) for repo in ("kitchen", "zoo") for kind in ("line", "api")
    ]
    for task in tasks:
        assert (tmp_path / "snapshots" / task.repo / task.path).read_bytes().decode() == task.text
    for note in ("LICENSE", "README.md"):
        assert (tmp_path / "snapshots" / "zoo" / note).exists()


def test_the_same_bytes_come_out_whatever_the_files_are_called(config: FreshConfig) -> None:
    fresh.run(config)
    made = [(config.out / name).read_bytes() for name in ("tasks.jsonl.xz", "repos.tar.xz")]
    (config.sdists / "zoo-1.0.tar.gz").rename(config.sdists / "a.tar.gz")
    again = replace(config, out=config.out / "again", packages=config.packages[::-1])
    fresh.run(again)
    assert [(again.out / name).read_bytes() for name in ("tasks.jsonl.xz", "repos.tar.xz")] == made


def test_the_digest_tells_whether_these_are_the_known_tasks(
    config: FreshConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh.run(config)
    said = capsys.readouterr().out
    digest = said.split("sha256 ")[1][:64]
    fresh.run(replace(config, digest=digest))
    assert ": not the published numbers' tasks" in said
    assert ": the published numbers' tasks" in capsys.readouterr().out


def test_tests_vendored_files_old_files_and_copies_give_no_task(config: FreshConfig) -> None:
    own = _files(*ANIMALS)
    more = {
        "tests/test_lion.py": module_text("pride", 30),
        "src/zoo/_vendor/fox.py": module_text("fox", 30),
        "src/zoo/taken.py": module_text("taken", 30),
        "src/zoo/soup.py": _files(*DISHES)["src/zoo/soup.py"],
    }
    fresh.run(replace(_with(config, {**own, **more}, old_files=("src/zoo/taken.py",)), per_kind=400))
    paths = {t.path for t in read_tasks(config.out / "tasks.jsonl.xz") if t.repo == "zoo"}
    assert paths == own.keys()


@pytest.mark.parametrize(
    ("files", "changes", "reason"),
    [
        ({}, {"first_release": date(2024, 11, 30)}, "zoo: first released on 2024-11-30"),
        ({}, {"sha256": "0" * 64}, "zoo: no sdist of version 1.0"),
        ({"LICENSE": GPL}, {}, "zoo: the license is None, not MIT"),
        ({"PKG-INFO": "Name: zoo\n"}, {}, "zoo: the license is None, not MIT"),
        ({}, {"license": "BSD"}, "zoo: the license is MIT, not BSD"),
        ({}, {"old_files": ("src/zoo/lion.py", "src/zoo/bear.py")}, "zoo: 7 files"),
        ({f"src/zoo/{name}.py": module_text(name) for name in ANIMALS}, {}, "zoo: 9 files with 441 lines"),
    ],
)
def test_a_package_that_breaks_the_rule_is_named(
    config: FreshConfig, files: dict[str, str], changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        fresh.run(_with(config, {**_files(*ANIMALS), **files}, **changes))
    assert not config.out.exists()


def test_excluded_names_other_tasks_and_older_code_are_told(config: FreshConfig, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("someone/kitchen\n")
    (tmp_path / "older").mkdir()
    (tmp_path / "older" / "lion.py").write_text(_files(*ANIMALS)["src/zoo/lion.py"])
    wolf = _files(*ANIMALS)["src/zoo/wolf.py"]
    task = {"repo": "x", "path": "y.py", "prefix": wolf[:500], "target": wolf[500:900], "suffix": ""}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task) + "\n")
    others = {"exclude": (tmp_path / "names.txt",), "older": (tmp_path / "older",)}
    with pytest.raises(ConfigError) as told:
        fresh.run(replace(config, tasks=(tmp_path / "tasks.jsonl",), **others))
    assert str(told.value).split("\n") == [
        "kitchen: excluded",
        "zoo: src/zoo/lion.py is a copy of older code",
        "zoo: src/zoo/wolf.py shares text with other tasks",
    ]


def test_the_command_says_what_is_wrong_and_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fresh.toml").write_text(
        f'sdists = "{tmp_path}"\nout = "{tmp_path}/out"\n[[packages]]\nname = "zoo"\nversion = "1.0"\n'
        'sha256 = "0"\nlicense = "MIT"\nfirst_release = 2025-01-01\nrepository = "ann/zoo"\n'
    )
    with pytest.raises(SystemExit) as ended:
        command.main(["fresh", "--config", str(tmp_path / "fresh.toml")])
    assert ended.value.code == 1
    assert "zoo: no sdist" in capsys.readouterr().err


def test_code_under_a_foreign_license_is_not_read(tmp_path: Path) -> None:
    files = {"zoo/a.py": "a = 1\n", "zoo/borrowed/LICENSE": GPL, "zoo/borrowed/deep/b.py": "b = 2\n"}
    _write_sdist(tmp_path, "zoo", files)
    sdist = read_sdist(tmp_path / "zoo-1.0.tar.gz", "zoo", "1.0")
    assert [f.path for f in sdist.repository.files] == ["zoo/a.py"]
    assert sdist.repository.license == "MIT"


def test_knowing_a_text_is_not_taking_it() -> None:
    copies = NearDuplicates()
    text = module_text("lion", 30)
    assert not copies.knows(text)
    assert copies.take(text)
    assert copies.knows(text)
    assert not copies.take(text)


def test_training_leaves_the_packages_out_by_either_name(tmp_path: Path) -> None:
    committed = read_config(FreshConfig, FRESH).packages
    assert len(committed) >= 40
    owner, _, repository = committed[0]["repository"].partition("/")
    assert repository.lower() != committed[0]["name"]
    for name in (f"{owner}+{repository}", f"fork+{committed[1]['name']}", "ann+zoo"):
        write_checkout(tmp_path / "checkouts", name, {"a.py": module_text(name.partition("+")[0])})
    taken, left_out = build_corpus(tmp_path)
    assert list(taken) == ["ann/zoo"]
    assert left_out["excluded"] == 2


def test_all_committed_packages_are_excluded_and_listed_once() -> None:
    committed = read_config(FreshConfig, FRESH).packages
    names = [package["name"] for package in committed]
    assert names == sorted(set(names))
    assert {package["name"].replace("_", "-") for package in committed} <= measured_names()
    assert {package["repository"].lower().replace("_", "-") for package in committed} <= measured_names()
    assert all(package["first_release"] >= date(2024, 12, 1) for package in committed)
