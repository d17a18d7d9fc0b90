"""Packs of what is above leaves: as `--batch` makes them, leaves are in one pack and parents in another, and which of
them comes first is for their names to say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer.database import Database
from indexer.hierarchy import Vectors
from indexer.team.bucket import Bucket
from indexer.team.pack import packed, sealed
from indexer.team.publishing import PackWriter
from indexer.vectors import VectorStore
from tests.indexer.conftest import HashEmbedder
from tests.indexer.team.test_pulling import KEY, Team, reference, stored, updated


class Liar(HashEmbedder):
    """Honest of leaves only."""

    def fuse(self, groups: Sequence[np.ndarray]) -> Vectors:
        honest = super().fuse(groups)
        return Vectors(honest.keys[:, ::-1].copy(), honest.memories[:, :, ::-1].copy())


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


def publish_parents_first(team: Team, embedder: HashEmbedder, n_leaves: int | None = None) -> list[bytes]:
    """Parents in a pack that is read before that of the leaves, of which so many are published. All the digests."""
    with closing(team.clone("ci", None, embedder)) as index:
        index.update()
    writer = PackWriter(Bucket(str(team.bucket), writes=True), "hash-1", KEY)
    with closing(Database(index.folder)) as db:
        vectors = VectorStore(db)
        digests = list(vectors.living())
        rows = db.execute("SELECT digest FROM nodes WHERE alive = 1 AND height = 0").fetchall()
        leaves = sorted(digest for (digest,) in rows)[:n_leaves]
        above = [digest for digest in digests if (digest,) not in rows]
        first = name_of_pack(writer, leaves, vectors)
        ordered = next(
            list(some)
            for some in itertools.permutations(above)
            if name_of_pack(writer, some, vectors) < first
        )
        entries = [entry for part in (leaves, ordered) for entry in writer.write(part, vectors.vectors(part))]
    writer.list_in("team/project", "main", entries)
    return digests


def name_of_pack(writer: PackWriter, digests: Sequence[bytes], vectors: VectorStore) -> str:
    return sealed(packed([writer.keyed(digest) for digest in digests], vectors.vectors(digests))).name


def test_parents_that_come_before_their_leaves_are_used_once_those_are_there(team: Team) -> None:
    digests = publish_parents_first(team, HashEmbedder())
    index = team.clone("laptop", team.store())
    report = updated(index)

    assert (report.embedded, report.fused, report.pulled) == (0, 0, len(digests))
    assert stored(index.folder).keys() == set(digests)
    assert report.team.startswith(f"{len(digests)} of {len(digests)} vectors came")


def test_parents_whose_leaves_are_computed_here_are_used_as_well(team: Team) -> None:
    digests = publish_parents_first(team, HashEmbedder(), n_leaves=3)
    index = team.clone("laptop", team.store())
    report = updated(index)

    assert report.embedded == report.chunks - 3
    assert (report.fused, report.pulled) == (0, len(digests) - report.embedded)


def test_parents_that_lie_are_found_out_when_they_can_be_checked(team: Team) -> None:
    publish_parents_first(team, Liar())
    index = team.clone("laptop", team.store())
    report = updated(index)
    alone = reference()

    assert report.fused > 0
    assert "1 pack held other vectors than the texts give and was not used" in report.team
    assert stored(index.folder).keys() == alone.keys()


def test_no_more_than_a_few_are_kept_until_then(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.sharing.MOST_WAITING", 0)
    publish_parents_first(team, HashEmbedder())
    report = updated(team.clone("laptop", team.store()))

    assert report.embedded == 0
    assert report.fused > 0
