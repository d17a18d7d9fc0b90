"""One folder's blocks: on disk no longer than the texts they were made of.

What blocks were made from is told by the index alone: after each of its updates the files are compared with those of
before. A record of them lies beside the blocks, so that nothing is missed that changed while nobody looked: in another
process, under settings that read no blocks, or after a kill.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from indexer.cache_folder import write_whole
from model.blocks.shelf import Shelf

_RECORD = "files"
_ENTRY_BYTES = 16


class KeptBlocks:
    """`follow`, `hold_back`, `drop` and `close` on the index thread, `save` on the model thread, `shelf` on any."""

    def __init__(self, shelf: Shelf, folder: Path, files: Mapping[str, bytes]) -> None:
        """`folder`: where the shelf's file lies; `files`: path -> digest, what the index has of the repository now."""
        self.shelf = shelf
        self._record = folder / _RECORD
        self._files = dict(files)
        self._dropping = threading.Lock()
        self._gone: set[str] = set()  # since nothing was left to be made
        known = _entries_in(self._record)
        shelf.retain({path for path, digest in files.items() if _entry(path, digest) in known})
        self._write()

    def follow(self, files: Mapping[str, bytes], *, whole: bool) -> None:
        """The index has these files now; `whole`: it has looked at all there are."""
        before, self._files = self._files, dict(files)
        if gone := {path for path, digest in before.items() if files.get(path) != digest}:
            self.drop(gone)
        if whole:
            self.shelf.retain(files.keys())
        if before != self._files:
            self._write()

    def hold_back(self, paths: Collection[str]) -> None:
        """These files are open documents: what their blocks are made of may never be saved."""
        self.shelf.hold_back(paths)

    def drop(self, paths: Collection[str]) -> None:
        """The texts of these files are not what they were."""
        with self._dropping:
            self._gone.update(paths)
        self.shelf.drop(paths)

    def save(self) -> bool:
        """Write some of what was made, once all is that was wanted; whether there is more."""
        self._drop_again()
        return self.shelf.flush()

    def retire(self) -> None:
        """Nobody reads them any more: write what was made, and keep none of it in memory."""
        self._drop_again()
        self.shelf.retire()

    def close(self) -> None:
        """Write what was made, and let go of the file."""
        self._drop_again()
        self.shelf.close()

    def _drop_again(self) -> None:
        """What was wanted of a text before it was known to be gone was made after it was dropped."""
        with self._dropping:
            gone, self._gone = self._gone, set()
        if gone:
            self.shelf.drop(gone)

    def _write(self) -> None:
        entries = sorted(_entry(path, digest) for path, digest in self._files.items())
        with suppress(OSError):  # then an older record, or none, says that more has changed than has
            write_whole(self._record, b"".join(entries))


def _entry(path: str, digest: bytes) -> bytes:
    """One file with one text."""
    return blake2b(path.encode("utf-8", "surrogatepass") + b"\0" + digest, digest_size=_ENTRY_BYTES).digest()


def _entries_in(record: Path) -> set[bytes]:
    try:
        content = record.read_bytes()
    except OSError:
        return set()
    return {content[start : start + _ENTRY_BYTES] for start in range(0, len(content), _ENTRY_BYTES)}
