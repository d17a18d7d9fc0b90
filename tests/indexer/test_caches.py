"""Which stores of other embedders are deleted, and which are not."""

from __future__ import annotations

import os
import time

import pytest

from indexer.caches import UNUSED_DAYS, delete_unused

MONTH = (UNUSED_DAYS + 1) * 86_400


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
    assert list(other.parent.iterdir()) == [used.stats().folder]


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
