"""The bytes of a node's vectors: a wide coder's memories take half, and say the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from indexer import Index, Query, Vectors
from indexer.damage import DamagedError, seal
from indexer.vector_blobs import WIDE, sealed, unsealed

DIGEST = b"d" * 16
BODY = "def {name}(x):\n    return x + {number}\n"
Row = np.ndarray


def memory(width: int, n: int = 8) -> Row:
    spread = np.random.default_rng(width).standard_normal((n, width)) * np.geomspace(1e-3, 30, n)[:, None]
    return spread.astype(np.float16)


@pytest.mark.parametrize("row", [memory(WIDE - 1), memory(64), memory(2_000, 1)[0]], ids=str)
def test_what_is_not_wide_is_kept_to_the_bit(row: Row) -> None:
    blob = sealed(row, DIGEST)
    assert len(blob) == row.nbytes + 4
    np.testing.assert_array_equal(unsealed(blob, DIGEST, row.shape), row)


@pytest.mark.parametrize("width", [WIDE, 896, 1_536, 3_584])
def test_a_wide_memory_takes_half_and_points_where_it_did(width: int) -> None:
    row = memory(width)
    blob = sealed(row, DIGEST)
    assert len(blob) < 0.51 * row.nbytes
    found = unsealed(blob, DIGEST, row.shape)
    assert found.dtype == np.float16
    for exact, read in zip(row.astype(np.float64), found.astype(np.float64), strict=True):
        assert exact @ read / np.linalg.norm(exact) / np.linalg.norm(read) > 0.9999
    assert sealed(found, DIGEST) == blob  # stored, read, and stored again it is the same


def test_one_of_zeros_and_one_of_no_numbers_are_what_they_were() -> None:
    for row in (np.zeros((2, WIDE), np.float16), np.full((2, WIDE), np.inf, np.float16)):
        np.testing.assert_array_equal(unsealed(sealed(row, DIGEST), DIGEST, row.shape), row)


def test_a_wide_memory_of_before_is_still_read() -> None:
    row = memory(896)
    np.testing.assert_array_equal(unsealed(seal(row.tobytes(), DIGEST), DIGEST, row.shape), row)


@pytest.mark.parametrize("shape", [(8, 895), (7, 896), (16, 896), (8 * 896,), (900 * 8,), (8, 900)], ids=str)
def test_a_blob_of_another_shape_is_damage(shape: tuple[int, ...]) -> None:
    with pytest.raises(DamagedError):
        unsealed(sealed(memory(896), DIGEST), DIGEST, shape)
    with pytest.raises(DamagedError):
        unsealed(sealed(memory(896), DIGEST), b"e" * 16, (8, 896))


class WideEmbedder:
    """Vectors as wide as a 0.5B coder's, drawn by the text."""

    fingerprint = "wide-1"

    def embed(self, texts: Sequence[str]) -> Vectors:
        drawn = [np.random.default_rng(list(text.encode())).standard_normal((8, 896)) for text in texts]
        return self._vectors(np.stack(drawn))

    def fuse(self, groups: Sequence[Row]) -> Vectors:
        return self._vectors(np.stack([group.astype(np.float64).mean(0) for group in groups]))

    def _vectors(self, memories: Row) -> Vectors:
        keys = memories[:, 0, :32]
        keys = keys / np.linalg.norm(keys, axis=1, keepdims=True)
        return Vectors(keys.astype(np.float16), memories.astype(np.float16))


def hits_of(index: Index, text: str) -> dict[tuple[str, str], np.ndarray]:
    """(path, level) -> memory, of what is found for a text."""
    key = WideEmbedder().embed([text]).keys[0].astype(np.float32)
    hits = index.search(Query("main.py", "from pkg.b import b\nb(", "\n", key), 12)
    return {(hit.path, hit.level): hit.memory for hit in hits}


@pytest.fixture
def index(open_index: Callable[..., Index], write: Callable[[str, str | bytes], Path]) -> Index:
    for name in "abc":
        write(f"pkg/{name}.py", BODY.format(name=name, number=ord(name)))
    index = open_index(WideEmbedder())
    index.update()
    return index


def test_an_index_of_wide_memories_answers_with_them_and_is_sound(index: Index) -> None:
    assert index.verify()
    text = BODY.format(name="b", number=ord("b")).rstrip()
    found = hits_of(index, text)
    assert {path for path, _ in found} >= {"pkg/a.py", "pkg/b.py", "pkg"}
    exact = WideEmbedder().embed([text]).memories[0].ravel().astype(float)
    read = found["pkg/b.py", "chunk"].ravel().astype(float)
    assert exact @ read / np.linalg.norm(exact) / np.linalg.norm(read) > 0.9999


def test_an_open_document_has_the_memories_of_its_file_to_the_bit(index: Index, root: Path) -> None:
    file = root / "pkg/b.py"
    for number in (98, 980):  # as on the disk, and typed
        text = BODY.format(name="b", number=number)
        index.overlay(file, text)
        opened = hits_of(index, text.rstrip())["pkg/b.py", "chunk"]
        file.write_text(text)
        index.update()
        index.overlay(file, None)
        saved = hits_of(index, text.rstrip())["pkg/b.py", "chunk"]
        np.testing.assert_array_equal(opened, saved)
        assert not np.array_equal(saved, WideEmbedder().embed([text.rstrip()]).memories[0])
