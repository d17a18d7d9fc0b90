"""Whose caches there are, which of them are deleted by themselves, and what a deletion never touches."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from indexer import Index
from indexer import caches as kept
from indexer.caches import OLD_FORMAT, SUPERSEDED, VANISHED, Cache, delete

KEEP_DAYS = 30
MONTH = (KEEP_DAYS + 1) * 86_400


def delete_unused(current):
    return kept.delete_unused(current, KEEP_DAYS)


def age(folder, seconds):
    then = time.time() - seconds
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then, then))


@pytest.fixture
def stores(open_index, embedder, write):
    """The folders of the store in use and of another embedder's, closed."""
    write("a.py", "x = 1\n")
    used = open_index()
    other = open_index(type(embedder)("hash-2"))
    other.update()
    folder = other.stats().folder
    other.close()
    return used, folder


def test_a_store_that_nobody_opened_for_a_month_is_deleted_by_a_full_update(stores):
    used, other = stores
    age(other, MONTH)
    used.update([])
    assert other.exists()
    used.update()
    assert not other.exists()
    assert used.stats().folder.exists()


def test_what_a_coder_computed_that_was_not_used_for_a_month_is_deleted_by_a_full_update(stores):
    store = stores[0].stats().folder
    names = ("blocks-0123456789ab", "blocks-ba9876543210", "blocks of mine")
    for name in names:
        (store / name).mkdir()
        (store / name / "blocks-coder.sqlite3").write_bytes(b"rows")
    for name in (names[0], names[2]):
        age(store / name, MONTH)
    stores[0].update()
    assert [(store / name).exists() for name in names] == [False, True, True]


@pytest.mark.parametrize("seconds", [0, MONTH - 2 * 86_400])
def test_a_store_that_was_opened_lately_is_kept(stores, seconds):
    used, other = stores
    age(other, seconds)
    used.update()
    assert other.exists()


def test_opening_a_store_counts_as_use(stores, open_index, embedder):
    used, other = stores
    age(other, MONTH)
    open_index(type(embedder)("hash-2")).close()
    assert delete_unused(used.stats().folder) == []


def test_a_store_that_is_open_is_kept_however_old(stores, open_index, embedder):
    used, other = stores
    held = open_index(type(embedder)("hash-2"))
    age(other, MONTH)
    assert delete_unused(used.stats().folder) == []
    assert held.update().files == 1
    held.close()
    age(other, MONTH)
    assert delete_unused(used.stats().folder) == [other]


def test_the_store_in_use_and_foreign_folders_are_never_deleted(stores):
    used, other = stores
    foreign = other.with_name("notes")
    foreign.mkdir()
    for folder in (foreign, used.stats().folder):
        age(folder, MONTH)
    used.update()
    assert foreign.exists()
    assert used.stats().folder.exists()


def test_what_a_killed_deletion_left_and_damaged_stores_are_deleted_as_well(stores):
    used, other = stores
    left = other.rename(other.with_name(other.name + ".deleted"))
    damaged = other
    damaged.mkdir()
    (damaged / "store.sqlite").write_bytes(b"no database" * 100)
    for folder in (left, damaged):
        age(folder, MONTH)
    delete_unused(used.stats().folder)
    assert not left.exists()
    assert not damaged.exists()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "caches"))
    return tmp_path / "caches"


def opened(root, embedder):
    """The folder of a repository's store in the cache home, closed again."""
    root.mkdir(exist_ok=True)
    (root / "a.py").write_text("x = 1\n")
    with closing(Index.open(root, embedder)) as index:
        index.update()
        return index.stats().folder


def listed() -> dict[Path, Cache]:
    return {cache.folder: cache for cache in kept.caches(KEEP_DAYS)}


def test_a_store_knows_its_project_whatever_its_name(home, tmp_path, embedder):
    names = ["plain", "with\nnewline", os.fsdecode(b"not\xffutf8"), "\x1b[31mred"]
    folders = {opened(tmp_path / name, embedder): tmp_path / name for name in names}
    found = listed()

    assert {folder: Path(cache.project) for folder, cache in found.items()} == folders
    for cache in found.values():
        assert cache.bytes > 10_000
        assert time.time() - cache.last_used < 60
        assert cache.stale == ""
        assert (cache.folder.parent / "project.json").stat().st_mode & 0o777 == 0o600


def test_vanished_projects_and_other_models_are_stale_and_go_after_a_time(home, tmp_path, embedder):
    here = opened(tmp_path / "here", embedder)
    gone = opened(tmp_path / "gone", embedder)
    other = opened(tmp_path / "there", type(embedder)("hash-2"))
    age(other, 5)
    there = opened(tmp_path / "there", embedder)
    old = there.with_name("v0-" + "0" * 12)
    old.mkdir()
    shutil.rmtree(tmp_path / "gone")
    reasons = {folder: cache.stale for folder, cache in listed().items()}

    assert reasons == {here: "", there: "", gone: VANISHED, other: SUPERSEDED, old: OLD_FORMAT}
    assert delete_unused(here) == []
    for folder in (gone, other, old, there):
        age(folder, MONTH)
    age(other, MONTH + 5)
    assert listed()[there].stale == "unused for 31 days"
    assert set(delete_unused(here)) == {
        gone,
        other,
        old,
    }  # a repository that is there keeps the one that it uses
    assert not gone.parent.exists()
    assert set(listed()) == {here, there}


def test_an_index_elsewhere_sweeps_only_its_own_folder(home, tmp_path, embedder, stores):
    gone = opened(tmp_path / "gone", embedder)
    shutil.rmtree(tmp_path / "gone")
    age(gone, MONTH)
    delete_unused(stores[0].stats().folder)  # of a cache folder that was named
    assert gone.exists()


def test_stores_of_nobody_knows_whom_go_as_well(home, tmp_path, embedder):
    here = opened(tmp_path / "here", embedder)
    unknown = opened(tmp_path / "before", embedder)
    (unknown.parent / "project.json").write_bytes(b"{damaged")
    assert listed()[unknown].project == ""
    assert delete_unused(here) == []
    age(unknown, MONTH)
    assert delete_unused(here) == [unknown]


def test_nothing_behind_a_link_is_listed_nor_deleted(home, tmp_path, embedder):
    store = opened(tmp_path / "here", embedder)
    important = tmp_path / "important"
    (important / "v1-0123456789ab").mkdir(parents=True)
    (important / "v1-0123456789ab" / "letter").write_text("dear")
    database = sqlite3.connect(important / "mine.sqlite")
    database.execute("PRAGMA journal_mode = WAL")
    database.close()
    (store / "inner").symlink_to(important)
    (home / "linked-0123456789ab").symlink_to(important)
    (store.parent / "v1-0123456789ab").symlink_to(important / "v1-0123456789ab")
    (home / "graphs").symlink_to(important)
    fake = home / "fake-0123456789ab" / "v0-0123456789ab"
    fake.mkdir(parents=True)
    (fake / "store.sqlite").symlink_to(important / "mine.sqlite")
    before = {path: path.read_bytes() for path in important.rglob("*") if path.is_file()}

    assert set(listed()) == {store, fake}
    assert [delete(cache) for cache in listed().values()] == ["", ""]
    assert {path: path.read_bytes() for path in important.rglob("*") if path.is_file()} == before
    assert (home / "linked-0123456789ab").is_symlink()
    assert not store.exists()


def test_only_what_has_our_names_is_deleted(home, tmp_path, embedder):
    store = opened(tmp_path / "here", embedder)
    mine = [home / "graphs" / "sales", home / "libraries" / "python", home / "notes", store.parent / "notes"]
    ours = [home / "graphs" / "decoder-0123456789abcdef", home / "0123456789abcdef" / "numpy-2.0"]
    for folder in (*mine, *ours):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    for cache in listed().values():
        assert delete(cache) == ""

    assert all((folder / "file").exists() for folder in mine)
    assert not any(folder.exists() for folder in (*ours, store))
    assert listed() == {}


def test_what_is_open_is_kept_and_said_to_be(home, tmp_path, embedder):
    root = tmp_path / "here"
    opened(root, embedder)
    with closing(Index.open(root, embedder)):
        (cache,) = kept.caches(KEEP_DAYS)
        assert delete(cache) == kept.IN_USE
        assert cache.folder.exists()
    assert delete(cache) == ""
    assert not cache.folder.parent.exists()
