from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.blocks.block import Block
from model.blocks.packing import Packing
from model.blocks.shelf import Shelf
from model.blocks.store import BlockStore
from model.settings import BlockSettings
from tests.model.made_blocks import CODER, PACKING, made

EACH = len(PACKING.pack(made(0).rows))


def shelf_of(folder: Path | None, *, memory_blocks: int = 100, disk_bytes: int = 100_000_000) -> Shelf:
    store = BlockStore(folder, CODER, PACKING) if folder else None
    return Shelf(PACKING, BlockSettings(disk_bytes, memory_blocks * EACH), store)


def found_in(shelf: Shelf, numbers: range) -> list[int]:
    blocks = {number: made(number).digest for number in numbers}
    found = shelf.find(blocks.values())
    return [number for number, digest in blocks.items() if digest in found]


def add(shelf: Shelf, numbers: range, path: str = "a.py") -> None:
    for number in numbers:
        shelf.add(path, made(number))


def same(one: Block, other: Block) -> bool:
    pairs = [(getattr(one.rows, name), getattr(other.rows, name)) for name in ("keys", "values", "positions")]
    return one.digest == other.digest and all(np.array_equal(first, second) for first, second in pairs)


def test_a_block_reads_the_same_when_it_is_made_from_memory_and_from_disk(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path)
    block = made(3, n=57)
    added = shelf.add("a.py", block)
    from_memory = shelf.find([block.digest])[block.digest]
    shelf.close()
    from_disk = shelf_of(tmp_path).find([block.digest])[block.digest]

    assert same(added, from_memory)
    assert same(added, from_disk)
    assert np.abs(added.rows.keys - block.rows.keys).max() < 0.02


def test_without_a_store_it_is_memory_only() -> None:
    shelf = shelf_of(None, memory_blocks=3)
    add(shelf, range(3))
    assert found_in(shelf, range(1)) == [0]
    add(shelf, range(3, 4))
    assert found_in(shelf, range(5)) == [0, 2, 3]  # 1 was least recently used
    assert shelf.n_bytes == 3 * EACH
    assert not shelf.flush()
    shelf.drop(["a.py"])
    shelf.close()


def test_adding_again_takes_no_more_memory() -> None:
    shelf = shelf_of(None)
    for _ in range(5):
        add(shelf, range(2))
    assert shelf.n_bytes == 2 * EACH


def test_writing_is_in_batches_and_what_waits_is_found(tmp_path: Path) -> None:
    shelf, other = shelf_of(tmp_path, memory_blocks=0), shelf_of(tmp_path)
    add(shelf, range(10))
    assert found_in(shelf, range(10)) == list(range(10))
    assert found_in(other, range(10)) == []

    assert shelf.flush()
    assert len(found_in(other, range(10))) == 8
    assert not shelf.flush()
    assert found_in(other, range(10)) == found_in(shelf, range(10)) == list(range(10))


def test_what_waits_has_a_bound(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path)
    add(shelf, range(100))
    assert 30 < len(found_in(shelf_of(tmp_path), range(100))) < 100


def test_the_disk_holds_no_more_than_it_may_and_what_is_used_stays(tmp_path: Path) -> None:
    limit = 20 * EACH
    shelf = shelf_of(tmp_path, disk_bytes=limit)
    for number in range(0, 60, 4):
        add(shelf, range(number, number + 4))
        while shelf.flush():
            pass
        assert found_in(shelf, range(1)) == [0]  # in memory, which counts as used on disk
    shelf.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= limit * 1.05

    left = found_in(shelf_of(tmp_path), range(60))

    assert left[0] == 0
    assert left[1:] == list(range(60 - len(left) + 1, 60))
    assert len(left) > 8


def test_what_goes_is_not_written_later(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path)
    add(shelf, range(3), "a.py")
    add(shelf, range(3, 6), "b.py")
    add(shelf, range(6, 9), "c.py")

    shelf.drop(["a.py"])
    shelf.close()
    assert found_in(shelf_of(tmp_path), range(9)) == [3, 4, 5, 6, 7, 8]

    again = shelf_of(tmp_path)
    add(again, range(10, 13), "d.py")
    again.retain(["b.py"])
    again.close()
    assert found_in(shelf_of(tmp_path), range(13)) == [3, 4, 5]


def test_what_is_held_back_is_found_and_not_written(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path)
    add(shelf, range(3), "a.py")
    add(shelf, range(3, 6), "b.py")
    shelf.hold_back(["a.py", "c.py"])
    add(shelf, range(6, 9), "c.py")
    shelf.add(None, made(9))
    assert found_in(shelf, range(10)) == list(range(10))
    shelf.hold_back([])
    add(shelf, range(10, 12), "a.py")
    shelf.close()
    assert found_in(shelf_of(tmp_path), range(12)) == [3, 4, 5, 10, 11]


def test_no_bytes_for_the_disk_is_no_disk(tmp_path: Path) -> None:
    shelf = shelf_of(tmp_path, disk_bytes=0)
    add(shelf, range(3))
    shelf.close()
    assert found_in(shelf_of(tmp_path), range(3)) == []


def test_rows_of_another_coder_are_refused() -> None:
    other = made(1, packing=Packing(PACKING.layers, 1, PACKING.head_dim))
    with pytest.raises(ValueError, match="another coder"):
        shelf_of(None).add("a.py", other)
