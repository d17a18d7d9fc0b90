"""What a team shares: published by one clone, pulled by another; and everything that may be wrong with a store."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from indexer import Index, IndexSettings, UpdateReport
from indexer.database import Database
from indexer.hierarchy import Vectors
from indexer.team.bucket import Bucket, BucketError
from indexer.team.publishing import PackWriter, publish
from indexer.team.pulling import NOTHING_YET, TeamStore
from indexer.team.refs import ref_path, secret_key
from indexer.vectors import VectorStore
from tests.indexer.conftest import HashEmbedder
from tests.indexer.team.harming import harm

KEY = secret_key("correct horse battery staple")
OTHER_KEY = secret_key("another secret, of another team")


def write_project(root: Path, n_files: int = 4) -> None:
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
        self,
        name: str,
        store: TeamStore | None,
        embedder: HashEmbedder | None = None,
        batch_texts: int = 16,
    ) -> Index:
        root = self.folder / f"clone-{name}"
        if not root.exists():
            write_project(root)
        settings = IndexSettings(batch_texts=batch_texts)
        cache = self.folder / f"cache-{name}"
        return Index.open(root, embedder or HashEmbedder(), cache, settings, team=store)

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
    file = index.root / "package_1" / "module_1.py"
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


@cache
def reference() -> dict[bytes, tuple[bytes, bytes]]:
    """What a clone that shares nothing has; a digest knows no folder."""
    with TemporaryDirectory() as folder:
        index = Team(Path(folder)).clone("alone", None)
        updated(index)
        return stored(index.folder)


def objects(team: Team, kind: str) -> list[Path]:
    return sorted((team.bucket / "v1" / "hash-1" / kind).rglob("*.*"))


def test_nothing_new_is_not_written_again_and_one_edit_is_one_small_pack(team: Team) -> None:
    team.publish()
    before = objects(team, "packs")
    with closing(team.clone("ci", None)) as index:
        again = publish(
            index.folder,
            PackWriter(Bucket(str(team.bucket), writes=True), "hash-1", KEY),
            "team/project",
            "main",
        )
        assert (again.packs, again.nodes, again.bytes) == (0, 0, 0)
        assert objects(team, "packs") == before
        (index.root / "package_0" / "new.py").write_text("def brand_new(argument):\n    return argument\n")
        index.update()
        once = publish(
            index.folder,
            PackWriter(Bucket(str(team.bucket), writes=True), "hash-1", KEY),
            "team/project",
            "main",
        )

    assert once.packs == 1
    assert 0 < once.nodes < 10
    assert set(before) < set(objects(team, "packs"))


def test_many_small_packs_become_one(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.team.publishing._MOST_PACKS", 3)
    team.publish()
    with closing(team.clone("ci", None)) as index:
        for number in range(5):
            (index.root / f"new_{number}.py").write_text(
                f"def brand_new_{number}(argument):\n    return {number}\n"
            )
            index.update()
            writer = PackWriter(Bucket(str(team.bucket), writes=True), "hash-1", KEY)
            publish(index.folder, writer, "team/project", "main")
        listed = writer.known("team/project", "main")
        everything = set(map(writer.keyed, stored(index.folder)))

    assert len(listed) <= 3
    assert everything <= writer.digests(listed)


def test_an_edit_asks_nobody(team: Team) -> None:
    team.publish()
    asked: list[int] = []

    def enter() -> tuple[Bucket, bytes]:
        asked.append(1)
        return team.enter()

    with closing(team.clone("laptop", team.store(enter))) as index:
        index.update()
        assert len(asked) == 1
        file = index.root / "package_0" / "module_0.py"
        file.write_text(
            file.read_text(encoding="utf-8").replace("return beta", "return 7 + beta", 1), encoding="utf-8"
        )
        report = index.update([file])

    assert report.embedded == 1
    assert len(asked) == 1


def test_a_pack_that_lies_is_found_out_and_not_used(team: Team) -> None:
    """Right names, right sums, written with the secret: only computing some of it again can tell."""

    class Liar(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> Vectors:
            honest = super().embed(texts)
            return Vectors(honest.keys[:, ::-1].copy(), honest.memories[:, :, ::-1].copy())

    team.publish("liar", embedder=Liar())
    index = team.clone("laptop", team.store())
    report = updated(index)

    assert report.pulled == 0
    assert "1 pack held other vectors than the texts give and was not used" in report.team
    assert stored(index.folder) == reference()


def test_packs_of_another_team_are_refused(team: Team) -> None:
    team.publish(key=OTHER_KEY)
    index = team.clone("laptop", team.store())
    report = updated(index)

    assert report.pulled == 0
    assert "not written with this team's secret" in report.team
    assert stored(index.folder) == reference()


@pytest.mark.parametrize("kind", ["packs", "indexes", "refs"])
@pytest.mark.parametrize("how", ["flip", "half", "empty", "gone", "other"])
def test_an_object_that_was_tampered_with_costs_nothing_but_time(team: Team, kind: str, how: str) -> None:
    team.publish()
    for file in objects(team, kind):
        harm(file, how)
    index = team.clone("laptop", team.store())
    report = updated(index)

    assert report.pulled == 0
    assert report.team.count(". ") == 1, "what is wrong, and what is done about it"
    assert (NOTHING_YET in report.team) == (kind == "refs" and how == "gone")
    assert stored(index.folder) == reference()


def test_a_sound_pack_is_used_beside_a_harmed_one(team: Team) -> None:
    team.publish()
    with closing(team.clone("ci", None)) as index:
        for number in range(60):
            (index.root / f"new_{number}.py").write_text(
                f"def brand_new_{number}(argument):\n    return {number}\n"
            )
        index.update()
        publish(
            index.folder,
            PackWriter(Bucket(str(team.bucket), writes=True), "hash-1", KEY),
            "team/project",
            "main",
        )
    large, small = sorted(objects(team, "packs"), key=lambda file: -file.stat().st_size)
    large.write_bytes(bytes(large.stat().st_size))
    (team.folder / "clone-ci").rename(team.folder / "clone-laptop")
    report = updated(team.clone("laptop", team.store()))

    assert 0 < report.pulled < 200
    assert report.embedded > 0
    assert "other bytes than its name says" in report.team
    assert small.exists()


def test_what_is_kept_of_a_store_is_used_again_and_goes_with_it(team: Team) -> None:
    team.publish()
    index = team.clone("laptop", team.store())
    updated(index)
    kept = index.folder / "team"
    assert [file.stem for file in kept.iterdir()] == [file.stem for file in objects(team, "indexes")]

    (kept / "0123.safetensors").write_bytes(b"old")
    bucket = Bucket(str(team.bucket))
    with closing(team.clone("laptop", team.store(lambda: (bucket, KEY)))) as again:
        for number in range(60):
            (again.root / f"new_{number}.py").write_text(
                f"def brand_new_{number}(argument):\n    return {number}\n"
            )
        again.update()

    assert bucket.requests == 1, "the ref; its index is known, and has none of these"
    assert not (kept / "0123.safetensors").exists()


def test_a_few_rows_of_a_large_pack_are_read_by_ranges(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.team.pulling._REQUEST_BYTES", 1)
    monkeypatch.setattr("indexer.team.pulling._CLOSE_BYTES", 1)
    ci = stored(team.publish())
    bucket = Bucket(str(team.bucket))
    read: list[int] = []
    monkeypatch.setattr(bucket, "get", _noting(bucket.get, read))
    digests = list(ci)[10:50]
    pull = team.store(lambda: (bucket, KEY)).pull(digests, team.folder / "kept")
    part = pull.part(5.0)

    assert part is not None
    assert set(part.digests) == set(digests)
    for digest, key, memory in zip(part.digests, part.vectors.keys, part.vectors.memories, strict=True):
        assert (key.tobytes(), memory.tobytes()) == ci[digest]
    assert len(read) == 2, "ref and index"
    file = objects(team, "packs")[0]
    file.write_bytes(bytes(file.stat().st_size))
    harmed = team.store().pull(digests, team.folder / "kept")
    while not harmed.is_over:
        assert harmed.part(0.05) is None
    assert "other rows than its index says" in harmed.problem


def _noting(
    get: Callable[..., tuple[bytes, str | None]], read: list[int]
) -> Callable[..., tuple[bytes, str | None]]:
    def noted(path: str, max_bytes: int) -> tuple[bytes, str | None]:
        read.append(1)
        return get(path, max_bytes)

    return noted


class NoFuser(HashEmbedder):
    def fuse(self, groups: Sequence[np.ndarray]) -> Vectors:
        raise RuntimeError("out of memory")


@pytest.mark.parametrize("is_honest", [True, False])
def test_parents_alone_are_checked_by_fusing_one(
    team: Team, monkeypatch: pytest.MonkeyPatch, is_honest: bool
) -> None:
    class Liar(HashEmbedder):
        def fuse(self, groups: Sequence[np.ndarray]) -> Vectors:
            honest = super().fuse(groups)
            return honest if is_honest else Vectors(honest.keys[:, ::-1].copy(), honest.memories)

    monkeypatch.setattr("indexer.sharing.LEAST_NODES", 1)
    team.publish("ci", embedder=Liar())
    with closing(team.clone("laptop", None, NoFuser())) as index, pytest.raises(RuntimeError):
        index.update()
    embedder = HashEmbedder()
    report = updated(team.clone("laptop", team.store(), embedder))

    assert embedder.embedded == []
    assert (report.pulled > 0) == is_honest
    assert embedder.fused == (1 if is_honest else 1 + report.fused)


def test_a_store_is_left_alone_for_a_while(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def enter() -> tuple[Bucket, bytes]:
        asked.append(1)
        raise BucketError("The team's store cannot be reached, or answers what no store answers.")

    class Failing(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> Vectors:
            raise RuntimeError("out of memory")

    with closing(team.clone("laptop", team.store(enter), Failing())) as index:
        for _ in range(3):
            with pytest.raises(RuntimeError):
                index.update()
        assert len(asked) == 1
        monkeypatch.setattr("indexer.team.pulling.AFTER_TROUBLE_SECONDS", 0.0)
        with pytest.raises(RuntimeError):
            index.update()
    assert len(asked) == 2


def test_a_pull_that_was_broken_off_goes_on_at_once(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.sharing._WRITTEN_AT_ONCE", 10)
    monkeypatch.setattr("indexer.sharing.LEAST_NODES", 1)
    team.publish()
    store = team.store()
    with closing(team.clone("laptop", store)) as index:
        broken = index.update(cancelled=lambda: index.stats().nodes > index.stats().pending)
        assert broken.pulled == 10
        whole = index.update()

    assert broken.cancelled
    assert (whole.embedded, whole.pulled > 0) == (0, True)
