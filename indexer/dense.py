"""Keys of all levels in memory, following the store: loaded at first use, then change by change, whoever wrote it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np

from indexer.ann import Ann
from indexer.hierarchy import CHUNK, DIRECTORY, FILE
from indexer.progress import GoesOn
from indexer.reader import Change, StoreReader
from indexer.settings import IndexSettings

_LEVELS = (CHUNK, FILE, DIRECTORY)
_BATCH = 2_000
_EVERY_SECONDS = 0.5
_SEARCH_CHANGES = 64  # taken in by a search itself: some 10 ms


class DenseKeys:
    """`follow` belongs to the thread that updates; a search takes a few of another process's changes in by itself."""

    def __init__(self, folder: Path, reader: StoreReader, settings: IndexSettings) -> None:
        self._reader = reader
        borders = settings.exact_below, settings.mapped_above
        self._anns = {level: Ann(folder / f"{level}.hnsw", *borders) for level in _LEVELS}
        self._lock = threading.Lock()
        self._generation = -1  # what the keys in memory have reached; -1 before they are loaded
        self._followed = 0.0

    @property
    def kind(self) -> str:
        """ "exact", "hnsw" or "mapped": how chunks are searched."""
        return self._anns[CHUNK].kind

    def search(self, level: str, key: np.ndarray, k: int) -> list[tuple[int, float]]:
        """Up to k of (node id, cosine) of a level, best first; [] for levels that have no keys of their own."""
        return self._anns[level].search(key, k) if level in self._anns else []

    def follow(self) -> None:
        """Take in everything that was committed."""
        with self._lock:
            while self._take_in(_BATCH):
                pass
        self._followed = time.monotonic()

    def follow_sometimes(self) -> None:
        """The same, at most twice a second: called after each commit of a long update."""
        if time.monotonic() - self._followed > _EVERY_SECONDS:
            self.follow()

    def glance(self) -> None:
        """Before a search: take in a little, and nothing while an update is at it."""
        if self._lock.acquire(timeout=0.02):
            try:
                self._take_in(_SEARCH_CHANGES)
            finally:
                self._lock.release()

    def tidy(self, goes_on: GoesOn) -> None:
        """Let each level choose its structure, and save what takes long to build; see `Ann.tidy`."""
        with self._lock:
            if self._generation >= 0:
                for ann in self._anns.values():
                    ann.tidy(self._store_name(), goes_on)

    def save(self) -> None:
        with self._lock:
            if self._generation >= 0:
                for ann in self._anns.values():
                    ann.save(self._store_name())

    def _take_in(self, limit: int) -> bool:
        """Whether there may be more."""
        if self._generation < 0:
            self._load()
        generation = self._reader.generation()
        if generation == self._generation:
            return False
        changes = self._reader.changes(self._generation, limit)
        self._apply(changes)
        more = len(changes) >= limit
        self._generation = changes[-1].since if more else generation
        return more

    def _apply(self, changes: list[Change]) -> None:
        for level, ann in self._anns.items():
            here = [change for change in changes if change.level == level]
            born = [(change.id, change.key) for change in here if change.key is not None]
            gone = [change.id for change in here if change.key is None]
            if here:
                keys = np.stack([key for _, key in born]) if born else np.zeros((0, 0), np.float16)
                ann.replace([id for id, _ in born], keys, gone)

    def _load(self) -> None:
        """Take the saved graphs where they are sound, and make good what they lack or have too much."""
        generation = self._reader.generation()
        width = self._reader.meta("d_key")
        if width is not None:
            for level, ann in self._anns.items():
                ann.load(self._store_name(), int(str(width)))
                self._reconcile(level, ann)
        self._generation = generation

    def _reconcile(self, level: str, ann: Ann) -> None:
        living, held = self._reader.living(level), ann.ids()
        missing = np.setdiff1d(living, held).tolist()
        ann.replace([], np.zeros((0, 0), np.float16), np.setdiff1d(held, living).tolist())
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            ann.replace(batch, self._reader.keys(batch), [])

    def _store_name(self) -> str:
        return str(self._reader.meta("store"))
