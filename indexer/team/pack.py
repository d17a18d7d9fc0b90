"""The format of what a team shares: packs of vectors by digest, and an index of each, both as safetensors.

    v1/<fingerprint>/packs/<sha256>.safetensors      digests, keys, memories, scales; about 64 MB
    v1/<fingerprint>/indexes/<sha256>.safetensors    digests and sums of one pack's rows

Both are named by the SHA-256 of their bytes. Vectors are int8 with a float32 scale each: half of float16, memories to a
cosine of 0.9999 (`tests/indexer/team/test_real_vectors.py` holds it). Digests are keyed with the team's secret,
so that nobody without it can ask the bucket whether somebody has a text. There is no text in a pack, and no path.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from indexer.hierarchy import DIGEST_BYTES, Vectors

PACK_BYTES = 64_000_000  # of a full one
MAX_PACK_BYTES = 2 * PACK_BYTES  # that is read
MAX_INDEX_BYTES = 64_000_000
MAX_ROWS = 2_000_000
SUM_BYTES = 8
_LONGEST = 127.0  # the largest number of an int8, in absolute value
_MAX_WIDTH = 65_536
_MIN_SCALE = 1e-12  # of a vector of zeros
_TENSORS = ("digests", "keys", "memories", "scales")
_VALUES = ("keys", "memories", "scales")
_ABOUT = "pack"  # in the metadata of an index


class PackError(ValueError):
    """An object is not what it says it is; the message says how and quotes nothing of it."""


@dataclass(frozen=True)
class StoredRows:
    """Vectors of n nodes as they are stored.

    `digests` uint8 [n, 16], keyed; `keys` int8 [n, d_key]; `memories` int8 [n, m, d_memory]; `scales` float32
    [n, 1 + m]: of the key, then of each memory vector.
    """

    digests: np.ndarray
    keys: np.ndarray
    memories: np.ndarray
    scales: np.ndarray

    def __len__(self) -> int:
        return len(self.digests)

    def at(self, rows: np.ndarray) -> StoredRows:
        """Some of the rows, in this order."""
        return StoredRows(self.digests[rows], self.keys[rows], self.memories[rows], self.scales[rows])

    def vectors(self) -> Vectors:
        """What everybody who pulls these rows has: float16, keys of unit length. The same to the bit everywhere."""
        keys = self.keys.astype(np.float32)
        keys /= np.maximum(np.linalg.norm(keys, axis=1, keepdims=True), _MIN_SCALE)
        memories = self.memories.astype(np.float32) * self.scales[:, 1:, None]
        return Vectors(keys.astype(np.float16), memories.astype(np.float16))

    def sums(self) -> np.ndarray:
        """uint8 [n, 8]: a sum over each row, by which a few rows are checked where the whole pack is not read."""
        parts = [_bytes_of(part) for part in (self.keys, self.memories, self.scales)]
        joined = [b"".join(row) for row in zip(*parts, strict=True)]
        found = b"".join(hashlib.blake2b(row, digest_size=SUM_BYTES).digest() for row in joined)
        return np.frombuffer(found, np.uint8).reshape(len(self), SUM_BYTES)


@dataclass(frozen=True)
class SealedPack:
    """A pack with its index, ready to be written: names are the SHA-256 of the contents, in hex."""

    name: str
    content: bytes
    index_name: str
    index: bytes
    rows: int


@dataclass(frozen=True)
class PackIndex:
    """What is known of a pack without reading it. `places`: tensor -> (first byte, bytes of a row) in its object."""

    digests: np.ndarray  # uint8 [n, 16]
    sums: np.ndarray  # uint8 [n, 8]
    d_key: int
    m: int
    d_memory: int
    places: dict[str, tuple[int, int]]

    def rows_of(self, wanted: Iterable[bytes]) -> dict[bytes, int]:
        """Keyed digest -> its row, of those that are in the pack."""
        asked = wanted if isinstance(wanted, set | frozenset | dict) else set(wanted)
        joined = self.digests.tobytes()
        steps = range(0, len(joined), DIGEST_BYTES)
        return {
            digest: start // DIGEST_BYTES
            for start in steps
            if (digest := joined[start : start + DIGEST_BYTES]) in asked
        }

    def ranges(self, rows: np.ndarray, close: int) -> list[tuple[int, int]]:
        """Where in the pack some rows lie: first byte and the byte behind, in order; what is less than `close` bytes
        apart is one range."""
        found: list[tuple[int, int]] = []
        for name in _VALUES:
            first, step = self.places[name]
            for row in sorted(rows.tolist()):
                start = first + row * step
                if found and found[-1][0] <= start <= found[-1][1] + close:
                    found[-1] = (found[-1][0], start + step)
                else:
                    found.append((start, start + step))
        return found


def keyed(digest: bytes, secret: bytes) -> bytes:
    """A digest as the bucket knows it: a keyed hash, useless to who has not the team's secret (16 to 64 bytes)."""
    return hashlib.blake2b(digest, key=secret, digest_size=DIGEST_BYTES).digest()


def packed(digests: Sequence[bytes], vectors: Vectors) -> StoredRows:
    """Rows of some nodes. `digests`: keyed; `vectors`: theirs, in the same order. Raises PackError on a number that is
    not finite."""
    keys = np.asarray(vectors.keys, np.float32)
    memories = np.asarray(vectors.memories, np.float32)
    if not (np.isfinite(keys).all() and np.isfinite(memories).all()):
        raise PackError("a vector is not finite")
    scales = np.concatenate([np.abs(keys).max(1)[:, None], np.abs(memories).max(2)], axis=1) / _LONGEST
    scales = np.maximum(scales, _MIN_SCALE).astype(np.float32)
    names = np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), DIGEST_BYTES)
    whole_keys = np.rint(keys / scales[:, :1]).astype(np.int8)
    whole_memories = np.rint(memories / scales[:, 1:, None]).astype(np.int8)
    return StoredRows(names, whole_keys, whole_memories, scales)


def as_shared(vectors: Vectors) -> Vectors:
    """Vectors as whoever pulls them from a pack has them."""
    return packed([bytes(DIGEST_BYTES)] * len(vectors.keys), vectors).vectors()


def parts(n_rows: int, vectors_of_row: Vectors) -> Iterator[slice]:
    """Which rows go into one pack each, of `n_rows` with the widths of `vectors_of_row`: PACK_BYTES at most."""
    _, d_key = vectors_of_row.keys.shape
    _, m, d_memory = vectors_of_row.memories.shape
    step = max(1, PACK_BYTES // (DIGEST_BYTES + d_key + m * d_memory + 4 * (1 + m)))
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def sealed(rows: StoredRows) -> SealedPack:
    """A pack and its index as bytes; the same rows give the same bytes, and so the same names."""
    tensors = {name: np.ascontiguousarray(getattr(rows, name)) for name in _TENSORS}
    content = save(tensors)
    places = {name: [start, _row_bytes(tensors[name])] for name, start in _starts(content).items()}
    widths = {"d_key": rows.keys.shape[1], "m": rows.memories.shape[1], "d_memory": rows.memories.shape[2]}
    # One entry: the library writes several in an order of its own, and the same rows must give the same bytes.
    about = {_ABOUT: json.dumps(widths | {"places": places}, sort_keys=True)}
    index = save({"digests": tensors["digests"], "sums": rows.sums()}, about)
    return SealedPack(name_of(content), content, name_of(index), index, len(rows))


def name_of(content: bytes) -> str:
    """What an object is called: the SHA-256 of its bytes."""
    return hashlib.sha256(content).hexdigest()


def read_pack(content: bytes, name: str) -> StoredRows:
    """The rows of a pack. Raises PackError where it is not the one of that name, or not one of ours."""
    tensors = _loaded(content, name, MAX_PACK_BYTES)
    if tensors.keys() != set(_TENSORS):
        raise PackError("other tensors than a pack has")
    rows = StoredRows(**tensors)
    n, d_key = _shape(rows.keys, np.int8, 2)
    shape = _shape(rows.memories, np.int8, 3)
    m, d_memory = shape[1:]
    right = {"digests": (n, DIGEST_BYTES), "memories": (n, m, d_memory), "scales": (n, 1 + m)}
    if any(tensors[key].shape != wanted for key, wanted in right.items()) or rows.digests.dtype != np.uint8:
        raise PackError("shapes that do not fit each other")
    if not 0 < d_key <= _MAX_WIDTH or not 0 < m * d_memory <= _MAX_WIDTH:
        raise PackError("widths that no model has")
    return checked(rows)


def read_rows(index: PackIndex, rows: np.ndarray, parts: Mapping[tuple[int, int], bytes]) -> StoredRows:
    """Some rows of a pack that is not read whole. `parts`: what lies at `index.ranges`. Raises PackError where a row is
    not the one that the index has the sum of."""
    shapes = {"keys": (index.d_key,), "memories": (index.m, index.d_memory), "scales": (1 + index.m,)}
    values = {}
    for name in _VALUES:
        first, step = index.places[name]
        starts = [first + row * step for row in rows.tolist()]
        joined = b"".join(_within(parts, start, step) for start in starts)
        kind = np.float32 if name == "scales" else np.int8
        values[name] = np.frombuffer(joined, kind).reshape(len(rows), *shapes[name])
    found = StoredRows(index.digests[rows], **values)
    if not np.array_equal(found.sums(), index.sums[rows]):
        raise PackError("other rows than its index says")
    return checked(found)


def _within(parts: Mapping[tuple[int, int], bytes], start: int, length: int) -> bytes:
    for (first, end), part in parts.items():
        if first <= start and start + length <= end:
            return part[start - first : start - first + length]
    raise PackError("rows that were not read")


def checked(rows: StoredRows) -> StoredRows:
    """The same rows. Raises PackError where their scales are no numbers, or larger than float16 bears."""
    scales = rows.scales
    if (
        scales.dtype != np.float32
        or not np.isfinite(scales).all()
        or (scales <= 0).any()
        or (scales > 256).any()
    ):
        raise PackError("scales that are none")
    return rows


def read_index(content: bytes, name: str) -> PackIndex:
    """The index of a pack. Raises PackError where it is not the one of that name, or not one of ours."""
    tensors = _loaded(content, name, MAX_INDEX_BYTES)
    if tensors.keys() != {"digests", "sums"}:
        raise PackError("other tensors than an index has")
    n, _ = _shape(tensors["digests"], np.uint8, 2)
    if tensors["digests"].shape != (n, DIGEST_BYTES) or tensors["sums"].shape != (n, SUM_BYTES):
        raise PackError("shapes that do not fit each other")
    try:
        about = json.loads(_header(content)["__metadata__"][_ABOUT])
        widths = {key: int(about[key]) for key in ("d_key", "m", "d_memory")}
        places = {key: (int(start), int(step)) for key, (start, step) in about["places"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise PackError("no description of its pack") from None
    sizes = {
        "keys": widths["d_key"],
        "memories": widths["m"] * widths["d_memory"],
        "scales": 4 * (1 + widths["m"]),
    }
    is_sound = all(0 < width <= _MAX_WIDTH for width in (*widths.values(), *sizes.values()))
    if not is_sound or any(places.get(key, (0, 0))[1] != size for key, size in sizes.items()):
        raise PackError("widths that no model has")
    if any(not 0 <= start <= MAX_PACK_BYTES for start, _ in places.values()):
        raise PackError("places outside of its pack")
    return PackIndex(tensors["digests"], tensors["sums"], **widths, places=places)


def _loaded(content: bytes, name: str, max_bytes: int) -> dict[str, np.ndarray]:
    if len(content) > max_bytes:
        raise PackError("too large")
    if name_of(content) != name:
        raise PackError("other bytes than its name says")
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, MemoryError):
        raise PackError("no safetensors") from None


def _shape(values: np.ndarray, dtype: type, dimensions: int) -> tuple[int, ...]:
    if values.dtype != dtype or values.ndim != dimensions or not 0 < len(values) <= MAX_ROWS:
        raise PackError("a tensor of another kind")
    return values.shape


def _header(content: bytes) -> dict[str, Any]:
    (length,) = struct.unpack("<Q", content[:8])
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    return header


def _starts(content: bytes) -> dict[str, int]:
    """Tensor -> its first byte in the object."""
    (length,) = struct.unpack("<Q", content[:8])
    return {name: 8 + length + told["data_offsets"][0] for name, told in _header(content).items()}


def _row_bytes(values: np.ndarray) -> int:
    return int(values.itemsize * np.prod(values.shape[1:]))


def _bytes_of(values: np.ndarray) -> Iterator[bytes]:
    joined, step = np.ascontiguousarray(values).tobytes(), _row_bytes(values)
    return (joined[start : start + step] for start in range(0, len(joined), step))
