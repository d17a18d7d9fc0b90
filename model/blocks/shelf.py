"""Where a completer finds the blocks that are computed: in memory, then on disk.

Both hold packed rows: what is found reads the same whether it was made now or came from the disk. Lives on the model
thread, what says so aside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable

from model.blocks.block import Block
from model.blocks.packing import PackedRows, Packing
from model.blocks.store import BlockStore
from model.settings import BlockSettings

_BATCH = 8  # blocks that one flush writes
_MOST_WAITING = 64  # blocks that wait for the disk before an addition writes some itself


class Shelf:
    """Without a store, blocks are kept in memory only."""

    def __init__(self, packing: Packing, settings: BlockSettings, store: BlockStore | None = None) -> None:
        self._packing = packing
        self._settings = settings
        self._store = store if settings.disk_bytes else None
        self._packed: dict[bytes, bytes | memoryview] = {}  # the least recently used first
        self._n_bytes = 0
        self._lock = threading.Lock()  # around what waits, and until that is written
        self._waiting: dict[bytes, tuple[str, bytes]] = {}  # digest -> path, packed
        self._held_back: frozenset[str] = frozenset()

    @property
    def n_bytes(self) -> int:
        """What the blocks in memory take, those aside that wait for the disk."""
        return self._n_bytes

    def find(self, digests: Iterable[bytes]) -> dict[bytes, Block]:
        """Those that are there."""
        found: dict[bytes, bytes | memoryview] = {}
        absent = []
        for digest in dict.fromkeys(digests):
            packed = self._packed.get(digest) or self._waiting_for(digest)
            if packed is None:
                absent.append(digest)
            else:
                found[digest] = packed
        if self._store:
            self._store.touch(found)
            found |= self._store.get(absent) if absent else {}
        for digest, packed in found.items():
            self._remember(digest, packed)
        return {digest: self._block(digest, packed) for digest, packed in found.items()}

    def add(self, path: str | None, block: Block) -> Block:
        """Keep a block of the text of this file of the repository, in memory only for None; what will be found from
        now on: the number format rounds. Raises ValueError on rows of another coder."""
        packed = self._packing.pack(block.rows)
        self._remember(block.digest, packed)
        if self._store and path is not None and path not in self._held_back:
            with self._lock:
                self._waiting[block.digest] = path, packed
            while len(self._waiting) > _MOST_WAITING:
                self.flush()
        return self._block(block.digest, packed)

    def flush(self) -> bool:
        """Write some of what waits for the disk; whether more does."""
        with self._lock:
            batch = [(digest, self._waiting.pop(digest)) for digest in list(self._waiting)[:_BATCH]]
            if self._store and batch:
                size = sum(len(packed) for _, (_, packed) in batch)
                self._store.shrink(self._settings.disk_bytes - size)
                for path in {path for _, (path, _) in batch}:
                    self._store.put(path, {digest: packed for digest, (its, packed) in batch if its == path})
            return bool(self._waiting)

    def hold_back(self, paths: Collection[str]) -> None:
        """From now on the blocks of these files, and of no others, are kept in memory only: open documents, whose text
        may never be saved. From any thread."""
        self._held_back = frozenset(paths)
        self._forget_waiting(lambda path, _: path in paths)

    def drop(self, paths: Collection[str]) -> None:
        """The blocks of these files go from the disk. From any thread, as the next; in memory nobody asks for them
        any more."""
        self._forget_waiting(lambda path, _: path in paths)
        if self._store:
            self._store.drop(paths)

    def retain(self, paths: Collection[str]) -> None:
        """The blocks of all other files go from the disk."""
        self._forget_waiting(lambda path, _: path not in paths)
        if self._store:
            self._store.retain(paths)

    def retire(self) -> None:
        """Write what waits, and keep nothing in memory."""
        while self.flush():
            pass
        self._packed, self._n_bytes = {}, 0

    def close(self) -> None:
        """Write what waits."""
        while self.flush():
            pass
        if self._store:
            self._store.close()

    def _waiting_for(self, digest: bytes) -> bytes | None:
        path_and_packed = self._waiting.get(digest)
        return path_and_packed[1] if path_and_packed else None

    def _forget_waiting(self, goes: Callable[[str, bytes], bool]) -> None:
        with self._lock:
            waiting = self._waiting.items()
            self._waiting = {digest: (path, it) for digest, (path, it) in waiting if not goes(path, digest)}

    def _remember(self, digest: bytes, packed: bytes | memoryview) -> None:
        """As the most recently used; the least recently used go where there is no room."""
        self._n_bytes += len(packed) - len(self._packed.pop(digest, b""))
        self._packed[digest] = packed
        while self._n_bytes > self._settings.memory_bytes:
            self._n_bytes -= len(self._packed.pop(next(iter(self._packed))))

    def _block(self, digest: bytes, packed: bytes | memoryview) -> Block:
        return Block(digest, PackedRows(self._packing, packed))
