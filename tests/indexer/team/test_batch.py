"""Portions, resuming and packs of a batch, with plain iterators in place of Ray's actors."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer import Index, IndexSettings
from indexer.settings import DEFAULT_INDEX
from indexer.team import batch
from indexer.team.batch import DigestSet, EmbeddedLeaves, LeafWorker, collected, portions
from indexer.team.bucket import Bucket
from indexer.team.pack import keyed, read_pack
from indexer.team.publishing import PackWriter
from indexer.team.refs import pack_path, secret_key
from tests.indexer.conftest import HashEmbedder
from tests.indexer.test_index import module
from tests.indexer.test_secret_contents import pem

pytest.importorskip("obstore")
ROOT = Path(__file__).resolve().parents[3]
KEY = secret_key("correct horse battery staple")
NOBODY = np.zeros((0, 16), np.uint8)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "lib").mkdir(parents=True)
    for number in range(30):
        (root / f"m{number}.py").write_text(module(f"first_{number}", f"second_{number}"))
    (root / "lib" / "copy.py").write_text(module("first_1", "second_1"))
    (root / "empty.py").write_text("")
    (root / ".env").write_text("SECRET=1")
    (root / "key.py").write_text(pem() + "\n")
    (root / ".gitignore").write_text("ignored.py\n")
    (root / "ignored.py").write_text(module("ignored"))
    (root / "binary.py").write_bytes(b"a\0b")
    return root


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "PORTION_FILES", 4)


def writer(tmp_path: Path) -> PackWriter:
    return PackWriter(Bucket(str(tmp_path / "bucket"), writes=True), "hash-1", KEY)


def run(
    root: Path, packs: PackWriter, embedder: HashEmbedder, killed_after: int | None = None, **how: float
) -> batch.Collected:
    """One run of a single worker; `killed_after` so many portions it ends as by a kill."""
    seen = DigestSet(packs.digests(packs.known("o/r", "main")))
    worker = LeafWorker(root, DEFAULT_INDEX, embedder, KEY, seen.array())

    def parts() -> Iterator[EmbeddedLeaves]:
        for number, portion in enumerate(portions(root, DEFAULT_INDEX)):
            if number == killed_after:
                raise KeyboardInterrupt
            found = worker.run(portion)
            if found is not None:
                yield found

    return collected(parts(), packs, "o/r", "main", seen, **how)


def listed(packs: PackWriter) -> dict[bytes, np.ndarray]:
    """Keyed digest -> key, of all packs that the branch lists; each digest once."""
    found: dict[bytes, np.ndarray] = {}
    for entry in packs.known("o/r", "main"):
        content, _ = packs.bucket.get(pack_path("hash-1", entry.pack), 10**8)
        rows = read_pack(content, entry.pack)
        for digest, key in zip(rows.digests, rows.vectors().keys, strict=True):
            assert digest.tobytes() not in found
            found[digest.tobytes()] = key
    return found


def test_the_packs_hold_the_leaves_of_an_index_and_nothing_else(code, tmp_path, small_portions):
    packs, embedder = writer(tmp_path), HashEmbedder()
    done = run(code, packs, embedder)
    with closing(Index.open(code, HashEmbedder(), tmp_path / "cache", IndexSettings())) as index:
        report = index.update()
        leaves = {
            keyed(digest, KEY): vectors[0]
            for digest, vectors in index._reader.vectors(
                digest for digest, level in index._kept._db.execute("SELECT digest, level FROM nodes")
                if level == "chunk"
            ).items()
        }  # fmt: skip
    held = listed(packs)
    assert held.keys() == leaves.keys()
    assert done.leaves == len(embedder.embedded) == report.embedded == len(leaves)
    assert all(np.dot(held[digest], leaves[digest]) > 0.999 for digest in held)


def test_a_second_run_embeds_and_writes_nothing(code, tmp_path, small_portions):
    run(code, writer(tmp_path), HashEmbedder())
    before = sorted(path.name for path in (tmp_path / "bucket").rglob("*.safetensors"))
    packs, embedder = writer(tmp_path), HashEmbedder()
    assert run(code, packs, embedder) == batch.Collected(0, 0)
    assert embedder.embedded == []
    assert packs.bytes == 0
    assert sorted(path.name for path in (tmp_path / "bucket").rglob("*.safetensors")) == before


def test_a_killed_run_is_gone_on_with(code, tmp_path, small_portions):
    first, second, whole = HashEmbedder(), HashEmbedder(), HashEmbedder()
    with pytest.raises(KeyboardInterrupt):
        run(code, writer(tmp_path), first, killed_after=5, pack_rows=10)
    kept = len(listed(writer(tmp_path)))
    assert 0 < kept <= len(first.embedded)
    run(code, writer(tmp_path), second)
    run(code, writer(tmp_path / "other"), whole)
    assert len(second.embedded) == len(whole.embedded) - kept
    assert listed(writer(tmp_path)).keys() == listed(writer(tmp_path / "other")).keys()


def test_an_edit_is_one_pack_more(code, tmp_path, small_portions):
    run(code, writer(tmp_path), HashEmbedder())
    (code / "m3.py").write_text(module("first_3", "edited_3"))
    embedder = HashEmbedder()
    done = run(code, writer(tmp_path), embedder)
    assert done.packs == 1
    assert 0 < done.leaves == len(embedder.embedded) <= 2


def test_what_is_waiting_is_bounded_by_number_and_by_time(code, tmp_path, small_portions, monkeypatch):
    sizes = []
    write = PackWriter.write_keyed
    monkeypatch.setattr(PackWriter, "write_keyed", lambda self, digests, vectors: sizes.append(len(digests))
                        or write(self, digests, vectors))  # fmt: skip
    run(code, writer(tmp_path / "a"), HashEmbedder(), pack_rows=20)
    assert len(sizes) >= 3
    assert max(sizes) < 20 + 4 * 6  # and what one portion brings
    del sizes[:]
    run(code, writer(tmp_path / "b"), HashEmbedder(), list_seconds=0)
    assert len(sizes) >= 5


def test_two_workers_that_met_the_same_text_write_it_once(code, tmp_path):
    packs, seen = writer(tmp_path), DigestSet()
    workers = [LeafWorker(code, DEFAULT_INDEX, HashEmbedder(), KEY, NOBODY) for _ in range(2)]
    parts = [worker.run([name]) for worker, name in zip(workers, ["m1.py", "lib/copy.py"], strict=True)]
    done = collected([part for part in parts if part], packs, "o/r", "main", seen)
    assert done.leaves == len(listed(packs)) == len(parts[0])


def test_portions_name_each_file_that_counts_once(code, small_portions):
    found = list(portions(code, DEFAULT_INDEX))
    names = [name for portion in found for name in portion]
    assert max(map(len, found)) == 4
    assert len(names) == len(set(names))
    assert {"m0.py", "lib/copy.py"} < set(names)
    assert not {"ignored.py", ".env"} & set(names)


def test_a_worker_reads_no_secret_and_survives_what_it_cannot_read(code):
    worker = LeafWorker(code, DEFAULT_INDEX, HashEmbedder(), KEY, NOBODY)
    assert worker.run([".env", "key.py", "ignored.py", "binary.py", "gone.py", "empty.py", "../x.py"]) is None
    assert len(worker.run(["m0.py"])) > 0
    assert worker.run(["m0.py"]) is None  # known by now


def test_a_set_of_digests_is_a_set():
    rng, mine, true = np.random.default_rng(0), DigestSet(), set()
    for _ in range(60):
        some = rng.integers(0, 3, (40, 16), dtype=np.uint8)
        some[:, 2:] = 0  # few different ones, and all end in NULs
        rows = mine.take_in(some)
        new = {row.tobytes() for row in some} - true
        assert [some[row].tobytes() for row in rows] == list(
            dict.fromkeys(row.tobytes() for row in some if row.tobytes() in new)
        )
        true |= new
        assert len(mine) == len(true)
        assert mine.has(some).all()
    assert {row.tobytes() for row in mine.array()} == true
    assert not DigestSet().has(some).any()


def test_ray_is_imported_by_nothing_and_reports_nothing():
    code = "import sys, lsp_server.batch, lsp_server.ray_actors; sys.exit('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    tree = ast.parse((ROOT / "lsp_server" / "ray_actors.py").read_text())
    over_ray = next(node for node in tree.body if getattr(node, "name", "") == "over_ray")
    lines = [ast.unparse(node) for node in ast.walk(over_ray) if isinstance(node, ast.Expr | ast.Import)]
    assert lines.index("os.environ.update(_QUIET)") < lines.index("import ray.data")
