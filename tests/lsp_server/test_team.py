"""A team's store as users meet it: who may name it, what the commands do and say, what the status says."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from indexer.settings import TeamSettings
from lsp_server import cli
from lsp_server.configuration import Configuration
from lsp_server.settings import DEFAULTS, all_settings, parse
from lsp_server.status import FolderStatus, status_of
from tests import tiny_coder
from tests.indexer.test_packages import install
from tests.legible import legible, names_in

ROOT = Path(__file__).resolve().parents[2]
SECRET = "correct horse battery staple"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEF_TEAM_SECRET", SECRET)
    root = tmp_path / "ci" / "project"
    (root / ".git").mkdir(parents=True)
    for number in range(40):
        text = f"def portion_{number}(customers):\n    return {number} * customers\n"
        (root / f"portion_{number}.py").write_text(text, encoding="utf-8")
    return root


def told(capsys: pytest.CaptureFixture[str], command: str, root: Path, store: Path, *words: str) -> str:
    """What a command prints, from a cache beside its folder."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HEF_CACHE_DIR", str(root.parent / "cache"))
        where = ("--set", f"team.store={store}", *words) if store.name else words
        cli.main([command, str(root), *tiny_coder.ARGUMENTS, *where])
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    return said.out + said.err


def test_what_one_publishes_another_need_not_embed(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    published = json.loads(told(capsys, "--publish", project, store, "--json"))
    again = told(capsys, "--publish", project, store)
    clone = tmp_path / "laptop" / "project"
    shutil.copytree(project, clone)
    (clone / "portion_7.py").write_text("def portion_7(customers, guests):\n    return customers + guests\n")
    report = json.loads(told(capsys, "--reindex", clone, store, "--json"))
    doctor = told(capsys, "--doctor", clone, store)

    assert published["embedded"] == 40
    assert published["packs"] == 1
    assert "knows all" in again
    assert report["embedded"] == 1
    assert 75 < report["pulled"] < published["nodes"], "chunks and files; what is above the edit is computed"
    assert re.search(rf"team: {report['pulled']} of \d+ vectors came from the team's store\.", doctor)
    objects = {str(file): file.read_bytes() for file in store.rglob("*") if file.is_file()}
    names = names_in(file.read_text(encoding="utf-8") for file in project.glob("*.py"))
    assert (
        legible({path.removeprefix(str(tmp_path)): content for path, content in objects.items()}, names)
        == set()
    )


def test_signatures_of_a_public_package_reach_who_has_pinned_it(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    source = "class Ledger:\n    def settle(self, creditor: str, amount: int = 0) -> bool:\n        ...\n"
    install(project, "ledger-lib", "1.2", {"ledger_lib/book.py": source})
    wanted = ("--package", "Ledger_Lib", "--json")
    published = json.loads(told(capsys, "--publish", project, store, *wanted))
    again = json.loads(told(capsys, "--publish", project, store, *wanted))
    absent = told(capsys, "--publish", project, store, "--package", "absent-lib")
    clone = tmp_path / "laptop" / "project"
    clone.mkdir(parents=True)
    (clone / ".git").mkdir()
    (clone / "uv.lock").write_text('[[package]]\nname = "ledger-lib"\nversion = "1.2"\n')
    (clone / "app.py").write_text("from ledger_lib import Ledger\n\nledger = Ledger()\nledger.settle(")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HEF_CACHE_DIR", str(clone.parent / "cache"))
        where = (f"{clone / 'app.py'}:4:15", "--context", "snippets", "--json")
        found = []
        for _ in range(20):  # the first time it may come too late for who does not wait
            cli.main(["--complete", *where, *tiny_coder.ARGUMENTS, "--set", f"team.store={store}"])
            found = [item["path"] for item in json.loads(capsys.readouterr().out)["context"]]
            if found:
                break

    assert (published["package"], published["signatures"], published["is_new"]) == ("ledger-lib", 2, True)
    assert not again["is_new"]
    assert "There is no absent-lib" in absent
    assert found == ["ledger_lib/book.py"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "There is no store to publish to"),
        (("--set", "team.store=http://host/x"), "team.store must be a folder or"),
        (("--set", "team.store=/dev/null/at/all"), "Not published: "),
    ],
)
def test_what_cannot_be_published_is_said_before_anything_is_computed(
    project: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert said in told(capsys, "--publish", project, Path(), *words)
    assert not list((project.parent / "cache").glob("project-*"))


def test_a_folder_cannot_name_a_store(tmp_path: Path) -> None:
    """Settings may come with a repository; what is connected to is the user's alone to say."""
    hostile, problems = parse({"team": {"store": "s3://attacker", "secretFile": "/tmp/known"}}, DEFAULTS)
    users, _ = parse({"team": {"store": "/srv/team"}}, DEFAULTS)
    assert problems == []

    assert Configuration(DEFAULTS, {tmp_path: hostile}).opened_with[tmp_path].team == TeamSettings()
    assert Configuration(users, {tmp_path: hostile}).opened_with[tmp_path].team == users.team
    silent, named = Configuration(DEFAULTS, {tmp_path: DEFAULTS}), Configuration(users, {tmp_path: DEFAULTS})
    assert not named.indexes_as(silent, tmp_path), "opened anew with the store"
    assert silent.indexes_as(Configuration(DEFAULTS, {tmp_path: hostile}), tmp_path)


def test_no_workspace_setting_of_vs_code_reaches_it() -> None:
    package = json.loads((ROOT / "editors" / "vscode" / "package.json").read_text(encoding="utf-8"))
    properties = {
        name: schema
        for part in package["contributes"]["configuration"]
        for name, schema in part["properties"].items()
    }
    names = [setting.name for setting in all_settings() if setting.group == "team"]

    assert len(names) >= 5
    assert {properties[f"hef-lsp.{name}"]["scope"] for name in names} == {"application"}


def test_the_status_says_one_sentence_about_it() -> None:
    said = "The credentials for the team's store have expired. 0 of 40 vectors came from the team's store."
    folders = [FolderStatus("one", team=said), FolderStatus("two", team=said), FolderStatus("three")]
    status = status_of(model="tiny", model_error=None, notes=("a note",), folders=folders)

    assert status.notes == ("a note", said)
    assert status.state == "ready"
    assert status.to_json()["folders"][0]["team"] == said
