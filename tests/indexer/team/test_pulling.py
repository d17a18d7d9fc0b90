"""What a team shares: published by one clone, pulled by another; and everything that may be wrong with a store."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from indexer import Index, UpdateReport
from indexer.database import Database
from indexer.team.bucket import Bucket
from indexer.team.publishing import PackWriter, publish
from indexer.team.pulling import TeamStore
from indexer.team.refs import ref_path, secret_key
from indexer.vectors import VectorStore
from tests.indexer.conftest import HashEmbedder

KEY = secret_key("correct horse battery staple")
OTHER_KEY = secret_key("another secret, of another team")


def write_project(root: Path, n_files: int = 12) -> None:
    """Functions with names that occur nowhere else."""
    words = random.Random(0)
    for number in range(n_files):
        lines = [
            f"def zq{number}_{n}(alpha_{words.randrange(10**6)}, beta):\n    return beta * {words.randrange(10**6)}\n"
            + "".join(
                f"    # filler{words.randrange(10**6)} says nothing at all, at length\n" for _ in range(20)
            )
            for n in range(8)
        ]
        folder = root / f"package_{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"module_{number}.py").write_text("\n".join(lines), encoding="utf-8")


class Team:
    """A store in a folder, and clones that use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bucket = folder / "bucket"

    def enter(self) -> tuple[Bucket, bytes]:
        return Bucket(str(self.bucket)), KEY

    def store(
        self, enter: Callable[[], tuple[Bucket, bytes]] | None = None, patience: float = 0.3
    ) -> TeamStore:
        return TeamStore(
            "hash-1", [ref_path("hash-1", "team/project", "main")], enter or self.enter, patience
        )

    def clone(
        self, name: str, store: TeamStore | None, embedder: HashEmbedder | None = None, root: str = "clone"
    ) -> Index:
        root_of = self.folder / f"{root}-{name}"
        if not root_of.exists():
            write_project(root_of)
        return Index.open(root_of, embedder or HashEmbedder(), self.folder / f"cache-{name}", team=store)

    def publish(self, name: str = "ci", key: bytes = KEY, embedder: HashEmbedder | None = None) -> Path:
        with closing(self.clone(name, None, embedder)) as index:
            index.update()
            writer = PackWriter(Bucket(str(self.bucket), writes=True), "hash-1", key)
            publish(index.folder, writer, "team/project", "main")
            return index.folder


def stored(folder: Path) -> dict[bytes, tuple[bytes, bytes]]:
    """digest -> key and memory of every node, as bytes."""
    db = Database(folder)
    with closing(db):
        vectors = VectorStore(db)
        digests = list(vectors.living())
        found = vectors.vectors(digests)
    return {
        digest: (key.tobytes(), memory.tobytes())
        for digest, key, memory in zip(digests, found.keys, found.memories, strict=True)
    }


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


def updated(index: Index) -> UpdateReport:
    with closing(index):
        return index.update()


def test_a_second_clone_computes_what_was_edited_and_nothing_else(team: Team) -> None:
    ci = stored(team.publish())
    embedder = HashEmbedder()
    index = team.clone("laptop", team.store(), embedder)
    file = index.root / "package_1" / "module_4.py"
    file.write_text(
        file.read_text(encoding="utf-8").replace("return beta", "return beta + 1", 1), encoding="utf-8"
    )

    with closing(index):
        report = index.update()
        here = stored(index.folder)

    assert report.embedded == 1
    shared = here.keys() & ci.keys()
    assert {digest: here[digest] for digest in shared} == {digest: ci[digest] for digest in shared}
    assert report.pulled == len(shared)
    assert len(embedder.embedded) == 2, "one edited, one checked"
    assert report.team == f"{len(shared):,} of {len(here):,} vectors came from the team's store."
