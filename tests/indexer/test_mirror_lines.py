"""Lines follow the files and the open documents as tokens do; what is not indexed has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from indexer import Index


class Characters:
    """A tokenizer: every character is a token."""

    fingerprint = "characters"

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "a.py").write_text("shared()\nfirst()\n")
    (root / "secret.pem").write_text("shared()\nkey()\n")
    (root / ".gitignore").write_text("ignored.py\n")
    (root / "ignored.py").write_text("shared()\nignored()\n")
    return root


@pytest.fixture
def index(repository: Path, tmp_path: Path) -> Iterator[Index]:
    with closing(Index.open(repository, None, tmp_path / "cache", tokenizer=Characters())) as opened:
        opened.update()
        yield opened


def behind_shared(index: Index) -> list[str]:
    return [place.lines.texts[place.row] for place in index.lines.between(["shared()"], [])]


def test_lines_of_ignored_and_secret_files_are_not_there(index: Index) -> None:
    assert behind_shared(index) == ["first()"]


def test_a_changed_and_a_removed_file_are_followed(index: Index, repository: Path) -> None:
    (repository / "a.py").write_text("shared()\nsecond()\n")
    index.update()
    assert behind_shared(index) == ["second()"]
    (repository / "a.py").unlink()
    index.update()
    assert behind_shared(index) == []


def test_an_open_document_beats_the_disk_until_it_is_closed(index: Index, repository: Path) -> None:
    index.overlay(repository / "a.py", "shared()\nunsaved()\n")
    assert behind_shared(index) == ["unsaved()"]
    index.overlay(repository / "a.py", None)
    assert behind_shared(index) == ["first()"]


def test_a_reopened_index_has_the_same_lines(index: Index, repository: Path, tmp_path: Path) -> None:
    index.close()
    with closing(Index.open(repository, None, tmp_path / "cache", tokenizer=Characters())) as again:
        again.update()
        assert behind_shared(again) == ["first()"]
