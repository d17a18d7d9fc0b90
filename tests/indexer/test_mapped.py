"""Graphs mapped from files find what exact search finds, outlive kills, damage, processes; memory stays flat."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer import Index, IndexSettings, mapped_graph
from indexer.ann import Ann
from indexer.mapped import MappedKeys, MappedSizes, forget
from tests.indexer.conftest import HashEmbedder
from tests.indexer.test_ann import WIDTH, exact, keys_of
from tests.indexer.test_index import module

ROOT = Path(__file__).resolve().parents[2]
SIZES = MappedSizes(segment=400, most_fresh=200, portion=150)


def mapped(path: Path, count: int = 1_000) -> tuple[MappedKeys, np.ndarray]:
    made, keys = MappedKeys(path, WIDTH, SIZES), keys_of(count)
    made.add(range(count), keys.astype(np.float32))
    made.drain(0)
    made.save("store")
    return made, keys


def found(keys: MappedKeys, query: np.ndarray, k: int) -> list[int]:
    return keys.search(query.astype(np.float32), k)[0].tolist()


def reopened(path: Path) -> MappedKeys:
    return MappedKeys.load(path, "store", WIDTH, SIZES)


def test_recall_against_exact_search(tmp_path):
    made, keys = mapped(tmp_path / "chunk.mapped", 3_000)
    queries = keys_of(200, seed=1).astype(np.float32)
    true = [set(exact(keys, query, 10)) for query in queries]
    hits = [len(set(found(made, query, 10)) & wanted) for query, wanted in zip(queries, true, strict=True)]
    assert np.mean(hits) / 10 >= 0.95
    ids, scores = made.search(queries[0], 5)
    assert np.allclose(scores, keys[ids].astype(np.float32) @ queries[0], atol=2e-3)


def test_replacing_and_removing_in_graphs_and_beside_them(tmp_path):
    made, keys = mapped(tmp_path / "chunk.mapped", 500)
    made.add([7], keys[8:9].astype(np.float32))
    made.remove([8, 8, 999_999])
    assert found(made, keys[8], 1) == [7]
    assert len(made) == 499
    made.remove(list(range(10, 500)))
    assert set(found(made, keys[100], 50)) == {*range(10)} - {
        8
    }  # among many removed ones, and more than there are
    assert sorted(made.ids().tolist()) == [0, 1, 2, 3, 4, 5, 6, 7, 9]
    assert np.allclose(made.vectors([9, 7]), keys[[9, 8]], atol=1e-3)
    made.drain(0)  # mostly waste by now
    assert set(found(made, keys[100], 50)) == {*range(10)} - {8}
    assert found(made, keys[8], 1) == [7]


def test_saved_and_loaded_it_answers_the_same(tmp_path):
    made, keys = mapped(tmp_path / "chunk.mapped")
    made.remove([5, 6])
    made.save("store")
    loaded = reopened(tmp_path / "chunk.mapped")
    assert len(loaded) == 998
    for query in keys_of(20, seed=2):
        assert found(loaded, query, 10) == found(made, query, 10)
    loaded.add([5], keys[5:6].astype(np.float32))
    loaded.drain(0)
    assert found(loaded, keys[5], 1) == [5]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_new_keys_grow_the_last_graph_and_no_file_is_left_behind(tmp_path):
    made, _ = mapped(tmp_path / "chunk.mapped", 500)  # 400 and 100
    first = {file.name for file in tmp_path.glob("*.usearch")}
    made.add(range(500, 600), keys_of(100, seed=3).astype(np.float32))
    made.drain(0)
    made.save("store")
    second = {file.name for file in tmp_path.glob("*.usearch")}
    assert len(first) == len(second) == 2
    assert len(first & second) == 1  # the full one stays
    forget(tmp_path / "chunk.mapped")
    assert list(tmp_path.iterdir()) == []


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "flipped bit": flip,
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(os.urandom(path.stat().st_size)),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_graph_is_left_out_with_one_line_and_the_others_stay(tmp_path, caplog, damage):
    _, keys = mapped(tmp_path / "chunk.mapped")
    graphs = sorted(tmp_path.glob("*.usearch"), key=lambda file: file.stat().st_size)
    damage(graphs[0])  # the one of 200
    with caplog.at_level(logging.WARNING):
        loaded = reopened(tmp_path / "chunk.mapped")
    assert len(loaded) == 800
    assert len(caplog.records) == 1
    missing = np.setdiff1d(np.arange(1_000), loaded.ids())
    loaded.add(missing.tolist(), keys[missing].astype(np.float32))  # as from the store
    loaded.drain(0)
    loaded.save("store")
    again = reopened(tmp_path / "chunk.mapped")
    assert sorted(again.ids().tolist()) == list(range(1_000))
    assert found(again, keys[999], 1) == [999]


@pytest.mark.parametrize(
    "damage", [DAMAGE[name] for name in ("truncated", "flipped bit", "empty", "garbage")]
)
def test_a_damaged_list_is_refused_with_one_line(tmp_path, caplog, damage):
    mapped(tmp_path / "chunk.mapped")
    damage(tmp_path / "chunk.mapped")
    ann = Ann(tmp_path / "chunk.hnsw", 100, 500, SIZES)
    with caplog.at_level(logging.WARNING):
        ann.load("store", WIDTH)
    assert len(ann) == 0
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("store", "width"), [("another", WIDTH), ("store", WIDTH + 1)])
def test_a_foreign_list_is_refused(tmp_path, store, width):
    mapped(tmp_path / "chunk.mapped")
    with pytest.raises(ValueError, match="another store"):
        MappedKeys.load(tmp_path / "chunk.mapped", store, width, SIZES)


def test_an_untouched_file_is_not_read_whole_and_a_touched_one_is(tmp_path, monkeypatch):
    read = []
    checksum_of = mapped_graph.checksum_of
    monkeypatch.setattr(mapped_graph, "checksum_of", lambda path: read.append(path) or checksum_of(path))
    mapped(tmp_path / "chunk.mapped", 400)
    monkeypatch.setattr(mapped_graph, "_RACY_NS", 0)
    time.sleep(0.05)  # longer than a tick of the file system's clock
    reopened(tmp_path / "chunk.mapped").save("store")
    del read[:]
    reopened(tmp_path / "chunk.mapped")
    assert read == []
    graph = next(tmp_path.glob("*.usearch"))
    os.utime(
        graph, ns=(graph.stat().st_atime_ns, graph.stat().st_mtime_ns)
    )  # as before, but for the inode's change
    reopened(tmp_path / "chunk.mapped")
    assert read == [graph]


WRITER = """
import sys, itertools
from pathlib import Path
import numpy as np
from indexer.mapped import MappedKeys, MappedSizes
keys = np.load(sys.argv[2])
made = MappedKeys(Path(sys.argv[1]), keys.shape[1], MappedSizes(400, 200, 100))
for start in itertools.count(0, 50):
    ids = np.arange(start, start + 50) % len(keys)
    made.add(ids.tolist(), keys[ids])
    made.drain(0)
    made.save("store")
    print(start, flush=True)
"""


def test_killed_while_it_writes_nothing_wrong_is_left(tmp_path):
    keys = keys_of(1_000).astype(np.float32)
    np.save(tmp_path / "keys.npy", keys)
    path = tmp_path / "index" / "chunk.mapped"
    path.parent.mkdir()
    command = [sys.executable, "-c", WRITER, str(path), str(tmp_path / "keys.npy")]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert writer.stdout is not None
    copies = []
    for number in range(40):
        writer.stdout.readline()
        if number % 8 == 7:  # what a kill at this moment would leave, in the middle of something or not
            copies.append(shutil.copytree(path.parent, tmp_path / f"{number}", ignore_dangling_symlinks=True,
                                          copy_function=_copied) / path.name)  # fmt: skip
    writer.send_signal(signal.SIGKILL)
    writer.wait(30)
    writer.stdout.close()
    for left in [*copies, path]:
        loaded = reopened(left)
        held = loaded.ids()
        assert len(held) == len(set(held.tolist()))
        assert np.allclose(loaded.vectors(held.tolist()), keys[held], atol=1e-3)
    assert len(reopened(path)) >= 350


def _copied(source: str, target: str) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:  # deleted by the writer meanwhile, as by a kill just before
        return


def test_two_processes_write_beside_each_other(tmp_path):
    path = tmp_path / "chunk.mapped"
    mine, keys = mapped(path)
    theirs = reopened(path)
    for number, one in enumerate([mine, theirs, mine, theirs]):
        ids = range(1_000 + 50 * number, 1_050 + 50 * number)
        one.add(ids, keys_of(50, seed=number + 5).astype(np.float32))
        one.drain(0)
        one.save("store")
    assert len(mine) == len(theirs) == 1_100
    for one in (mine, theirs):  # files that the other has deleted are mapped still
        assert found(one, keys[999], 1) == [999]
    assert np.isin(np.arange(800), reopened(path).ids()).all()  # full graphs are of both


def test_searches_without_any_lock_of_their_own_beside_changes(tmp_path):
    made, keys = mapped(tmp_path / "chunk.mapped")
    done, failures = threading.Event(), []

    def search() -> None:
        try:
            while not done.is_set():
                assert found(made, keys[3], 10)[0] == 3
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for start in range(1_000, 3_000, 200):
        made.add(range(start, start + 200), keys_of(200, start).astype(np.float32))
        made.remove(range(start - 500, start - 450))
        made.drain(100)
        made.save("store")
    done.set()
    for thread in threads:
        thread.join(10)
    assert not failures


def test_it_changes_with_the_count_in_both_directions_and_loses_nothing(tmp_path):
    ann, keys = Ann(tmp_path / "chunk.hnsw", 100, 1_000, SIZES), keys_of(1_500)

    def kinds() -> tuple[str, list[str]]:
        ann.tidy("store")
        ann.save("store")
        assert sorted(ann.ids().tolist()) == list(range(len(ann)))
        assert all(ann.search(keys[id], 1)[0][0] == id for id in range(0, len(ann), 50))
        return ann.kind, sorted({path.suffix for path in tmp_path.iterdir()})

    ann.replace(range(900), keys[:900], [])
    assert kinds() == ("hnsw", [".hnsw", ".json"])
    ann.replace(range(900, 1_500), keys[900:], [])
    assert kinds() == ("mapped", [".mapped", ".usearch"])
    ann.replace([], keys[:0], list(range(900, 1_500)))
    assert kinds()[0] == "mapped"  # near the border it stays
    ann.replace([], keys[:0], list(range(700, 900)))
    assert kinds() == ("hnsw", [".hnsw", ".json"])
    ann.replace(range(700, 1_500), keys[700:], [])
    assert kinds() == ("mapped", [".mapped", ".usearch"])
    loaded = Ann(tmp_path / "chunk.hnsw", 100, 1_000, SIZES)
    loaded.load("store", WIDTH)
    assert loaded.kind == "mapped"
    assert len(loaded) > 1_500 - SIZES.most_fresh


def test_a_long_update_keeps_few_keys_in_memory(tmp_path):
    ann = Ann(tmp_path / "chunk.hnsw", 100, 500, SIZES)
    for start in range(0, 3_000, 100):
        ann.replace(range(start, start + 100), keys_of(100, start), [])
        if isinstance(ann._keys, MappedKeys) and start > 1_000:
            assert len(ann._keys._fresh) <= 500
    assert len(ann) == 3_000
    assert ann.kind == "mapped"


def test_stopped_in_the_middle_it_keeps_what_it_has(tmp_path):
    ann, keys = Ann(tmp_path / "chunk.hnsw", 100, 500, SIZES), keys_of(2_000)
    ann.replace(range(2_000), keys, [])
    ann.tidy("store", lambda done, total, path: done < 1_000)
    assert ann.kind == "mapped"
    assert ann.search(keys[1_999], 1)[0][0] == 1_999
    ann.save("store")
    loaded = reopened(tmp_path / "chunk.mapped")
    assert 800 <= len(loaded) < 2_000


def test_without_hnswlib_graphs_are_mapped_however_few(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    ann, keys = Ann(tmp_path / "chunk.hnsw", 100), keys_of(500)
    ann.replace(range(500), keys, [])
    ann.tidy("store")
    assert ann.kind == "mapped"
    assert ann.search(keys[3], 1)[0][0] == 3


def test_usearch_is_never_loaded_beside_faiss(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    monkeypatch.setitem(sys.modules, "faiss", object())
    ann, keys = Ann(tmp_path / "chunk.hnsw", 100), keys_of(500)
    ann.replace(range(500), keys, [])
    ann.tidy("store")
    assert ann.kind == "exact"


def run_alone(code):
    """Code in a process of its own, which ends with 0."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()


def test_below_the_border_usearch_is_not_even_imported():
    code = (
        "import sys, tempfile; from pathlib import Path; from indexer.ann import Ann; import numpy as np\n"
        "keys = np.random.default_rng(0).standard_normal((500, 64)).astype(np.float16)\n"
        "ann = Ann(Path(tempfile.mkdtemp()) / 'chunk.hnsw', 100); ann.replace(range(500), keys, []); ann.tidy('s')\n"
        "assert ann.kind == 'hnsw'; sys.exit('usearch' in sys.modules or 'faiss' in sys.modules)"
    )
    run_alone(code)


def test_usearch_connects_to_nothing():
    """Its package has a downloader of its own, for something else."""
    assert importlib.util.find_spec("usearch")
    code = (
        "import sys; seen = []; "
        "sys.addaudithook(lambda name, _: seen.append(name) if name.startswith('socket.') else 0)\n"
        "import tempfile; from pathlib import Path; import numpy as np; from indexer.mapped import MappedKeys\n"
        "keys = MappedKeys(Path(tempfile.mkdtemp()) / 'chunk.mapped', 64)\n"
        "keys.add(range(100), np.eye(100, 64, dtype=np.float32)); keys.drain(0); keys.save('store')\n"
        "sys.exit(any(name != 'socket.gethostname' for name in seen))"
    )
    run_alone(code)


def test_an_index_searches_in_mapped_graphs_as_in_others(tmp_path):
    root = tmp_path / "repository"
    root.mkdir()
    for number in range(120):
        names = [f"{word}_{number}" for word in ("place", "create", "verify", "truncate")]
        (root / f"m{number}.py").write_text(module(*names))
    borders = {"mapped": 100, "exact": 10_000_000}
    for kind, border in borders.items():
        settings = IndexSettings(exact_below=border, mapped_above=border)
        for _ in range(2):  # the second time opened from what the first has left
            with closing(Index.open(root, HashEmbedder(), tmp_path / kind, settings)) as index:
                report = index.update()
                assert index.stats().search == kind
        assert report.embedded == 0
