"""Tokens follow the files and the open documents, whatever the order of changes; the cache only makes it faster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from indexer import Index, IndexSettings


class Characters:
    """A tokenizer: every character is a token. Counts what it was asked."""

    fingerprint = "characters"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, text: str) -> list[int]:
        self.texts.append(text)
        return [ord(character) for character in text]


@pytest.fixture
def tokenizer() -> Characters:
    return Characters()


@pytest.fixture
def opened(repository: Path, tmp_path: Path, tokenizer: Characters) -> Iterator[Callable[..., Index]]:
    indexes: list[Index] = []

    def open_index(**settings: int) -> Index:
        index = Index.open(
            repository, None, tmp_path / "cache", IndexSettings(**settings), tokenizer=tokenizer
        )
        indexes.append(index)
        return index

    yield open_index
    for index in indexes:
        index.close()


def after(index: Index, text: str, without: str = "") -> list[str]:
    """What follows a text, wherever it occurs."""
    found = index.tokens.find(
        [ord(character) for character in text], shortest=len(text), width=4, without=without
    )
    return sorted("".join(chr(token) for token in row if token >= 0) for row in found.continuations.tolist())


def test_files_are_found_once_they_are_indexed(opened: Callable[..., Index]) -> None:
    index = opened()
    assert after(index, "alpha") == []
    index.update()
    assert after(index, "alpha") == [" + 2", " = 1"]
    assert after(index, "alpha", without="b.py") == [" = 1"]


def test_what_was_indexed_before_is_found_without_looking_at_the_disk(
    opened: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened().update()

    def slow(*arguments: object) -> None:
        raise OSError("a disk that takes its time")

    monkeypatch.setattr("indexer.updating.walk", slow)
    index = opened()
    with pytest.raises(OSError, match="takes its time"):
        index.update()
    assert after(index, "alpha") == [" + 2", " = 1"]


def test_files_beside_an_open_document_come_first(
    opened: Callable[..., Index], repository: Path, tokenizer: Characters
) -> None:
    for name in ("c/d.py", "c/e.py", "f.py"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text(f"{name} = 1\n")
    index = opened()
    index.overlay(repository / "c" / "d.py", "new\n")
    index.update()
    assert tokenizer.texts == ["new\n", "c/e.py = 1\n", "alpha = 1\n", "beta = alpha + 2\n", "f.py = 1\n"]


def test_changes_on_disk_are_followed(opened: Callable[..., Index], repository: Path) -> None:
    index = opened()
    index.update()
    (repository / "a.py").write_text("alpha: int = 1\n")
    (repository / "b.py").unlink()
    (repository / "c.py").write_text("gamma = alpha\n")
    index.update()
    assert after(index, "alpha") == ["\n", ": in"]


def test_an_open_document_counts_instead_of_the_disk(opened: Callable[..., Index], repository: Path) -> None:
    index = opened()
    index.update()
    index.overlay(repository / "a.py", "alpha -= 1\n")
    assert after(index, "alpha") == [" + 2", " -= "]
    (repository / "a.py").write_text("alpha /= 3\n")
    index.update()  # a save by someone else does not change what is in the editor
    assert after(index, "alpha") == [" + 2", " -= "]
    index.overlay(repository / "a.py", None)
    index.update()
    assert after(index, "alpha") == [" + 2", " /= "]


def test_a_document_that_is_not_on_disk_goes_when_it_is_closed(
    opened: Callable[..., Index], repository: Path
) -> None:
    index = opened()
    index.update()
    index.overlay(repository / "new.py", "alpha * 2")
    assert after(index, "alpha") == [" * 2", " + 2", " = 1"]
    index.overlay(repository / "new.py", None)
    assert after(index, "alpha") == [" + 2", " = 1"]


def test_secrets_and_ignored_files_are_left_out(opened: Callable[..., Index], repository: Path) -> None:
    (repository / ".env").write_text("alpha=secret\n")
    (repository / ".gitignore").write_text("ignored.py\n")
    (repository / "ignored.py").write_text("alpha = ignored\n")
    index = opened()
    index.update()
    index.overlay(repository / ".env", "alpha=secret too\n")
    assert after(index, "alpha") == [" + 2", " = 1"]


def test_line_ends_are_those_of_the_editor(opened: Callable[..., Index], repository: Path) -> None:
    (repository / "a.py").write_bytes(b"alpha = 1\r\nnext = 2\r\n")
    index = opened()
    index.update()
    assert after(index, "= 1") == ["\nnex"]


def test_opening_again_tokenizes_only_what_has_changed(
    opened: Callable[..., Index], repository: Path, tokenizer: Characters
) -> None:
    with closing(opened()) as index:
        index.update()
    (repository / "b.py").write_text("beta = 3\n")
    tokenizer.texts.clear()
    index = opened()
    index.update()
    assert tokenizer.texts == ["beta = 3\n"]
    assert after(index, "alpha") == [" = 1"]
    assert after(index, "beta") == [" = 3"]


def test_what_is_typed_is_not_written_to_the_cache(
    opened: Callable[..., Index], repository: Path, tmp_path: Path
) -> None:
    with closing(opened()) as index:
        index.update()
        index.overlay(repository / "a.py", "unsaved = 'words'\n")
    written = b"".join(file.read_bytes() for file in (tmp_path / "cache").rglob("tokens-*"))
    assert "alpha".encode("utf-32-le") in written
    assert "unsaved".encode("utf-32-le") not in written


def test_a_damaged_cache_is_done_without(opened: Callable[..., Index], tmp_path: Path) -> None:
    with closing(opened()) as index:
        index.update()
    for file in (tmp_path / "cache").rglob("tokens-*"):
        file.write_bytes(b"no database" * 1000)
    index = opened()
    index.update()
    assert after(index, "alpha") == [" + 2", " = 1"]


def test_memory_is_bounded(opened: Callable[..., Index], tokenizer: Characters) -> None:
    index = opened(mirror_chars=12)
    index.update()
    assert after(index, "alpha") == [" = 1"]
    tokenizer.texts.clear()
    index.update()
    assert tokenizer.texts == []


def test_it_goes_on_where_it_was_interrupted(opened: Callable[..., Index], repository: Path) -> None:
    index = opened()
    index.update()
    (repository / "a.py").write_text("alpha = 7\n")
    interrupted = 0
    for n_steps in range(20):
        left = iter([False] * n_steps)
        interrupted += index.update(cancelled=lambda left=left: next(left, True)).cancelled
    assert interrupted
    index.update()
    assert after(index, "alpha") == [" + 2", " = 7"]


def test_without_a_tokenizer_there_are_no_tokens(repository: Path, tmp_path: Path) -> None:
    with closing(Index.open(repository, None, tmp_path / "cache")) as index:
        index.update()
        index.overlay(repository / "a.py", "alpha = 5")
        assert index.tokens.find([ord("a")], shortest=1).length == 0
    assert not list((tmp_path / "cache").rglob("tokens-*"))
