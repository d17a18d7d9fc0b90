"""Hits made worse in a known way."""

from __future__ import annotations

import numpy as np
import pytest

from indexer import Hit
from model.evaluation.disturbance import VECTORS, replaced, seeded


def _hits(path: str, n: int = 8) -> list[Hit]:
    rng = np.random.default_rng(len(path))
    return [
        Hit(f"{path}{i}", 1, 2, "chunk", 1.0, "text", "", rng.standard_normal((4, 16)).astype(np.float16))
        for i in range(n)
    ]


HERE, ELSEWHERE = _hits("here"), _hits("elsewhere")


@pytest.mark.parametrize("name", ["random", "shuffled", "zero"])
def test_vectors_change_and_nothing_else(name: str) -> None:
    worse = VECTORS[name](HERE, ELSEWHERE, seeded("place"))
    assert [hit.path for hit in worse] == [hit.path for hit in HERE]
    assert all(hit.memory.shape == (4, 16) and hit.memory.dtype == np.float16 for hit in worse)
    assert not any(np.array_equal(a.memory, b.memory) for a, b in zip(worse, HERE, strict=True))


def test_shuffled_vectors_are_the_same_vectors() -> None:
    worse = VECTORS["shuffled"](HERE, ELSEWHERE, seeded("place"))
    rows = [{row.tobytes() for hit in hits for row in hit.memory} for hits in (HERE, worse)]
    assert rows[0] == rows[1]


def test_noise_is_as_large_as_what_it_replaces() -> None:
    worse = VECTORS["random"](HERE, ELSEWHERE, seeded("place"))
    spread = [np.concatenate([hit.memory for hit in hits]).astype(np.float32).std() for hits in (HERE, worse)]
    assert spread[1] == pytest.approx(spread[0], rel=0.2)


@pytest.mark.parametrize(("share", "n"), [(0.0, 0), (0.25, 2), (0.5, 4), (1.0, 8)])
def test_a_share_of_the_hits_is_anothers(share: float, n: int) -> None:
    worse = replaced(share)(HERE, ELSEWHERE, seeded("place"))
    assert len(worse) == 8
    assert sum(hit in ELSEWHERE for hit in worse) == n


def test_a_place_has_the_same_noise_in_every_run() -> None:
    assert seeded("place").integers(1 << 30) == seeded("place").integers(1 << 30)
    assert seeded("place").integers(1 << 30) != seeded("elsewhere").integers(1 << 30)


@pytest.mark.parametrize("name", list(VECTORS))
def test_nothing_stays_nothing(name: str) -> None:
    assert VECTORS[name]([], [], seeded("place")) == []
