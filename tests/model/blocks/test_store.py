from __future__ import annotations

import random
import sqlite3
import threading
from pathlib import Path

import pytest

from model.blocks.packing import Packing
from model.blocks.store import BlockStore
from tests.model.made_blocks import CODER, PACKING, made, packed

ALL = range(100)


@pytest.fixture
def store(tmp_path: Path) -> BlockStore:
    return BlockStore(tmp_path, CODER, PACKING)


def found_in(store: BlockStore, numbers: range = ALL) -> set[int]:
    """Which of the blocks are there; each must be what was put."""
    wanted = packed(numbers)
    found = store.get(wanted)
    assert all(bytes(found[digest]) == wanted[digest] for digest in found)
    return {number for number, digest in zip(numbers, wanted, strict=True) if digest in found}


def test_what_was_put_is_found_in_this_process_and_the_next(store: BlockStore, tmp_path: Path) -> None:
    store.put("a.py", packed(range(3)))
    assert found_in(store) == {0, 1, 2}
    store.close()
    assert found_in(store) == set()
    assert found_in(BlockStore(tmp_path, CODER, PACKING)) == {0, 1, 2}


def test_the_file_is_this_users_alone_and_named_after_the_coder(store: BlockStore, tmp_path: Path) -> None:
    store.put("a.py", packed(range(3)))
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {"blocks-0123456789abcdef"}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_no_path_is_stored(store: BlockStore, tmp_path: Path) -> None:
    store.put("secret_name.py", packed(range(3)))
    store.close()
    assert all(b"secret_name" not in path.read_bytes() for path in tmp_path.iterdir())


def test_rows_of_another_packing_are_refused_and_a_file_of_another_is_begun_anew(
    store: BlockStore, tmp_path: Path
) -> None:
    other = Packing(PACKING.layers, PACKING.kv_heads, 8)
    with pytest.raises(ValueError, match="no rows"):
        store.put("a.py", {b"0" * 16: other.pack(made(1, 5, other).rows)})
    store.put("a.py", packed(range(3)))
    store.close()
    assert not BlockStore(tmp_path, CODER, other).get(packed(range(3)))


def test_blocks_go_with_their_file_and_with_the_rest(store: BlockStore) -> None:
    for number, path in enumerate(("a.py", "b.py", "c.py", "d.py")):
        store.put(path, packed(range(10 * number, 10 * number + 3)))

    store.drop(["a.py", "unknown.py"])
    assert found_in(store) == {10, 11, 12, 20, 21, 22, 30, 31, 32}
    store.retain(["b.py", "c.py"])
    assert found_in(store) == {10, 11, 12, 20, 21, 22}
    store.retain([])
    assert found_in(store) == set()


def test_more_blocks_go_than_one_transaction_deletes(store: BlockStore) -> None:
    store.put("a.py", packed(ALL))
    store.drop(["a.py"])
    assert found_in(store) == set()


@pytest.mark.parametrize("others_first", [True, False])
@pytest.mark.parametrize("how", ["drop", "retain", "shrink"])
def test_what_goes_leaves_no_byte_in_any_file(
    store: BlockStore, tmp_path: Path, how: str, others_first: bool
) -> None:
    marked, mark = made(1_000).digest, bytes(range(37, 45))
    n_bytes = len(PACKING.pack(made(1_000).rows))
    gone = {marked: (mark * n_bytes)[:n_bytes]}
    if others_first:
        store.put("b.py", packed(range(20)))
    for number in range(3):
        store.put("a.py", gone if number == 1 else packed(range(100 + number, 101 + number)))
    store.put("b.py", packed(range(20)))
    store.drop(["b.py"] if how == "retain" else [])  # neighbors in the tree move
    assert any(mark in path.read_bytes() for path in tmp_path.iterdir())
    if how == "shrink":
        store.touch([digest for digest in packed(range(200)) if digest not in gone])

    {
        "drop": lambda: store.drop(["a.py"]),
        "retain": lambda: store.retain(["b.py"]),
        "shrink": lambda: store.shrink(0),
    }[how]()

    assert not store.get(gone)
    assert [path.name for path in tmp_path.iterdir() if mark in path.read_bytes()] == []


def test_no_byte_stays_where_neighbors_in_the_tree_have_moved(store: BlockStore, tmp_path: Path) -> None:
    """Cells that moved may be legible where they were: by this seed they are, without the empty page."""
    chance, mark = random.Random(51), bytes(range(37, 45))
    n_bytes = len(PACKING.pack(made(0, 1).rows))
    contents = {True: (mark * n_bytes)[:n_bytes], False: bytes(n_bytes)}
    paths: dict[bool, list[str]] = {True: [], False: []}
    for number in range(300):
        marked = chance.random() < 0.5
        store.put(f"{number}.py", {number.to_bytes(16, "big"): contents[marked]})
        paths[marked].append(f"{number}.py")
        for kind, share in ((False, 0.35), (True, 0.2)):
            if chance.random() < share and paths[kind]:
                store.drop([paths[kind].pop(chance.randrange(len(paths[kind])))])
    for start in range(0, len(paths[True]), 5):
        store.drop(paths[True][start : start + 5])

    assert [path.name for path in tmp_path.iterdir() if mark in path.read_bytes()] == []


def test_somebody_who_reads_only_puts_off_that_the_log_is_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.blocks.file._WRITER_SECONDS", 0.05)
    store = BlockStore(tmp_path, CODER, PACKING)
    rows = packed(range(1))
    needle = next(iter(rows.values()))[-64:]
    reader = sqlite3.connect(store.path, isolation_level=None)
    store.put("a.py", rows)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM blocks").fetchone()
    store.drop(["a.py"])
    assert [path.name for path in tmp_path.iterdir() if needle in path.read_bytes()]
    reader.execute("COMMIT")
    reader.close()

    store.drop(["b.py"])

    assert not [path.name for path in tmp_path.iterdir() if needle in path.read_bytes()]


def test_the_least_recently_used_go_until_the_rest_fits(store: BlockStore) -> None:
    for number in range(20):
        store.put("a.py", packed(range(number, number + 1)))
    store.get(packed(range(5)))  # used after the others
    each = len(PACKING.pack(made(0).rows))

    store.shrink(12 * each)

    left = found_in(store)
    assert store.n_bytes <= 12 * each + 4 * 4096
    assert {0, 1, 2, 3, 4} < left
    assert left - {0, 1, 2, 3, 4} == set(range(20 - (len(left) - 5), 20))
    assert len(left) >= 8
    store.shrink(100 * each)
    assert found_in(store) == left


def test_the_same_block_again_takes_no_more_room(store: BlockStore, tmp_path: Path) -> None:
    store.put("a.py", packed(range(3)))
    store.close()
    size = store.n_bytes
    again = BlockStore(tmp_path, CODER, PACKING)
    for _ in range(50):
        again.put("a.py", packed(range(3)))
    assert found_in(again) == {0, 1, 2}
    again.close()
    assert again.n_bytes == size


def test_one_thread_removes_while_another_gets_and_puts(store: BlockStore) -> None:
    def remove() -> None:
        for number in range(40):
            store.drop([f"{number}.py"])

    remover = threading.Thread(target=remove)
    remover.start()
    for number in range(40):
        store.put(f"{number}.py", packed(range(number, number + 1)))
        assert found_in(store, range(number + 1)) <= set(range(number + 1))
    remover.join()
    remove()
    assert found_in(store, range(40)) == set()
