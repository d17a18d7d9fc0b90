"""A monorepo's chunks, embedded by many and written as packs by one. Pure but for files and the bucket.

Paths go out in portions (`portions`); whoever gets one reads, chunks and embeds its files (`LeafWorker`) and leaves out
what the bucket has; what comes back is written as packs and listed (`collected`), again and again, so that a killed run
is gone on with: what is listed is not embedded again. Only leaves are embedded so; the nodes above them are made of
what was pulled, by who publishes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.entries import NO_STAMP, entry_of
from indexer.files import Found, Skipped, look, read, walk
from indexer.hierarchy import DIGEST_BYTES, Embedder, Vectors, leaf_text
from indexer.rules import Rules
from indexer.settings import IndexSettings
from indexer.team.pack import MAX_ROWS, keyed
from indexer.team.pack import parts as parts_of
from indexer.team.publishing import PackWriter

PORTION_BYTES, PORTION_FILES = 200_000, 100  # of source: some 200 chunks, a second or two of one processor
FIRST_LIST_SECONDS, LIST_SECONDS = (
    10.0,
    300.0,
)  # of work are lost at most when a run is killed: soon, and later on
_MANY_PARTS = 16


@dataclass(frozen=True)
class EmbeddedLeaves:
    """Leaves in any order. `digests`: uint8 [n, 16], keyed; `keys` float16 [n, d_key]; `memories` float16 [n, m,
    d_memory]."""

    digests: np.ndarray
    keys: np.ndarray
    memories: np.ndarray

    def __len__(self) -> int:
        return len(self.digests)


class DigestSet:
    """Digests by the million, 16 bytes each: sorted arrays instead of a set."""

    def __init__(self, digests: Iterable[bytes] = ()) -> None:
        self._parts = [_sorted(np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES))]

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def array(self) -> np.ndarray:
        """All of them: uint8 [n, 16]."""
        return np.concatenate(self._parts).view(np.uint8).reshape(-1, DIGEST_BYTES)

    def take_in(self, digests: np.ndarray) -> np.ndarray:
        """Rows of the first of each of these, uint8 [n, 16], that were not in it; they are from now on."""
        rows = np.unique(_as_items(digests), return_index=True)[1]
        rows = np.sort(rows[~self.has(digests[rows])])
        if len(rows):
            self._parts.append(_sorted(digests[rows]))
        if len(self._parts) > _MANY_PARTS:
            self._parts = [np.sort(np.concatenate(self._parts))]
        return rows

    def has(self, digests: np.ndarray) -> np.ndarray:
        """bool [n] of uint8 [n, 16]."""
        wanted = _as_items(digests)
        found = np.zeros(len(wanted), bool)
        for part in self._parts:
            if len(part):
                at = np.minimum(np.searchsorted(part, wanted), len(part) - 1)
                found |= part[at] == wanted
        return found


def portions(root: Path, settings: IndexSettings) -> Iterator[list[str]]:
    """Paths of the files that count, a few at a time, in the order in which they are found."""
    rules, portion, n_bytes = Rules(root, settings), list[str](), 0
    for found in walk(root, rules, settings):
        if isinstance(found, Skipped) or found is None:
            continue
        portion.append(found.path)
        n_bytes += found.size
        if n_bytes >= PORTION_BYTES or len(portion) >= PORTION_FILES:
            yield portion
            portion, n_bytes = [], 0
    if portion:
        yield portion


class LeafWorker:
    """Reads, chunks and embeds portions. Every file passes the same rules as in an index, secrets' among them."""

    def __init__(
        self, root: Path, settings: IndexSettings, embedder: Embedder, key: bytes, known: np.ndarray
    ) -> None:
        """`key`: of digests, see `refs.secret_key`; `known`: uint8 [n, 16], keyed, of what need not be embedded."""
        self._root, self._settings = root, settings
        self._embedder = embedder
        self._key = key
        self._seen = DigestSet()
        self._seen.take_in(known)
        self._rules = Rules(root, settings)

    def run(self, paths: Sequence[str]) -> EmbeddedLeaves | None:
        """What is new in a portion; None for nothing."""
        texts = {keyed(digest, self._key): text for path in paths for digest, text in self._leaves(path)}
        digests = np.frombuffer(b"".join(texts), np.uint8).reshape(-1, DIGEST_BYTES)
        rows = self._seen.take_in(digests)
        if not len(rows):
            return None
        said = list(texts.values())
        wanted, step = [said[row] for row in rows], self._settings.batch_texts
        made = [self._embedder.embed(wanted[at : at + step]) for at in range(0, len(wanted), step)]
        keys, memories = zip(*((part.keys, part.memories) for part in made), strict=True)
        return EmbeddedLeaves(digests[rows], np.concatenate(keys), np.concatenate(memories))

    def _leaves(self, path: str) -> Iterator[tuple[bytes, str]]:
        found = look(self._root, path, self._rules, self._settings)
        content = read(self._root, found, self._settings) if isinstance(found, Found) else None
        if isinstance(content, bytes):
            entry = entry_of(
                path, content.decode("utf-8"), NO_STAMP, self._embedder.fingerprint, self._settings
            )
            yield from ((place.node.digest, leaf_text(place.chunk)) for place in entry.places if place.chunk)


@dataclass(frozen=True)
class Collected:
    """What a run wrote."""

    leaves: int
    packs: int


class _Packing:
    """What has come and is in no pack yet, and what was written so far."""

    def __init__(self, writer: PackWriter, repository: str, branch: str) -> None:
        self._writer = writer
        self._where = repository, branch
        self._waiting: list[EmbeddedLeaves] = []
        self.written = Collected(0, 0)

    @property
    def n_waiting(self) -> int:
        return sum(map(len, self._waiting))

    def add(self, leaves: EmbeddedLeaves, rows: np.ndarray) -> None:
        if len(rows):
            self._waiting.append(EmbeddedLeaves(*(part[rows] for part in _tensors(leaves))))

    def write(self) -> None:
        """All of it, listed at once."""
        if not self._waiting:
            return
        whole = EmbeddedLeaves(*map(np.concatenate, zip(*map(_tensors, self._waiting), strict=True)))
        self._waiting.clear()
        digests = [row.tobytes() for row in whole.digests]
        entries = self._writer.write_keyed(digests, Vectors(whole.keys, whole.memories))
        self._writer.list_in(*self._where, entries)
        before = self.written
        self.written = Collected(before.leaves + len(whole), before.packs + len(entries))


def collected(
    parts: Iterable[EmbeddedLeaves],
    writer: PackWriter,
    repository: str,
    branch: str,
    seen: DigestSet,
    pack_rows: int | None = None,
    list_seconds: float = FIRST_LIST_SECONDS,
) -> Collected:
    """Write what comes as packs: full ones, and what there is after so many seconds, of which there are more each time.
    No more than one pack is in memory. `seen`: what the bucket has. Raises BucketError and PackError."""
    packing, began = _Packing(writer, repository, branch), time.monotonic()
    for part in parts:
        packing.add(part, seen.take_in(part.digests))  # two workers may have met the same text
        full = pack_rows or next(parts_of(MAX_ROWS, Vectors(part.keys, part.memories))).stop
        is_late = time.monotonic() - began > list_seconds
        if is_late or packing.n_waiting >= full:
            packing.write()
            began = time.monotonic()
        if is_late:
            list_seconds = min(2 * list_seconds, LIST_SECONDS)
    packing.write()
    return packing.written


def _tensors(leaves: EmbeddedLeaves) -> tuple[np.ndarray, ...]:
    return leaves.digests, leaves.keys, leaves.memories


def _as_items(digests: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(digests).view(f"S{DIGEST_BYTES}").reshape(-1)


def _sorted(digests: np.ndarray) -> np.ndarray:
    return np.sort(_as_items(digests))
