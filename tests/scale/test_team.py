"""A team of two on moto's S3: CI publishes a real repository, a colleague's clone with one edit computes one leaf.

The environment is `tests/scale/install_team.sh`'s (HEF_TEAM_ENV, else .scale/team).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from indexer.database import Database
from indexer.team.bucket import Bucket
from indexer.team.package_reading import StoredPackages
from indexer.team.publishing import PackWriter
from indexer.team.refs import Ref, secret_key
from indexer.vectors import VectorStore
from tests.indexer.team.test_pack import some_vectors
from tests.legible import legible, names_in
from tests.scale.s3_server import S3Server, s3_server
from tests.tiny_coder import ARGUMENTS

ROOT = Path(__file__).resolve().parents[2]
PLACE = Path(os.environ.get("HEF_TEAM_ENV", ROOT / ".scale" / "team")).absolute()
PROJECT = PLACE / "project" / "sqlalchemy" / "orm"
SECRET = "correct horse battery staple"
EDITED, BEFORE, AFTER = "evaluator.py", "return None", "return (None)"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3_600),
    pytest.mark.skipif(not (PLACE / "bin" / "moto_server").exists(), reason="make test-scale installs it"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(PLACE, tmp_path_factory.mktemp("s3") / "server.log") as server:
        yield server


class Member:
    """One of the team: a clone and a cache of its own."""

    def __init__(self, folder: Path, server: S3Server) -> None:
        self.clone, self._cache, self._server = folder / "clone", folder / "cache", server
        shutil.copytree(PROJECT, self.clone)

    def run(self, command: str, words: Sequence[str] = ()) -> dict[str, object]:
        """One command to its end: the JSON that it prints."""
        where = ["--set", f"team.store={self._server.url}", "--set", "team.repository=team/orm"]
        where += [
            "--set",
            "team.waitMs=10000",
        ]  # a machine at work may need longer than 0.3 s for a first answer
        told = {"HEF_TEAM_SECRET": SECRET, "HEF_CACHE_DIR": str(self._cache), "PYTHONPATH": str(ROOT)}
        hef = [
            sys.executable,
            "-m",
            "lsp_server",
            *ARGUMENTS,
            command,
            str(self.clone),
            "--json",
            *words,
            *where,
        ]
        began = time.monotonic()
        done = subprocess.run(
            hef,
            env={**os.environ, **self._server.environment, **told},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr
        figures = json.loads(done.stdout.splitlines()[-1])
        print(f"{command}: {time.monotonic() - began:.1f} s, {figures}")
        return figures

    def vectors(self) -> dict[bytes, tuple[bytes, bytes]]:
        """digest -> key and memory of every living node."""
        (folder,) = self._cache.glob("clone-*/v*")
        with closing(Database(folder)) as db:
            store = VectorStore(db)
            digests = list(store.living())
            found = store.vectors(digests)
        rows = zip(digests, found.keys, found.memories, strict=True)
        return {digest: (key.tobytes(), memory.tobytes()) for digest, key, memory in rows}


def test_a_second_clone_embeds_one_leaf(server: S3Server, tmp_path: Path) -> None:
    ci, colleague = Member(tmp_path / "ci", server), Member(tmp_path / "colleague", server)
    published = ci.run("--publish")
    assert published["embedded"] > 3_000  # type: ignore[operator]
    again = ci.run("--publish")
    assert (again["packs"], again["embedded"], again["bytes"]) == (0, 0, 0)

    file = colleague.clone / EDITED
    text = file.read_text(encoding="utf-8")
    assert BEFORE in text
    file.write_text(text.replace(BEFORE, AFTER, 1), encoding="utf-8")
    before = len(server.asked())
    report = colleague.run("--reindex")
    asked = server.asked()[before:]

    theirs, ours = ci.vectors(), colleague.vectors()
    shared = theirs.keys() & ours.keys()
    n_packs = published["packs"]
    print(f"{len(shared):,} of {len(ours):,} nodes shared, {n_packs} packs, {len(asked)} requests")
    assert report["embedded"] == 1
    assert report["pulled"] == len(shared) >= len(ours) - 8
    assert all(theirs[digest] == ours[digest] for digest in shared), "to the bit"
    assert len(asked) <= 2 + 2 * n_packs  # type: ignore[operator]


def test_no_text_is_in_the_bucket(server: S3Server) -> None:
    names = names_in(file.read_text(encoding="utf-8") for file in PROJECT.rglob("*.py"))
    objects = server.objects()  # none of a public package, yet: `tests/indexer/team/test_packages.py`

    assert len(names) > 5_000
    assert sum(map(len, objects.values())) > 5_000_000
    assert legible(objects, names) == set()
    assert "sessiontransaction" in legible({"x": b"\0\x01SessionTransaction\xff"}, names)


def test_signatures_of_a_public_package_come_in_two_requests(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ci = Member(tmp_path / "ci", server)
    ci.clone = PROJECT.parents[1]  # where sqlalchemy is unpacked, beside its .dist-info
    published = ci.run("--publish", words=("--package", "SQLAlchemy"))
    again = ci.run("--publish", words=("--package", "sqlalchemy"))
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    fingerprint = next(path for path in server.objects() if "/signatures/" in path).split("/")[-3]
    before, began = len(server.asked()), time.monotonic()
    store = StoredPackages(fingerprint, lambda: (Bucket(server.url), secret_key(SECRET)))
    answer = store.signatures("sqlalchemy", "2.0.36", tmp_path / "kept")
    took, asked = time.monotonic() - began, server.asked()[before:]

    assert answer.table is not None, answer.problem
    print(f"{len(answer.table.rows):,} signatures in {len(asked)} requests and {took:.2f} s")
    assert len(answer.table.rows) == published["signatures"] > 5_000  # type: ignore[operator]
    assert (published["is_new"], again["is_new"]) == (True, False)
    assert len(asked) == 2
    assert published["bytes"] < 200_000  # type: ignore[operator]


def test_who_publishes_at_the_same_time_loses_nothing(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six at once, each with a pack of its own, by S3's conditional writes."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    key = secret_key(SECRET)
    errors: list[Exception] = []
    barrier = threading.Barrier(6)

    class AtOnce(PackWriter):
        """Nobody writes before all have read."""

        def _ref(self, path: str) -> tuple[Ref, str | None]:
            found = super()._ref(path)
            if found[1] is None:
                barrier.wait(30)
            return found

    def publish(number: int) -> None:
        try:
            packs = AtOnce(Bucket(server.url, writes=True), "f" * 16, key)
            digests, vectors = some_vectors(5, seed=number)
            packs.list_in("team/race", "main", packs.write(digests, vectors))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(PackWriter(Bucket(server.url), "f" * 16, key).known("team/race", "main")) == 6
    written = [asked for asked in server.asked() if asked.startswith("PUT") and asked.endswith("main.json")]
    print(f"{len(written)} writes of one ref by 6 publishers")
    assert len(written) > 6, "some were refused, and tried again"
