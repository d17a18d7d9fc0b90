"""Reading what a team's store has of a public package: its signatures, for who has it not, or has not read it yet."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from indexer.cache_folder import make_private, write_whole
from indexer.damage import CacheError
from indexer.reading import ReadingError, read_regular
from indexer.sharing import PackageAnswer
from indexer.signatures import MAX_FOLDED_BYTES, SignatureTable, unfolded
from indexer.team.bucket import AbsentObjectError, Bucket, BucketError
from indexer.team.pack import PackError, name_of
from indexer.team.pulling import AFTER_TROUBLE_SECONDS, TeamStore
from indexer.team.refs import MAX_REF_BYTES, Ref, SignaturesEntry, listed, package_path, signatures_path

_MAX_KEPT = 16  # of an index: what was used last
PATIENCE_SECONDS = 10.0  # for vectors, which are not computed where the store has none
_NOT_USED = "it was not used"


class StoredPackages:
    """`sharing.PackageStore` in an object store. Asked on one thread, which waits; a store in trouble is left alone for
    a while."""

    def __init__(
        self, fingerprint: str, enter: Callable[[], tuple[Bucket, bytes]], vector_bytes: int = 0
    ) -> None:
        """`enter`: as for `TeamStore`; `vector_bytes`: most that are taken of one package's vectors."""
        self._fingerprint = fingerprint
        self._enter = enter
        self._vector_bytes = vector_bytes
        self._not_before = 0.0
        self._trouble = ""

    def signatures(self, package: str, version: str, kept: Path) -> PackageAnswer:
        """See `PackageStore`."""
        if time.monotonic() < self._not_before:
            return PackageAnswer(None, self._trouble)
        try:
            return PackageAnswer(self._read(package, version, kept))
        except AbsentObjectError:
            return PackageAnswer(None)
        except (PackError, ValueError) as error:
            said = (
                f"The team's store holds signatures that are not what they should be ({error}); {_NOT_USED}."
            )
            return PackageAnswer(None, said)
        except (BucketError, CacheError, OSError) as error:
            known = isinstance(error, BucketError)
            self._trouble = str(error) if known else "What the team's store gave cannot be kept."
            self._not_before = time.monotonic() + AFTER_TROUBLE_SECONDS
            return PackageAnswer(None, self._trouble)

    def vectors(self, package: str, version: str) -> TeamStore | None:
        """See `PackageStore`."""
        if not self._vector_bytes or time.monotonic() < self._not_before:
            return None
        try:
            ref, path = self._ref(*self._enter(), package, version)
        except (PackError, BucketError):
            return None  # it was said of its signatures
        n_bytes = sum(entry.bytes for entry in ref.packs)
        if not 0 < n_bytes <= self._vector_bytes:
            return None
        return TeamStore(self._fingerprint, [path], self._enter, PATIENCE_SECONDS)

    def _read(self, package: str, version: str, kept: Path) -> SignatureTable | None:
        bucket, key = self._enter()
        entry = self._ref(bucket, key, package, version)[0].signatures
        return unfolded(self._object(bucket, entry, kept), package, version) if entry else None

    def _ref(self, bucket: Bucket, key: bytes, package: str, version: str) -> tuple[Ref, str]:
        path = package_path(self._fingerprint, package, version)
        content, _ = bucket.get(path, MAX_REF_BYTES)
        return listed(path, content, key), path

    def _object(self, bucket: Bucket, entry: SignaturesEntry, kept: Path) -> bytes:
        """As it is kept, else as the store has it. Raises PackError where it is another."""
        make_private(kept)
        file = kept / f"{entry.name}.signatures"
        with suppress(ReadingError):
            content = read_regular(file, MAX_FOLDED_BYTES)
            if name_of(content) == entry.name:
                with suppress(OSError):
                    os.utime(file)
                return content
        content, _ = bucket.get(signatures_path(self._fingerprint, entry.name), entry.bytes)
        if name_of(content) != entry.name:
            raise PackError("other bytes than its name says")
        with suppress(OSError):  # a full disk: it is read again next time
            write_whole(file, content)
            known = sorted(kept.glob("*.signatures"), key=lambda one: one.stat().st_mtime)
            for old in known[:-_MAX_KEPT]:
                old.unlink()
        return content
