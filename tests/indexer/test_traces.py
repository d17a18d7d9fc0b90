"""Nothing stays: text that was deleted, edited, ignored or became secret is in no byte of the cache, vectors aside."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from indexer import Index, IndexSettings
from indexer.token_cache import TokenCache
from lsp_server import workspace as workspaces
from lsp_server.workspace import Events, Workspace
from tests.indexer.conftest import HashEmbedder

TOKEN = "Zqx" + "TopSecretName"  # an identifier, so that it is in texts, symbols and words
TEXT = f"def {TOKEN}(value):\n    return value + 1\n"


class Characters:
    """A tokenizer: every character is a token."""

    fingerprint = "characters"

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]


def found_in(folder: Path) -> list[str]:
    """Where the token is legible: as it was written, as search terms, as token ids."""
    ids = np.array([ord(character) for character in TOKEN], np.int32).tobytes()
    forms = {"text": TOKEN.encode(), "terms": TOKEN.lower().encode(), "part": b"topsecret", "ids": ids}
    files = [path for path in folder.rglob("*") if path.is_file()]
    contents = [(path.name, path.read_bytes()) for path in files]
    return [
        f"{name} {form}" for name, content in contents for form, needle in forms.items() if needle in content
    ]


def delete(file: Path) -> None:
    file.unlink()


def edit(file: Path) -> None:
    file.write_text("def other(value):\n    return value\n")


def ignore(file: Path) -> None:
    (file.parent / ".gitignore").write_text(f"{file.name}\n")


def become_secret(file: Path) -> None:
    file.rename(file.with_name(".env"))


def outgrow(file: Path) -> None:
    file.write_text("x = 1\n" * 400_000)


CHANGES = [delete, edit, ignore, become_secret, outgrow]


@pytest.fixture
def repository(root: Path) -> Path:
    for number in range(30):
        (root / f"m{number}.py").write_text(
            f"def function_{number}(value):\n    return value * {number}\n" * 5
        )
    (root / "told.py").write_text(TEXT)
    return root


@pytest.fixture
def opened(repository: Path, tmp_path: Path) -> Iterator[Callable[[Path], Index]]:
    indexes: list[Index] = []

    def open_index(root: Path) -> Index:
        index = Index.open(root, HashEmbedder(), tmp_path / "cache", IndexSettings(), tokenizer=Characters())
        indexes.append(index)
        return index

    yield open_index
    for index in indexes:
        index.close()


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_gone_is_legible_nowhere_while_the_index_is_open(repository, tmp_path, opened, change):
    index = opened(repository)
    index.update()
    assert {"text", "part", "ids"} <= {found.split()[1] for found in found_in(tmp_path / "cache")}
    change(repository / "told.py")
    index.update()
    assert index.has_traces
    index.wipe()
    assert found_in(tmp_path / "cache") == []
    assert not index.has_traces
    assert index.verify()


@pytest.mark.parametrize("change", CHANGES)
def test_the_server_wipes_by_itself(repository, tmp_path, opened, monkeypatch, change):
    monkeypatch.setattr(workspaces, "WIPE_SECONDS", 0.2)
    updated: list[object] = []
    events = Events(*(lambda *_: None,) * 4)
    events = Events(
        events.progress, lambda root, stats: updated.append(stats), events.failed, events.unwatched
    )
    workspace = Workspace(repository, opened, None, events)
    workspace.start()
    try:
        wait_until(lambda: bool(updated))
        change(repository / "told.py")
        workspace.pending.rescan()
        wait_until(lambda: len(updated) > 1 and not found_in(tmp_path / "cache"))
    finally:
        workspace.stop()


def test_what_comes_back_is_found_again_and_its_vectors_were_kept(repository, opened):
    index = opened(repository)
    index.update()
    fresh = index.stats()
    (repository / "told.py").unlink()
    index.update()
    index.wipe(whole=True)
    (repository / "told.py").write_text(TEXT)
    assert index.update().embedded == 0
    assert index.stats().nodes == fresh.nodes
    assert index.verify()


def test_what_the_next_start_wipes_is_no_damage(repository, opened):
    index = opened(repository)
    index.update()
    (repository / "told.py").unlink()
    index.update()
    index.close()
    again = opened(repository)
    again.update()
    assert again.has_traces
    again.wipe()
    assert again.verify()


def test_a_large_store_is_written_anew_when_it_is_asked_for(repository, tmp_path, opened, monkeypatch):
    monkeypatch.setattr("indexer.tending._SMALL_BYTES", 0)
    index = opened(repository)
    index.update()
    (repository / "told.py").unlink()
    index.update()
    folder = index.stats().folder
    index.wipe()
    assert meta(folder, "rewritten") < meta(folder, "removed") == meta(folder, "wiped")
    index.wipe(whole=True)
    assert meta(folder, "rewritten") == meta(folder, "removed")
    assert found_in(tmp_path / "cache") == []


def test_many_changes_leave_nothing(root, tmp_path, opened):
    """Cells that move within the file leave copies, which deleting alone does not reach."""
    random_ = random.Random(3)
    index = opened(root)
    gone: set[str] = set()
    for step in range(8):
        for number in range(40):
            name = f"zq{step}x{number}qz"
            body = "\n".join(f"    value_{random_.random()} = {name}" for _ in range(random_.randint(1, 40)))
            (root / f"{name}.py").write_text(f"def {name}():\n{body}\n".replace("0.", "n"))
        index.update()
        for file in random_.sample(sorted(root.glob("zq*.py")), 30):
            gone.add(file.stem)
            file.unlink()
        index.update()
    index.wipe(whole=True)
    content = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert [name for name in sorted(gone) if name.encode() in content] == []
    assert sum(file.stem.encode() in content for file in root.glob("zq*.py")) == len(
        list(root.glob("zq*.py"))
    )


def test_a_store_that_was_set_aside_is_deleted_once_another_is_built(repository, tmp_path, opened):
    index = opened(repository)
    index.update()
    folder = index.stats().folder
    index.close()
    content = bytearray((folder / "store.sqlite").read_bytes())
    content[:100] = b"\xa5" * 100
    (folder / "store.sqlite").write_bytes(content)
    (repository / "told.py").unlink()
    again = opened(repository)
    assert (folder / "store.sqlite.damaged").exists()
    again.update()
    again.wipe(whole=True)
    assert found_in(tmp_path / "cache") == []


def test_tokens_that_were_forgotten_before_a_kill_are_wiped_by_the_next_session(tmp_path):
    cache = TokenCache(tmp_path / "tokens.sqlite")
    cache.put({b"a" * 16: np.arange(50_000, dtype=np.int32), b"b" * 16: np.arange(7, dtype=np.int32)})
    cache.keep_only([b"b" * 16])
    assert cache.has_traces
    copy = tmp_path / "killed"
    copy.mkdir()
    for file in tmp_path.glob("tokens*"):
        shutil.copy(file, copy)
    cache.close()
    again = TokenCache(copy / "tokens.sqlite")
    assert again.has_traces
    again.wipe()
    assert not again.has_traces
    assert np.arange(40_000, 40_010, dtype=np.int32).tobytes() not in b"".join(
        f.read_bytes() for f in copy.iterdir()
    )
    again.close()


def meta(folder: Path, name: str) -> int:
    with sqlite3.connect(folder / "store.sqlite") as db:
        value = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0]
    db.close()
    return int(value)


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
