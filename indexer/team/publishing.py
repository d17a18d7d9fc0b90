"""Writing packs: CI's part. Objects that never change are created, and at last one ref is swapped for a longer one.

A run that is killed leaves objects that no ref lists, which harm nobody and are found again by their names. Two runs at
once lose nothing: who comes second reads the ref again and lists both.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.database import Database
from indexer.hierarchy import Vectors
from indexer.team.bucket import AbsentObjectError, Bucket, LostRaceError
from indexer.team.pack import MAX_INDEX_BYTES, as_shared, keyed, name_of, packed, parts, read_index, sealed
from indexer.team.refs import (
    MAX_REF_BYTES,
    PackEntry,
    Ref,
    SignaturesEntry,
    index_path,
    listed,
    pack_path,
    package_path,
    ref_path,
    signatures_path,
    written,
)
from indexer.vectors import VectorStore

_READ_AT_ONCE = 27_000  # nodes: with the widths of the fuser that is shipped, one pack
_CHANGED_AT_ONCE = 400  # nodes of one transaction
_MOST_PACKS = 16  # of a branch beside twice the full ones: a reader asks for each
_SPARE_ROWS = 10_000
_ATTEMPTS = 20
_LONGEST_PAUSE = 0.5  # seconds between two attempts


@dataclass(frozen=True)
class Published:
    """What a run wrote. `known`: nodes that the ref listed before."""

    nodes: int
    known: int
    packs: int
    bytes: int


class PackWriter:
    """Writes packs of one fingerprint, which no ref lists yet; see `list_in`."""

    def __init__(self, bucket: Bucket, fingerprint: str, key: bytes) -> None:
        """`bucket`: opened with `writes`; `key`: see `refs.secret_key`."""
        self.bucket = bucket
        self.bytes = 0
        self.fingerprint = fingerprint
        self.key = key

    def known(self, repository: str, branch: str) -> tuple[PackEntry, ...]:
        """The packs that a ref lists, none where there is no ref. Raises PackError and BucketError."""
        return self._ref(ref_path(self.fingerprint, repository, branch))[0].packs

    def keyed(self, digest: bytes) -> bytes:
        """A digest as the store knows it."""
        return keyed(digest, self.key)

    def digests(self, entries: Iterable[PackEntry]) -> set[bytes]:
        """Keyed digests in some packs."""
        found: set[bytes] = set()
        for entry in entries:
            path = index_path(self.fingerprint, entry.index)
            index = read_index(self.bucket.get(path, MAX_INDEX_BYTES)[0], entry.index)
            found.update(row.tobytes() for row in index.digests)
        return found

    def write(self, digests: Sequence[bytes], vectors: Vectors) -> list[PackEntry]:
        """Packs of these nodes, of 64 MB at most; `digests` are the index's own, not keyed. What is there already, of
        the same rows in the same order, is not written again."""
        return self.write_keyed([self.keyed(digest) for digest in digests], vectors)

    def write_keyed(self, digests: Sequence[bytes], vectors: Vectors) -> list[PackEntry]:
        """The same of digests as the store knows them."""
        return [
            self._write(digests[part], Vectors(vectors.keys[part], vectors.memories[part]))
            for part in parts(len(digests), vectors)
        ]

    def list_in(
        self, repository: str, branch: str, new: Sequence[PackEntry], instead: Collection[PackEntry] = ()
    ) -> None:
        """Have a ref list some packs more, and no longer those that they stand `instead` of. Raises LostRaceError after
        many attempts."""
        gone = {entry.pack for entry in instead}

        def longer(ref: Ref) -> Ref:
            kept = {entry.pack: entry for entry in ref.packs if entry.pack not in gone}
            together = kept | {entry.pack: entry for entry in new}
            return replace(ref, packs=tuple(sorted(together.values(), key=lambda entry: entry.pack)))

        self._change(ref_path(self.fingerprint, repository, branch), longer)

    def write_signatures(self, package: str, version: str, content: bytes) -> bool:
        """Have the ref of a public package list these signatures (`signatures.folded`); whether that is news. Raises
        LostRaceError after many attempts."""
        name = name_of(content)
        if self.bucket.create(signatures_path(self.fingerprint, name), content):
            self.bytes += len(content)
        entry = SignaturesEntry(name, len(content))
        path = package_path(self.fingerprint, package, version)
        return self._change(path, lambda ref: replace(ref, signatures=entry))

    def _change(self, path: str, changed: Callable[[Ref], Ref]) -> bool:
        """Swap a ref for another; whether it was one."""
        for attempt in range(_ATTEMPTS):
            before, e_tag = self._ref(path)
            after = changed(before)
            if after == before and e_tag is not None:
                return False
            try:
                self.bucket.swap(path, written(path, after, self.key), e_tag)
                return True
            except LostRaceError:
                time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.02 * 2**attempt)))
        raise LostRaceError(
            "Others published all the time: the packs are written, but no branch lists them. Try again."
        )

    def _write(self, digests: Sequence[bytes], vectors: Vectors) -> PackEntry:
        pack = sealed(packed(digests, vectors))
        # The index last: who finds one finds its pack.
        for path, content in (
            (pack_path(self.fingerprint, pack.name), pack.content),
            (index_path(self.fingerprint, pack.index_name), pack.index),
        ):
            if self.bucket.create(path, content):
                self.bytes += len(content)
        return PackEntry.of(pack)

    def _ref(self, path: str) -> tuple[Ref, str | None]:
        try:
            content, e_tag = self.bucket.get(path, MAX_REF_BYTES)
        except AbsentObjectError:
            return Ref(), None
        return listed(path, content, self.key), e_tag


def publish(folder: Path, writer: PackWriter, repository: str, branch: str) -> Published:
    """Have a branch list all that an index has vectors of. `folder`: of its store, which is up to date.

    What is new becomes packs; once there are too many of them, or most of what they hold is gone, all is written anew.
    The store then has what the packs hold, so that publisher and readers have the same vectors to the bit. Raises
    BucketError, PackError, CacheError and sqlite3.DatabaseError.
    """
    db = Database(folder)
    with closing(db):
        vectors = VectorStore(db)
        ids = vectors.living()
        before = writer.known(repository, branch)
        known = writer.digests(before)
        new = [digest for digest in ids if writer.keyed(digest) not in known]
        n_known = len(ids) - len(new)
        is_worn = (
            len(before) >= _MOST_PACKS + 2 * len(ids) // _READ_AT_ONCE
            or sum(entry.rows for entry in before) > 2 * len(ids) + _SPARE_ROWS
        )
        if new and is_worn:
            new = list(ids)
        portions = [new[start : start + _READ_AT_ONCE] for start in range(0, len(new), _READ_AT_ONCE)]
        entries = [entry for portion in portions for entry in _written(vectors, ids, portion, writer)]
        writer.list_in(repository, branch, entries, instead=before if new and is_worn else ())
    return Published(len(new), n_known, len(entries), writer.bytes)


def _written(
    vectors: VectorStore, ids: Mapping[bytes, int], digests: Sequence[bytes], writer: PackWriter
) -> list[PackEntry]:
    """Packs of some nodes; the index has their vectors as the packs have them from now on."""
    own = vectors.vectors(digests)
    entries, shared = writer.write(digests, own), as_shared(own)
    for start in range(0, len(digests), _CHANGED_AT_ONCE):
        here = slice(start, start + _CHANGED_AT_ONCE)
        if not np.array_equal(own.memories[here], shared.memories[here]):
            kept = [ids[digest] for digest in digests[here]]
            vectors.set_vectors(kept, Vectors(shared.keys[here], shared.memories[here]))
    return entries
