"""A cache that is locked, full, read-only or another user's: one sentence, nothing lost, folders for the user alone."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from indexer import CacheError, Index, Query
from indexer import database as databases
from indexer.cache_folder import make_private


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(databases, "_BUSY_SECONDS", 0.2)


def holder(folder: Path) -> sqlite3.Connection:
    """Another process that keeps the store write-locked."""
    other = sqlite3.connect(folder / "store.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_a_locked_store_is_said_in_a_sentence_and_the_work_is_done_later(open_index, write):
    index = open_index()
    index.update()
    write("a.py", "def alpha():\n    return beta\n")
    with closing(holder(index.stats().folder)):
        with pytest.raises(CacheError, match=r"locked\. End it, or try again later\.$"):
            index.update()
        with pytest.raises(CacheError, match="locked"):
            open_index()
        with pytest.raises(CacheError, match="locked"):
            index.wipe(whole=True)
        assert "locked" in index.stats().last_error
        assert not index.is_damaged
        assert index.search(Query("b.py", "alpha(", "", None)) == []
    assert index.update().changed == 1
    assert index.search(Query("b.py", "alpha(", "", None))[0].path == "a.py"


def test_a_full_disk_keeps_what_was_there_and_goes_on_when_there_is_room(open_index, write):
    write("a.py", "def alpha():\n    return beta\n")
    index = open_index()
    index.update()
    index._kept._db.execute(f"PRAGMA max_page_count = {index._kept._db.size // 4096}")
    for number in range(50):
        write(f"m{number}.py", f"def function_{number}():\n    return {number}\n" * 40)
    with pytest.raises(CacheError, match=r"no room left .*HEF_CACHE_DIR"):
        index.update()
    assert not index.is_damaged
    assert index.search(Query("b.py", "alpha(", "", None))[0].path == "a.py"
    index._kept._db.execute("PRAGMA max_page_count = 1000000")
    assert index.update().files == 51
    assert index.verify()


def test_a_cache_that_cannot_be_written_is_said_in_a_sentence(root, tmp_path):
    (tmp_path / "file").write_text("a regular file, under which nobody can make a folder, not even root")
    with pytest.raises(CacheError, match=r"cannot be read or written\. Make it"):
        Index.open(root, None, tmp_path / "file" / "cache")


def test_a_store_that_became_read_only_is_searched_still(open_index, write):
    write("a.py", "def alpha():\n    return beta\n")
    index = open_index()
    index.update()
    index._kept._db.execute("PRAGMA query_only = ON")
    write("b.py", "def other():\n    return 1\n")
    with pytest.raises(CacheError, match="cannot be read or written"):
        index.update()
    assert index.search(Query("b.py", "alpha(", "", None))[0].path == "a.py"
    assert not index.is_damaged
    index._kept._db.execute("PRAGMA query_only = OFF")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners are told by number where there are such")
def test_another_users_cache_is_refused(root, tmp_path, monkeypatch):
    Index.open(root, None, tmp_path / "cache").close()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(CacheError, match=r"belongs to another user\. Give it to yourself"):
        Index.open(root, None, tmp_path / "cache")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_folders_and_files_are_for_the_user_alone_whatever_the_umask(
    root, tmp_path, monkeypatch, umask, write
):
    write("a.py", "x = 1\n")
    monkeypatch.delenv("HEF_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    before = os.umask(umask)
    try:
        with closing(Index.open(root, None)) as index:
            index.update()
    finally:
        os.umask(before)
    made = [tmp_path / "home", *(tmp_path / "home").rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_file()} == {0o600}


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_our_folders_that_were_open_to_others_are_closed_and_the_users_own_stay(tmp_path, monkeypatch):
    (tmp_path / "hef-lsp" / "project").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "hef-lsp", tmp_path / "hef-lsp" / "project"):
        folder.chmod(0o755)
    monkeypatch.delenv("HEF_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    make_private(tmp_path / "hef-lsp" / "project" / "v2")
    modes = [
        stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "hef-lsp" / "project", tmp_path / "hef-lsp")
    ]
    assert modes == [0o700, 0o700]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_file_replaced_by_another_of_the_same_size_and_time_is_read(open_index, write, root):
    past = 1_500_000_000_000_000_000
    for path, name in (("a.py", "alpha"), ("b.py", "gamma")):
        os.utime(write(path, f"def {name}():\n    return 1\n"), ns=(past, past))
    index = open_index()
    index.update()
    with closing(sqlite3.connect(index.stats().folder / "store.sqlite")) as db, db:
        db.execute(
            "UPDATE entries SET mtime_ns = ?", (past,)
        )  # as if they had been read long after they were written
    (root / "b.py").replace(root / "a.py")
    assert index.update([root / "a.py"]).changed == 1
    assert index.search(Query("c.py", "gamma(", "", None))[0].path == "a.py"
    (root / "a.py").write_text("def delta():\n    return 1\n")
    os.utime(root / "a.py", ns=(past, past))
    assert index.update().changed == 1
