"""What happens to the file: kill -9, altered bytes, no disk, other processes. Rows are what was put, or not there."""

from __future__ import annotations

import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model.blocks.file import BlockFile
from model.blocks.store import BlockStore
from tests.model.made_blocks import CODER, PACKING, packed

ROOT = Path(__file__).parents[3]
OPENING = """
from pathlib import Path
from model.blocks.store import BlockStore
from tests.model.made_blocks import CODER, PACKING, packed
store = BlockStore(Path({folder!r}), CODER, PACKING)
"""
FOREVER = """
print("begun", flush=True)
for number in range({first}, {last}):
    store.put(f"{{number % 7}}.py", packed(range(3 * number, 3 * number + 3)))
    if number % 5 == 0:
        store.drop([f"{{(number + 1) % 7}}.py"])
    if number % 9 == 0:
        store.shrink(1_000_000)
"""
FULL = """
import resource
every = packed(range(120))
store.put("a.py", packed(range(3)))
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
for number in range(1, 40):
    store._file._resume = 0.0  # without the pause after the first failure
    store.put("a.py", packed(range(3 * number, 3 * number + 3)))
    found = store.get(every)
    assert set(packed(range(3))) <= set(found) and all(every[digest] == it for digest, it in found.items())
assert len(store.get(every)) < 60
store._file._resume = 0.0
store.drop(["a.py"])
assert not store.get(every)
store.put("b.py", packed(range(2)))
assert len(store.get(every)) == 2
"""


Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Runs a script with a store in the folder, in another process."""
    children = []

    def run(script: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", OPENING.format(folder=str(tmp_path)) + script]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        children.append(
            subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, **pipes)
        )
        return children[-1]

    yield run
    for child in children:
        child.kill()
        child.communicate()


def found_in(store: BlockStore, last: int = 30) -> int:
    """How many of the blocks are there; each must be what was put."""
    wanted = packed(range(last))
    found = store.get(wanted)
    assert all(bytes(it) == wanted[digest] for digest, it in found.items())
    return len(found)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The file of a store with 30 blocks."""
    store = BlockStore(tmp_path, CODER, PACKING)
    for number in range(30):
        store.put(f"{number % 4}.py", packed(range(number, number + 1)))
    store.close()
    return store.path


@pytest.mark.parametrize("delay", [0.05, 0.25, 0.6])
def test_killed_while_it_writes_it_gives_what_was_put_and_goes_on(
    start: Start, tmp_path: Path, delay: float
) -> None:
    child = start(FOREVER.format(first=0, last=100_000))
    assert child.stdout
    assert child.stdout.readline() == "begun\n"
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(delay)
    child.kill()
    assert child.wait() == -signal.SIGKILL

    store = BlockStore(tmp_path, CODER, PACKING)
    found_in(store, 600)
    store.put("new.py", packed(range(9_000, 9_003)))
    assert len(store.get(packed(range(9_000, 9_003)))) == 3
    store.retain(["new.py"])
    assert found_in(store, 600) == 0


def test_what_was_committed_survives_a_kill(start: Start, tmp_path: Path) -> None:
    child = start("store.put('a.py', packed(range(9))); import os; os.kill(os.getpid(), 9)")
    assert child.wait() == -signal.SIGKILL

    assert found_in(BlockStore(tmp_path, CODER, PACKING)) == 9


@pytest.mark.parametrize("while_open", [True, False])
@pytest.mark.parametrize("seed", range(25))
def test_altered_bytes_are_never_given_out(filled: Path, seed: int, while_open: bool) -> None:
    chance = random.Random(seed)
    store = BlockStore(filled.parent, CODER, PACKING)
    if while_open:
        found_in(store, 2)
    else:
        store.close()
    altered = bytearray(filled.read_bytes())
    for _ in range(chance.choice([1, 5, 200])):
        altered[chance.randrange(chance.choice([100, 4096, 40_960, len(altered)]))] ^= 1 << chance.randrange(
            8
        )
    with filled.open("r+b") as file:
        file.write(altered)
        file.truncate(chance.choice([len(altered), len(altered), len(altered) // 2, 5]))
    if not while_open:
        store = BlockStore(filled.parent, CODER, PACKING)

    found_in(store)
    for number in range(30):
        store.put("b.py", packed(range(number, number + 1)))
        store.drop(["2.py"])
    found_in(store)
    store.shrink(100_000)
    store.drop(["b.py"])
    found_in(store)
    store.retain([])
    store.put("b.py", packed(range(3)))
    store.close()


def test_a_damaged_file_is_begun_anew_with_one_line_that_quotes_nothing(
    filled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled.write_bytes(b"nonsense" * 1_000)
    store = BlockStore(filled.parent, CODER, PACKING)
    assert found_in(store) == 0
    store.put("a.py", packed(range(3)))
    assert found_in(store) == 3
    expected = f"the file of blocks {filled.name} is damaged and begun anew (DatabaseError)"
    assert warnings(caplog) == [expected]


def test_one_altered_bit_of_the_rows_is_noticed_and_the_file_begun_anew(
    filled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = next(iter(packed(range(7, 8)).values()))
    content = bytearray(filled.read_bytes())
    content[content.index(rows[5_000:5_200])] ^= 1
    filled.write_bytes(content)
    store = BlockStore(filled.parent, CODER, PACKING)
    assert not store.get(packed(range(7, 8)))
    store.put("a.py", packed(range(3)))
    assert found_in(store) == 3
    assert len(warnings(caplog)) == 1


def test_without_a_folder_to_write_to_it_keeps_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = BlockStore(tmp_path / "absent", CODER, PACKING)
    for _ in range(3):
        store.put("a.py", packed(range(3)))
        store.drop(["a.py"])
        store.shrink(0)
        assert found_in(store) == 0
    store.close()
    assert len(warnings(caplog)) == 1


def test_a_read_only_file_is_read_and_goes_when_what_is_in_it_must_go(
    filled: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BlockStore(filled.parent, CODER, PACKING)
    assert store._file._writer
    store._file._writer.execute("PRAGMA query_only = ON")  # permissions do not stop root
    store.put("new.py", packed(range(30, 33)))
    assert found_in(store, 40) == 30
    assert warnings(caplog) == [f"the file of blocks {filled.name} cannot be written (OperationalError)"]

    store.drop(["1.py"])

    assert found_in(store, 40) == 0
    assert len(warnings(caplog)) == 1


def test_what_cannot_go_is_not_read_any_more(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BlockStore(filled.parent, CODER, PACKING)
    assert store._file._writer
    store._file._writer.execute("PRAGMA query_only = ON")

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refuse)
    store.drop(["1.py"])
    assert found_in(store) == 0


def test_a_locked_file_is_read_and_written_again_later(
    filled: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.blocks.file._WRITER_SECONDS", 0.05)
    store = BlockStore(filled.parent, CODER, PACKING)
    other = sqlite3.connect(filled, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        store.put("a.py", packed(range(30, 33)))
    assert found_in(store, 40) == 30
    assert warnings(caplog) == [f"the file of blocks {filled.name} cannot be written (OperationalError)"]
    other.execute("COMMIT")
    other.close()
    store.put("a.py", packed(range(30, 33)))
    assert found_in(store, 40) == 30  # after a failure it pauses
    monkeypatch.setattr("time.monotonic", lambda: 1e12)
    store.put("a.py", packed(range(30, 33)))
    assert found_in(store, 40) == 33


def test_a_full_disk_loses_only_what_does_not_fit_and_lets_blocks_go(start: Start) -> None:
    child = start(FULL)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    assert errors.count("cannot be written") == 1


def test_two_processes_share_one_file(start: Start, tmp_path: Path) -> None:
    children = [
        start(FOREVER.format(first=first, last=first + 60)) for first in (0, 30)
    ]  # some blocks by both
    store = BlockStore(tmp_path, CODER, PACKING)
    while any(child.poll() is None for child in children):
        found_in(store, 30)
    for child in children:
        _, errors = child.communicate()
        assert (child.returncode, errors) == (0, "")
    store.put("new.py", packed(range(3)))
    found_in(store, 300)


def test_a_file_that_another_process_has_begun_anew_is_followed(filled: Path) -> None:
    store = BlockStore(filled.parent, CODER, PACKING)
    assert found_in(store) == 30
    for tail in ("", "-wal", "-shm"):
        filled.with_name(filled.name + tail).unlink(missing_ok=True)
    other = BlockStore(filled.parent, CODER, PACKING)
    other.put("a.py", packed(range(3)))

    store.put("a.py", packed(range(3, 5)))

    assert found_in(store) == found_in(other) == 5


def test_a_block_file_is_of_no_use_after_its_end_and_raises_nothing(tmp_path: Path) -> None:
    file = BlockFile(tmp_path / "blocks.sqlite3", "form")
    file.close()
    file.close()
    file.change(lambda connection: connection.execute("SELECT 1 FROM blocks"))
    file.remove(lambda connection: connection.execute("SELECT 1 FROM blocks"))
    file.give_back_room()
    assert file.path.exists()
