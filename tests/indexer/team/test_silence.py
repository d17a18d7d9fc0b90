"""What of a team's text and secret can be read by whoever keeps its store, or reads its logs: nothing."""

from __future__ import annotations

import logging
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from indexer.settings import TeamSettings
from indexer.team.bucket import BucketError
from indexer.team.joining import SECRET, entrance, joined, writer
from indexer.team.naming import branch_name, repository_name
from indexer.team.refs import secret_key
from tests.indexer.team.test_pulling import Team, stored, updated
from tests.legible import legible, names_in

ROOT = Path(__file__).resolve().parents[3]
WORDS = "correct horse battery staple"


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_no_text_no_path_and_no_digest_of_an_index_is_in_the_store(
    team: Team, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    folder = team.publish()
    root = team.folder / "clone-ci"
    files = list(root.rglob("*.py"))
    names = names_in([*(file.read_text(encoding="utf-8") for file in files), *(str(file) for file in files)])
    objects = bytes_of(team.bucket)

    assert len(names) > 500
    assert legible(objects, names) == set()
    joined_bytes = b"\0".join(objects.values())
    assert not any(digest in joined_bytes for digest in stored(folder)), (
        "whoever has a text cannot ask for it"
    )
    assert WORDS.encode() not in joined_bytes
    assert WORDS not in caplog.text


def test_that_test_can_fail() -> None:
    names = names_in(["def quarterly_report(figures): pass"])

    assert legible({"a": b"\0\xffQuarterly_Report\x00"}, names) == {"quarterly_report"}
    assert legible({"figures.safetensors": b""}, names) == {"figures"}


def test_nothing_of_it_is_imported_unless_a_store_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from indexer import Index; from lsp_server.opening import open_index\n"
        "from lsp_server.settings import DEFAULTS\n"
        f"open_index(Path({str(tmp_path)!r}), DEFAULTS, None, None, None).close()\n"
        "sys.exit(any(name == 'obstore' or name.startswith('indexer.team') for name in sys.modules))"
    )
    environment = {"PYTHONPATH": str(ROOT), "HEF_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()
    assert joined(TeamSettings(), tmp_path, "hash-1") is None


class TestSecret:
    def test_comes_from_the_environment_or_a_private_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root, file = tmp_path / "repository", tmp_path / "secret"
        root.mkdir()
        file.write_text(WORDS + "\n", encoding="utf-8")
        file.chmod(0o600)
        settings = TeamSettings(store=str(tmp_path / "bucket"), secret_file=str(file))
        (tmp_path / "bucket").mkdir()
        monkeypatch.delenv(SECRET, raising=False)
        assert entrance(settings, root)()[1] == secret_key(WORDS)
        monkeypatch.setenv(SECRET, "another secret, from the environment")
        assert entrance(settings, root)()[1] == secret_key("another secret, from the environment")

    @pytest.mark.parametrize(
        ("where", "mode", "content", "said"),
        [
            ("repository/secret", 0o600, WORDS, "lies in the repository"),
            ("secret", 0o644, WORDS, "chmod 600"),
            ("secret", 0o600, "short", "fewer than 16 characters"),
            ("secret", 0o600, "x" * 5_000, "cannot be read"),
            ("absent/secret", None, "", "cannot be read"),
            ("", None, "", f"set {SECRET}"),
        ],
    )
    def test_is_refused_in_one_sentence_without_a_word_of_it(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        where: str,
        mode: int | None,
        content: str,
        said: str,
    ) -> None:
        monkeypatch.delenv(SECRET, raising=False)
        root = tmp_path / "repository"
        root.mkdir()
        file = tmp_path / where
        if mode is not None:
            file.write_text(content, encoding="utf-8")
            file.chmod(mode)
        settings = TeamSettings(store=str(tmp_path), secret_file=str(file) if where else "")

        with pytest.raises(BucketError) as refused:
            entrance(settings, root)()
        assert said in str(refused.value)
        assert WORDS not in str(refused.value)
        with pytest.raises(BucketError):
            writer(settings, root, "hash-1")

    def test_that_is_missing_costs_no_index(self, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(SECRET, raising=False)
        team.publish()
        settings = TeamSettings(store=str(team.bucket), repository="team/project")
        report = updated(team.clone("laptop", joined(settings, team.folder, "hash-1")))

        assert report.embedded == report.chunks
        assert "There is no secret for the team's store" in report.team


class TestNames:
    def test_are_those_of_git(self, tmp_path: Path) -> None:
        git = tmp_path / "checkout" / ".git"
        git.mkdir(parents=True)
        (git / "HEAD").write_text("ref: refs/heads/feature/x\n")
        inside = tmp_path / "checkout" / "package"
        inside.mkdir()
        assert repository_name(inside) == "checkout"
        for url in (
            "git@host.example:owner/name.git",
            "https://user:pass@host.example/owner/name",
            "ssh://h/owner/name/",
        ):
            (git / "config").write_text(
                f'[core]\n\tbare = false\n[remote "origin"]\n\turl = {url}\n[remote "x"]\n\turl = no\n'
            )
            assert repository_name(inside) == "owner/name"
        assert branch_name(inside) == "feature/x"
        (git / "HEAD").write_text("0123456789abcdef\n")
        assert branch_name(inside) == ""

    def test_of_a_folder_without_git(self, tmp_path: Path) -> None:
        assert repository_name(tmp_path) == tmp_path.name
        assert branch_name(tmp_path) == ""

    def test_a_colleague_reads_his_branch_and_the_one_that_is_published(
        self, team: Team, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(SECRET, WORDS)
        team.publish()
        git = team.folder / "clone-laptop" / ".git"
        with closing(team.clone("laptop", None)):
            git.mkdir()
        (git / "HEAD").write_text("ref: refs/heads/feature\n")
        settings = TeamSettings(store=str(team.bucket), repository="team/project")
        report = updated(team.clone("laptop", joined(settings, git.parent, "hash-1")))

        assert report.embedded == 0
        assert report.pulled > 0
