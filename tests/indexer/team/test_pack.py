"""The format: what goes in comes out, the same rows give the same bytes, and nothing strange is believed."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save

from indexer import Vectors
from indexer.team.pack import (
    PackError,
    as_shared,
    keyed,
    name_of,
    packed,
    parts,
    read_index,
    read_pack,
    sealed,
)
from indexer.team.refs import PackEntry, Ref, listed, ref_path, secret_key, written

KEY = secret_key("correct horse battery staple")


def some_vectors(
    n: int, seed: int = 0, d_key: int = 32, m: int = 2, d_memory: int = 8
) -> tuple[list[bytes], Vectors]:
    draw = np.random.default_rng(seed)
    keys = draw.standard_normal((n, d_key))
    keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    memories = 10 * draw.standard_normal((n, m, d_memory))
    return [draw.bytes(16) for _ in range(n)], Vectors(keys.astype(np.float16), memories.astype(np.float16))


def test_what_is_packed_is_read_as_everybody_has_it() -> None:
    digests, vectors = some_vectors(50)
    rows = packed([keyed(digest, KEY) for digest in digests], vectors)
    pack = sealed(rows)
    read = read_pack(pack.content, pack.name)
    index = read_index(pack.index, pack.index_name)

    assert sealed(read) == pack
    assert np.array_equal(read.vectors().keys, as_shared(vectors).keys)
    assert np.array_equal(read.vectors().memories, as_shared(vectors).memories)
    assert np.allclose(np.linalg.norm(read.vectors().keys.astype(np.float32), axis=1), 1, atol=1e-3)
    assert index.rows_of({keyed(digests[7], KEY), bytes(16)}) == {keyed(digests[7], KEY): 7}
    assert index.rows_of(digests) == {}, "the index's own digests say nothing in the store"


def test_vectors_of_zeros_and_large_ones_survive_and_infinite_ones_are_refused() -> None:
    digests, vectors = some_vectors(2)
    zeros = Vectors(vectors.keys, np.zeros_like(vectors.memories))
    large = Vectors(vectors.keys, np.full_like(vectors.memories, 30_000))
    infinite = Vectors(vectors.keys, np.full_like(vectors.memories, np.inf))

    assert not as_shared(zeros).memories.any()
    assert np.allclose(as_shared(large).memories, 30_000, rtol=1e-3)
    with pytest.raises(PackError, match="finite"):
        packed(digests, infinite)


def test_a_pack_has_64_megabytes_at_most() -> None:
    _, vectors = some_vectors(1, d_key=256, m=8, d_memory=256)
    cuts = list(parts(100_000, vectors))

    assert [cut.start for cut in cuts] == [0, *(cut.stop for cut in cuts[:-1])]
    assert cuts[-1].stop == 100_000
    assert 26_000 < cuts[0].stop < 28_000


ROWS = packed(*some_vectors(4))
SOUND = {name: getattr(ROWS, name) for name in ("digests", "keys", "memories", "scales")}


@pytest.mark.parametrize(
    "strange",
    [
        {},
        {**SOUND, "text": np.zeros(3, np.uint8)},
        {**SOUND, "keys": ROWS.keys.astype(np.int16)},
        {**SOUND, "keys": ROWS.keys[:3]},
        {**SOUND, "keys": ROWS.keys[0]},
        {**SOUND, "memories": ROWS.memories[:, :1]},
        {**SOUND, "digests": ROWS.digests[:, :8]},
        {**SOUND, "digests": ROWS.digests.astype(np.int64)},
        {**SOUND, "scales": np.full_like(ROWS.scales, np.nan)},
        {**SOUND, "scales": np.full_like(ROWS.scales, 1e9)},
        {**SOUND, "scales": -ROWS.scales},
        {**SOUND, "keys": np.zeros((4, 0), np.int8)},
        {name: values[:0] for name, values in SOUND.items()},
    ],
)
def test_shapes_and_numbers_that_no_pack_has_are_refused(strange: dict[str, np.ndarray]) -> None:
    content = save(strange)

    with pytest.raises(PackError):
        read_pack(content, name_of(content))


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 8, b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}", b'\x09\0\0\0\0\0\0\0{"a":[[[[' + b"[" * 1000],
)
def test_bytes_that_are_nothing_are_refused(content: bytes) -> None:
    for read in (read_pack, read_index):
        with pytest.raises(PackError):
            read(content, name_of(content))
    with pytest.raises(PackError):
        listed("path", content, KEY)


def test_a_ref_holds_for_its_place_and_its_secret() -> None:
    entries = (PackEntry("a" * 64, "b" * 64, 3, 300), PackEntry("c" * 64, "d" * 64, 4, 400))
    path = ref_path("f" * 16, "team/project", "main")
    content = written(path, Ref(entries), KEY)

    assert listed(path, content, KEY).packs == entries
    for place, key in ((ref_path("f" * 16, "team/project", "other"), KEY), (path, secret_key("x" * 16))):
        with pytest.raises(PackError, match="secret"):
            listed(place, content, key)
    with pytest.raises(PackError, match="secret"):
        listed(path, content.replace(b'"rows": 3', b'"rows": 5'), KEY)
    strange = written(path, Ref((PackEntry("../../etc/passwd", "b" * 64, 3, 300),)), KEY)
    with pytest.raises(PackError, match="another kind"):
        listed(path, strange, KEY)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a/b", "a/b"),
        ("../../x", "x"),
        ("/etc", "etc"),
        ("", "unnamed"),
        ("ä b", "--b"),
        ("..", "unnamed"),
        ("x" * 300, "x" * 100),
    ],
)
def test_names_cannot_leave_their_folder(name: str, plain: str) -> None:
    assert ref_path("f", name, "main") == f"v1/f/refs/{plain}/main.json"


def test_a_short_secret_is_none() -> None:
    with pytest.raises(ValueError, match="fewer than 16"):
        secret_key("  short secret   ")
