"""Reading packs: everybody's part. A thread asks the store, and the update takes what comes between two batches.

At most two refs, then for each pack that they list one index, which is kept, and one read where something in it is
wanted. Whatever is wrong with the store, a pack or the network ends in one sentence, and in vectors computed here.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from indexer.cache_folder import make_private, write_whole
from indexer.reading import ReadingError, read_regular
from indexer.sharing import PackageStore, Pull, SharedPart
from indexer.team.bucket import AbsentObjectError, Bucket, BucketError
from indexer.team.pack import (
    MAX_INDEX_BYTES,
    MAX_PACK_BYTES,
    PackError,
    PackIndex,
    keyed,
    read_index,
    read_pack,
    read_rows,
)
from indexer.team.refs import MAX_REF_BYTES, PackEntry, index_path, listed, pack_path

NOTHING_YET = "The team's store has nothing of this repository yet."
# Between two pulls of one index: while much is computed here, every saved file breaks an update off and begins another.
AGAIN_SECONDS, AFTER_TROUBLE_SECONDS = 60.0, 300.0
_WAITING_PARTS = 2  # packs in memory that are not yet taken in
# Of a large pack few rows may be wanted. A request more costs as much as so many bytes, and a node as many as it takes
# as long to compute.
_REQUEST_BYTES, _NODE_BYTES = 250_000, 2_000_000
_MOST_RANGES = 32
_CLOSE_BYTES = 100_000  # between two ranges that are read as one


class TeamStore:
    """`TeamVectors` in an object store. Makes a new connection for each pull; remembers which packs lied."""

    def __init__(
        self,
        fingerprint: str,
        paths: Sequence[str],
        enter: Callable[[], tuple[Bucket, bytes]],
        patience: float,
        packages: PackageStore | None = None,
    ) -> None:
        """`paths`: of the refs that are read, the best first. `enter`: opens the store and gives the key; called on
        another thread; raises BucketError. `patience`: seconds."""
        self.patience = patience
        self.packages = packages
        self._fingerprint = fingerprint
        self._paths = tuple(dict.fromkeys(paths))
        self._enter = enter
        self._distrusted: set[str] = set()
        self._last: StorePull | None = None
        self._asked_at = 0.0

    def pull(self, digests: Collection[bytes], kept: Path) -> Pull | None:
        if self._last and time.monotonic() - self._asked_at < self._last.rest_seconds:
            return None
        self._asked_at = time.monotonic()
        run = StorePull(self._fingerprint, self._paths, self._enter, digests, kept, self._distrusted)
        run.start()
        self._last = run
        return run


class StorePull:
    """See `sharing.Pull`. Its own thread reads; parts and flags are handed over by queue and events."""

    def __init__(
        self,
        fingerprint: str,
        paths: Sequence[str],
        enter: Callable[[], tuple[Bucket, bytes]],
        digests: Iterable[bytes],
        kept: Path,
        distrusted: set[str],
    ) -> None:
        self.problem = ""
        self._was_cut = False
        self._fingerprint, self._paths, self._enter = fingerprint, paths, enter
        self._wanted: dict[bytes, bytes] | tuple[bytes, ...] = tuple(digests)
        self._kept = kept
        self._distrusted = distrusted
        self._parts: queue.Queue[SharedPart] = queue.Queue(_WAITING_PARTS)
        self._begun, self._done, self._stopped = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="hef-team", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def has_begun(self) -> bool:
        return self._begun.is_set()

    @property
    def is_over(self) -> bool:
        return self._done.is_set() and self._parts.empty()

    @property
    def rest_seconds(self) -> float:
        """How long the store is left alone after this; not at all where somebody broke it off that was going well."""
        if self.problem or not self.has_begun:
            return AFTER_TROUBLE_SECONDS
        return 0.0 if self._was_cut else AGAIN_SECONDS

    def part(self, seconds: float) -> SharedPart | None:
        with suppress(queue.Empty):
            return self._parts.get(timeout=0 if self._done.is_set() else seconds)
        return None

    def distrust(self, pack: str) -> None:
        self._distrusted.add(pack)

    def stop(self, *, torn: bool = False) -> None:
        self._was_cut = torn or not self.is_over
        self._stopped.set()

    def _run(self) -> None:
        try:
            self._read(*self._enter())
        except (BucketError, PackError, OSError) as error:
            self.problem = self.problem or _said(error)
        finally:
            self._begun.set()
            self._done.set()

    def _read(self, bucket: Bucket, key: bytes) -> None:
        wanted = {keyed(digest, key): digest for digest in self._wanted}
        entries = self._entries(bucket, key)
        self._begun.set()
        make_private(self._kept)
        for entry in entries.values():
            if self._stopped.is_set() or not wanted:
                break
            try:
                self._read_pack(bucket, entry, wanted)
            except (PackError, AbsentObjectError) as error:  # of this one; the others may be sound
                self.problem = self.problem or _said(error)
        self._forget_all_but({entry.index for entry in entries.values()})

    def _entries(self, bucket: Bucket, key: bytes) -> dict[str, PackEntry]:
        found: dict[str, PackEntry] = {}
        n_refs = 0
        for path in self._paths:
            with suppress(AbsentObjectError):
                content, _ = bucket.get(path, MAX_REF_BYTES)
                self._begun.set()
                found |= {entry.pack: entry for entry in listed(path, content, key).packs}
                n_refs += 1
        if not n_refs:
            self.problem = NOTHING_YET
        return {name: entry for name, entry in found.items() if name not in self._distrusted}

    def _read_pack(self, bucket: Bucket, entry: PackEntry, wanted: dict[bytes, bytes]) -> None:
        """Hand on what is wanted of a pack, and want it no longer."""
        index = self._index(bucket, entry)
        rows = index.rows_of(wanted)
        if not rows:
            return
        names, at = list(rows), np.array(list(rows.values()))
        ranges = index.ranges(at, _CLOSE_BYTES)
        some = sum(end - start for start, end in ranges) + _REQUEST_BYTES * len(ranges)
        if len(ranges) <= _MOST_RANGES and some < entry.bytes:
            parts = bucket.get_ranges(pack_path(self._fingerprint, entry.pack), ranges)
            stored = read_rows(index, at, dict(zip(ranges, parts, strict=True)))
        elif entry.bytes > _NODE_BYTES * len(names):
            return  # computed sooner than read
        else:
            content, _ = bucket.get(pack_path(self._fingerprint, entry.pack), MAX_PACK_BYTES)
            stored = read_pack(content, entry.pack).at(at)
        if [row.tobytes() for row in stored.digests] != names:
            raise PackError("other rows than its index says")
        self._hand_on(SharedPart(entry.pack, tuple(wanted.pop(name) for name in names), stored.vectors()))

    def _hand_on(self, part: SharedPart) -> None:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._parts.put(part, timeout=0.1)
                return

    def _index(self, bucket: Bucket, entry: PackEntry) -> PackIndex:
        file = self._kept / f"{entry.index}.safetensors"
        with suppress(ReadingError, PackError):
            return read_index(read_regular(file, MAX_INDEX_BYTES), entry.index)
        content, _ = bucket.get(index_path(self._fingerprint, entry.index), MAX_INDEX_BYTES)
        index = read_index(content, entry.index)
        with suppress(OSError):  # a full disk: it is read again next time
            write_whole(file, content)
        return index

    def _forget_all_but(self, names: Collection[str]) -> None:
        with suppress(OSError):
            for file in self._kept.glob("*.safetensors"):
                if file.stem not in names:
                    os.unlink(file)


def _said(error: Exception) -> str:
    if isinstance(error, PackError):
        return f"The team's store holds an object that is not what it should be ({error}); it was not used."
    if isinstance(error, AbsentObjectError):
        return "The team's store lacks an object that a branch lists."
    return str(error) if isinstance(error, BucketError) else "What the team's store gave cannot be kept."
