"""What the mirror reads of a folder that others change: the bytes that were indexed, and nothing else."""

from __future__ import annotations

import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from indexer import Index, IndexSettings
from indexer import mirror as mirror_module
from indexer.installed import Package
from indexer.package_cache import cache_of, load_or_build

KEY = "PRIVATE-KEY-7431"


class Characters:
    """A tokenizer: every character is a token."""

    fingerprint = "characters"

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text(f"alpha = '{KEY}'\n")
    root = tmp_path / "repository"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a.py").write_text("alpha = 1\n")
    (root / "b.py").write_text("beta = alpha + 2\n")
    return root


@pytest.fixture
def open_index(root: Path, tmp_path: Path) -> Iterator[Callable[[], Index]]:
    indexes: list[Index] = []

    def open_index() -> Index:
        index = Index.open(root, None, tmp_path / "cache", IndexSettings(), tokenizer=Characters())
        indexes.append(index)
        return index

    yield open_index
    for index in indexes:
        index.close()


@pytest.fixture
def indexed(open_index: Callable[[], Index]) -> None:
    with closing(open_index()) as index:
        index.update()


def started(open_index: Callable[[], Index], monkeypatch: pytest.MonkeyPatch) -> Index:
    """An index as it is right after the start: what is known is taken in, the folder is not looked at yet."""

    def slow(*arguments: object) -> None:
        raise OSError("a disk that takes its time")

    with monkeypatch.context() as patched:
        patched.setattr("indexer.updating.walk", slow)
        index = open_index()
        with pytest.raises(OSError, match="takes its time"):
            index.update()
    return index


def after(index: Index, text: str) -> list[str]:
    found = index.tokens.find([ord(character) for character in text], shortest=len(text), width=4)
    return sorted("".join(chr(token) for token in row if token >= 0) for row in found.continuations.tolist())


def cached(tmp_path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in (tmp_path / "cache").rglob("*") if file.is_file())


@pytest.mark.parametrize("where", ["sub/a.py", "sub"])
def test_a_link_that_took_an_indexed_files_place_is_not_read(
    indexed: None, open_index: Callable[[], Index], root: Path, tmp_path: Path, where: str, monkeypatch
) -> None:
    (root / "sub" / "a.py").unlink()
    if where == "sub":
        (root / "sub").rmdir()
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "a.py").write_text(f"alpha = '{KEY}'\n")
    (root / where).symlink_to(tmp_path / ("key" if where != "sub" else "elsewhere"))
    index = started(open_index, monkeypatch)
    assert after(index, "alpha") == [" + 2"]
    assert KEY.encode("utf-32-le") not in cached(tmp_path)
    index.update()
    assert after(index, "alpha") == [" + 2"]


def test_a_pipe_that_took_its_place_does_not_hang(
    indexed: None, open_index: Callable[[], Index], root: Path
) -> None:
    (root / "sub" / "a.py").unlink()
    os.mkfifo(root / "sub" / "a.py")
    index = open_index()
    update = threading.Thread(target=index.update, daemon=True)
    update.start()
    update.join(20)
    hung = update.is_alive()
    if hung:
        os.close(os.open(root / "sub" / "a.py", os.O_WRONLY | os.O_NONBLOCK))
    update.join(20)
    assert not hung
    assert after(index, "alpha") == [" + 2"]


def test_a_file_that_grew_huge_is_not_read_whole(
    indexed: None, open_index: Callable[[], Index], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(root / "sub" / "a.py", 200_000_000)
    tracemalloc.start()
    index = started(open_index, monkeypatch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000
    assert after(index, "alpha") == [" + 2"]


def test_other_bytes_wait_until_they_are_indexed_and_are_read_once(
    indexed: None,
    open_index: Callable[[], Index],
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, real = [], mirror_module.read_inside

    def read_inside(folder: Path, path: str, max_bytes: int) -> bytes:
        read.append(path)
        return real(folder, path, max_bytes)

    monkeypatch.setattr(mirror_module, "read_inside", read_inside)
    (root / "sub" / "a.py").write_text(f"alpha = '{KEY}'\n")
    index = started(open_index, monkeypatch)
    assert after(index, "alpha") == [" + 2"]
    assert KEY.encode("utf-32-le") not in cached(tmp_path)
    index.update([root / "b.py"])
    index.update([root / "b.py"])
    assert read.count("sub/a.py") == 1
    index.update()
    assert after(index, "alpha") == [" + 2", " = '"]
    assert read.count("sub/a.py") == 2


def test_bytes_that_come_back_are_shown_again(
    indexed: None, open_index: Callable[[], Index], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "sub" / "a.py").write_text("other = 1\n")
    index = started(open_index, monkeypatch)
    assert after(index, "alpha") == [" + 2"]
    (root / "sub" / "a.py").write_text("alpha = 1\n")
    index.update([root / "b.py"])
    assert after(index, "alpha") == [" + 2", " = 1"]


@pytest.mark.parametrize("rules", [".gitignore", ".hefignore"])
def test_what_was_ignored_meanwhile_is_not_shown(
    indexed: None, open_index: Callable[[], Index], root: Path, rules: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / rules).write_text("sub/\n")
    assert after(started(open_index, monkeypatch), "alpha") == [" + 2"]


def test_a_closed_documents_file_counts_once_it_is_indexed(
    indexed: None, open_index: Callable[[], Index], root: Path, tmp_path: Path
) -> None:
    index = open_index()
    index.update()
    index.overlay(root / "b.py", "beta = alpha * 3\n")
    (root / "b.py").unlink()
    (root / "b.py").symlink_to(tmp_path / "key")
    index.overlay(root / "b.py", None)
    assert after(index, "alpha") == [" = 1"]


def test_packages_that_are_gone_are_forgotten_where_none_are_read(
    root: Path, open_index: Callable[[], Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "home"))
    module = root / "sub" / "installed.py"
    module.write_text("unseen = 1\n")
    cache = cache_of(tmp_path / "home", Characters())
    load_or_build(Package("installed", "1", module), cache, Characters(), lambda: False)
    module.unlink()
    assert list(cache.iterdir())
    open_index().update()
    assert not list(cache.iterdir())
