"""One workspace folder: its index, the thread that alone changes it, and the watcher of its files."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from pathlib import Path

from indexer import CacheError, Hit, Index, IndexStage, IndexStats, LineIndex, Progress, Query
from indexer.priority import give_way
from indexer.progress import nobody
from lsp_server.holdings import NOBODY, NOTHING, Holding, Holdings, Reader
from lsp_server.pending import Errand, Pending, Work
from lsp_server.requests import name_in
from lsp_server.trouble import described

log = logging.getLogger(__name__)

# What the index thread gives way by. No more: while it holds the interpreter's lock, who types waits for it, and that
# takes the longer the less of a busy processor it gets.
NICE = 5
WIPE_SECONDS = 30.0  # after text was deleted, what is left of it in the index's files goes; see `Index.wipe`
# Where energy is to be saved, so many times slower is what a whole scan embeds; open documents do not wait longer.
SLOWER, LONGEST_DOZE_SECONDS = 4, 0.5
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 30.0, 1_800.0  # after an update failed; twice as long each time


@dataclass(frozen=True)
class Events:
    """What a workspace tells others; called on the index thread."""

    progress: Callable[[Path, Progress], None]
    updated: Callable[[Path, IndexStats], None]
    failed: Callable[[Path, Exception], None]
    unwatched: Callable[[Path, Exception], None]


Watch = Callable[[Path, Callable[[Iterable[Path]], None]], Callable[[], object]]  # returns what ends it


class Workspace:
    """Keeps one folder's index up to date from `start` to `stop`.

    `open_index` runs on the index thread, so that a slow disk holds nobody up. `watch` follows the disk. `reader`: for
    whom it is opened. `saves_energy`: asked on the index thread.
    """

    def __init__(
        self,
        root: Path,
        open_index: Callable[[Path], Index],
        watch: Watch | None,
        events: Events,
        reader: Reader = NOBODY,
        saves_energy: Callable[[], bool] = lambda: False,
    ) -> None:
        self.root = root
        self.pending = Pending()
        self.error: Exception | None = None
        self._open_index = open_index
        self._first_reader: Reader | None = reader  # until it has what it reads: a coder may be let go of
        self._holdings: Holdings | None = None
        self._watch = watch
        self._events = events
        self._index: Index | None = None
        self._embedding = False  # all files are read: the update that runs may be broken off for changed ones
        self._saves_energy = saves_energy
        self._batch_began = 0.0  # that is embedded, seconds
        self._unfinished = False  # the last update was broken off
        self._is_verified = False
        self._wipe_at = math.inf
        self._retry_at = math.inf  # an update failed: all is looked at again
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._n_changes = 0
        self._n_own_changes: dict[Path, int] = {}  # of open documents
        self._thread = threading.Thread(target=self._run, name=f"hef-index {root.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End after the batch in hand; what was finished is kept."""
        self.pending.stop()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def search(self, query: Query) -> list[Hit]:
        """Hits so far, [] before the index is open: a completion never waits for it."""
        index = self._index  # the index thread takes it away when it ends
        if index is None:
            return []
        hits = index.search(query)
        if index.is_damaged:
            self.pending.rescan()
        return hits

    @property
    def lines(self) -> LineIndex | None:
        """The folder's files as lines, as far as they are read."""
        index = self._index  # the index thread takes it away when it ends
        return index.lines if index else None

    def holding(self, coder: str) -> Holding:
        """What a coder (its fingerprint) has here, as far as it is there."""
        holdings = self._holdings  # the index thread takes it away when it ends
        return holdings.of(coder) if holdings else NOTHING

    def prepare(self, reader: Reader) -> Future[None]:
        """Have what another coder reads; `holding` gives it when this is done."""
        return self.pending.ask(lambda: self._opened_holdings.add(reader, lambda: self.pending.stopped))

    def keep_only(self, coder: str) -> Future[None]:
        """Let go of what other coders read: this one has taken over."""
        return self.pending.ask(lambda: self._opened_holdings.keep_only(coder))

    def generation(self, path: Path | None) -> int:
        """Grows with every change of the index but those of `path` itself: typing there must not make stale
        what was retrieved for it."""
        return self._n_changes - (self._n_own_changes.get(path, 0) if path else 0)

    def _run(self) -> None:
        give_way(NICE)
        self._index = self._open()
        if self._index is None:
            return
        self._retry_at, self._retry_seconds = math.inf, FIRST_RETRY_SECONDS
        self._holdings = Holdings(self._index)
        stop_watching = self._start_watching()
        try:
            if self._first_reader:
                self._holdings.add(self._first_reader, lambda: self.pending.stopped)
                self._first_reader = None
            self.pending.rescan()
            while (work := self.pending.take(min(self._wipe_at, self._retry_at))) is not None:
                for errand in work.errands:
                    self._run_errand(errand)
                self._do(work)
                self._tend()
        except CancelledError:
            pass  # the model thread has stopped: so does this one
        finally:
            stop_watching()
            (index, self._index), (holdings, self._holdings) = (self._index, None), (self._holdings, None)
            holdings.close()
            index.close()

    def _open(self) -> Index | None:
        """The index; None when stopped before it can be opened: a cache that is locked or full may be free
        later."""
        while not self.pending.stopped:
            try:
                return self._open_index(self.root)
            except Exception as error:
                self._fail(error)
            self.pending.wait_until(self._retry_at)
        return None

    def _run_errand(self, errand: Errand) -> None:
        if not errand.done.set_running_or_notify_cancel():
            return
        try:
            errand.run()
            errand.done.set_result(None)
        except Exception as error:
            log.error("An errand in %s failed: %s", self.root.name, described(error))
            errand.done.set_exception(error)
        if self._unfinished:
            self.pending.rescan()  # an update was broken off for it

    def _start_watching(self) -> Callable[[], object]:
        """Watch before the first scan, so that no change falls between the two."""
        try:
            return self._watch(self.root, self.pending.changed) if self._watch else lambda: None
        except OSError as error:  # the system's limit on watches; the rest works
            self._events.unwatched(self.root, error)
            return lambda: None

    def _do(self, work: Work) -> None:
        self._overlay(work.overlays)
        rescan = work.rescan or self._opened.is_damaged or time.monotonic() >= self._retry_at
        try:
            near = {path.parent for path in work.overlays} - {self.root}
            if rescan and near and not self._opened.stats().files:
                self._update(near)  # a first index begins where the user is
            if rescan or work.paths:
                self._update(None if rescan else work.paths)
                self._tell()
        except CancelledError:
            raise
        except Exception as error:
            # One bad file or a full disk must not end indexing: everything is looked at again, later.
            self._fail(error)

    def _tend(self) -> None:
        """What the index needs when nothing else is to be done at once."""
        try:
            if not self._is_verified and not self._unfinished and self._retry_at == math.inf:
                self._is_verified = True
                if not self._opened.verify():
                    self.pending.rescan()
            now = time.monotonic()
            if now >= self._wipe_at:
                self._wipe_at = math.inf
                self._opened.wipe()
            if self._wipe_at == math.inf and self._opened.has_traces:
                self._wipe_at = now + WIPE_SECONDS
        except CacheError as error:
            log.warning("The index of %s is not tidied up now: %s", self.root.name, error)
            self._wipe_at = time.monotonic() + WIPE_SECONDS

    def _update(self, paths: Collection[Path] | None) -> None:
        shown = paths is None or self._unfinished  # a change of a few files shows no progress
        self._embedding = False
        progress = self._progress if shown else nobody
        report = self._opened.update(paths, progress=progress, cancelled=self._interrupted)
        self._unfinished = report.cancelled
        self._retry_at, self._retry_seconds = math.inf, FIRST_RETRY_SECONDS
        self._count(paths)
        self._opened_holdings.follow(whole=paths is None and not report.cancelled)
        self.error = None

    def _tell(self) -> None:
        if self._unfinished and self._embedding and (self.pending.files_wait or self.pending.errands_wait):
            return  # they come next, and what is left to embed is gone on with
        self._events.updated(self.root, self._opened.stats())
        if self._unfinished:
            self.pending.rescan()  # what a pause cut off goes on afterward; finished work is not repeated

    def _overlay(self, texts: Mapping[Path, str | None]) -> None:
        holdings = self._opened_holdings
        # Before a search can find what is not on disk.
        holdings.hold_back({name_in(self.root, path) for path in self._n_own_changes.keys() | texts.keys()})
        for path, text in texts.items():
            try:
                self.pending.rest(self._opened.overlay(path, text).seconds)
            except CancelledError:
                raise
            except Exception as error:  # of one document; neither the others nor the files wait for it
                log.error("Taking in an open document failed: %s", described(error))
            if text is None:
                # A text that was never saved: the disk cannot say what of it is gone.
                if self._n_own_changes.pop(path, 0) > 1:
                    holdings.drop({name_in(self.root, path)})
            else:
                self._n_own_changes.setdefault(path, 0)
            self._count({path})
        if None in texts.values():
            holdings.hold_back({name_in(self.root, path) for path in self._n_own_changes})

    def _count(self, paths: Collection[Path] | None) -> None:
        self._n_changes += 1
        if paths is not None and len(paths) == 1:
            (path,) = paths
            if path in self._n_own_changes:
                self._n_own_changes[path] += 1

    @property
    def _opened(self) -> Index:
        assert self._index is not None
        return self._index

    @property
    def _opened_holdings(self) -> Holdings:
        assert self._holdings is not None
        return self._holdings

    def _interrupted(self) -> bool:
        waits = self.pending.files_wait or self.pending.errands_wait
        if self._embedding and (waits or time.monotonic() >= self._wipe_at):
            return True
        return self.pending.stopped or self.pending.paused

    def _progress(self, progress: Progress) -> None:
        self._overlay(self.pending.take_overlays())  # a long scan must not make open documents wait
        self._embedding = progress.stage == IndexStage.EMBEDDING
        self._events.progress(self.root, progress)
        if self._embedding and self._saves_energy():
            took = time.monotonic() - self._batch_began
            self.pending.doze(min((SLOWER - 1) * took, LONGEST_DOZE_SECONDS))
        self._batch_began = time.monotonic()

    def _fail(self, error: Exception) -> None:
        log.error("Indexing %s failed: %s", self.root, described(error))
        self.error = error
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, LAST_RETRY_SECONDS)
        self._events.failed(self.root, error)
