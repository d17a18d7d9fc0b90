"""Files that change on disk, reported as paths; the only file that knows watchdog.

A report is a hint, not a fact: editors save by renaming, events are late, doubled or lost. Whoever receives a path
looks at the disk again (`Index.update` drops what is gone and reads what is there). watchdog is imported on start.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

_STOP_SECONDS = 5.0
_TOO_DEEP = (
    "Folders lie too deep in each other to be watched, so changes on disk made outside of the editor are not seen. "
    "Run `hef-lsp --reindex` after them."
)


class Watcher:
    """Calls `on_paths` for every file or directory created, changed, moved or deleted under a root.

    It is called on the observer's own thread, which delivers nothing else meanwhile: it must only put the paths aside.
    A moved directory is reported as its old and new path, each to be looked at whole. Nothing under .git is reported
    but its info/exclude. Idle, it costs nothing.
    """

    def __init__(self, root: Path, on_paths: Callable[[Iterable[Path]], None]) -> None:
        self._root = root
        self._on_paths = on_paths
        self._observer: _Observer | None = None

    def start(self) -> None:
        """Begin. Raises OSError with what to do when the system has no watches left, or folders lie too deep."""
        observer = _Observer(self._root, self._report)
        try:
            observer.start()
        except OSError as error:
            observer.stop()
            raise _explained(error) from error
        except RecursionError:  # `os.walk` calls itself for each folder before Python 3.12
            observer.stop()
            raise OSError(errno.ENAMETOOLONG, _TOO_DEEP) from None
        self._observer = observer

    def stop(self) -> bool:
        """End; whether the thread ended within five seconds. Nothing is reported afterward."""
        observer, self._observer = self._observer, None
        return observer.stop() if observer else True

    def _report(self, event: FileSystemEvent) -> None:
        paths = [Path(str(path)) for path in (event.src_path, event.dest_path) if path]
        wanted = [path for path in paths if self._counts(path)]
        if wanted:
            self._on_paths(wanted)

    def _counts(self, path: Path) -> bool:
        parts = path.parts
        return ".git" not in parts or parts[-3:] == (".git", "info", "exclude")


class _Observer:
    """watchdog's observer with our choice of events."""

    def __init__(self, root: Path, report: Callable[[FileSystemEvent], None]) -> None:
        # Imported here: it costs tens of milliseconds, and an index without a watcher does not need it.
        from watchdog import events
        from watchdog.observers import Observer

        class Handler(events.FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                report(event)

        # Opened and closed are left out: indexing itself opens files, and would be told to do so again.
        kinds: list[type[FileSystemEvent]] = [
            events.FileCreatedEvent,
            events.FileModifiedEvent,
            events.FileMovedEvent,
            events.FileDeletedEvent,
            events.DirCreatedEvent,
            events.DirMovedEvent,
            events.DirDeletedEvent,
        ]
        self._observer = Observer()
        self._observer.schedule(Handler(), str(root), recursive=True, event_filter=kinds)

    def start(self) -> None:
        self._observer.start()

    def stop(self) -> bool:
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(_STOP_SECONDS)
        return not self._observer.is_alive()


def _explained(error: OSError) -> OSError:
    if error.errno in (errno.ENOSPC, errno.EMFILE, errno.ENFILE):
        what = (
            "The system has no file watches left, so changes on disk made outside of the editor are not seen. Raise "
            "fs.inotify.max_user_watches and fs.inotify.max_user_instances, or run `hef-lsp --reindex` after them."
        )
        return OSError(error.errno, what)
    return error
