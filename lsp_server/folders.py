"""The workspace folders of a session: which are indexed, how far they are, which one a document lies in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from indexer import Index, IndexStats, Progress
from lsp_server.aside import aside
from lsp_server.configuration import outermost
from lsp_server.holdings import Holding, Reader
from lsp_server.problems import explain
from lsp_server.status import READING_PACKAGES, FolderStatus, Status, seconds_left
from lsp_server.visible import visible
from lsp_server.workspace import Events, Watch, Workspace

News = TypeVar("News")

TELL_SECONDS = 0.25  # between two reports of one folder's progress


class Client(Protocol):
    """Where a session's messages go (`lsp_server.client.EditorClient`)."""

    def status(self, status: Status) -> None: ...
    def progress(self, root: Path, folder: FolderStatus) -> None: ...
    def progress_ended(self, root: Path, message: str) -> None: ...
    def warn(self, message: str) -> None: ...


@dataclass(eq=False)
class _Folder:
    workspace: Workspace
    status: FolderStatus
    began: float | None = None  # of the scan that runs, seconds
    told: float = 0.0


class Folders:
    """Lives on the event loop; the workspaces' threads report to it through the loop. `tell` is called on
    news.

    Keeps the texts of the open documents: a folder that is opened later begins with them.
    """

    def __init__(self, client: Client, tell: Callable[[], None], saves_energy: Callable[[], bool]) -> None:
        """`saves_energy`: asked on the index threads."""
        self.paused = False
        self._saves_energy = saves_energy
        self._client = client
        self._tell = tell
        self._folders: dict[Path, _Folder] = {}
        self._texts: dict[Path, str] = {}  # of the open documents, saved or not

    @property
    def statuses(self) -> list[FolderStatus]:
        return [folder.status for folder in self._folders.values()]

    def of(self, path: Path | None) -> Workspace | None:
        """The workspace that a document lies in. An untitled one (None) lies in the only one there is."""
        workspaces = [folder.workspace for folder in self._folders.values()]
        if path is None:
            return workspaces[0] if len(workspaces) == 1 else None
        return next((workspace for workspace in workspaces if path.is_relative_to(workspace.root)), None)

    def edited(self, path: Path, text: str) -> None:
        """An open document has this text now."""
        self._texts[path] = text
        if workspace := self.of(path):
            workspace.pending.edited(path, text)

    def closed(self, path: Path) -> str:
        """A document was closed: the disk counts again. Returns the text that it had."""
        if workspace := self.of(path):
            workspace.pending.edited(path, None)
        return self._texts.pop(path, "")

    def rescan(self) -> None:
        """Compare every folder with the disk."""
        for folder in self._folders.values():
            folder.workspace.pending.rescan()

    def pause(self, paused: bool) -> None:
        """While paused, changes are kept and nothing is done about them; holds for folders that are opened
        later."""
        self.paused = paused
        for folder in self._folders.values():
            folder.workspace.pending.pause(paused)

    def stop(self) -> None:
        """End every thread after the batch in hand, without waiting for it; `close_all_but` waits."""
        for folder in self._folders.values():
            folder.workspace.pending.stop()

    def open(
        self,
        wanted: Iterable[Path],
        open_index: Callable[[Path], Index],
        watch: Watch | None,
        reader_of: Callable[[Path], Reader],
    ) -> None:
        """Start the wanted folders that are not open yet, for one coder."""
        for root in sorted(outermost(wanted) - self._folders.keys()):
            events, reader = self._events(root), reader_of(root)
            workspace = Workspace(root, open_index, watch, events, reader, self._saves_energy)
            name = visible(root.name or str(root))
            self._folders[root] = _Folder(workspace, FolderStatus(name, done=0, total=0))
            for path, text in self._texts.items():
                if path.is_relative_to(root):
                    workspace.pending.edited(path, text)
            workspace.pending.pause(self.paused)
            workspace.start()

    @property
    def are_busy(self) -> bool:
        """Whether one of them is being read or embedded for the first time, or anew."""
        return any(
            folder.status.done is not None and not folder.status.error for folder in self._folders.values()
        )

    def prepare(self, reader_of: Callable[[Path], Reader]) -> list[Future[None]]:
        """Have in each what another coder reads."""
        return [folder.workspace.prepare(reader_of(root)) for root, folder in self._folders.items()]

    def holdings(self, coder: str) -> list[Holding]:
        """What a coder has in each."""
        return [folder.workspace.holding(coder) for folder in self._folders.values()]

    def keep_only(self, coder: str) -> None:
        """Let go in each of what coders but this one read."""
        for folder in self._folders.values():
            folder.workspace.keep_only(coder)

    def on_packages(self, root: Path) -> Callable[[bool], None]:
        """What an index is opened with: another thread says by it whether installed packages are being
        read."""
        loop = asyncio.get_running_loop()

        def forward(reading: bool) -> None:
            with suppress(RuntimeError):  # the loop is closed: the session is over
                loop.call_soon_threadsafe(self._on_packages, root, reading)

        return forward

    async def close(self, roots: Iterable[Path]) -> None:
        """Stop folders and wait for their threads."""
        closing = [(root, self._folders.pop(root)) for root in list(roots) if root in self._folders]
        for root, folder in closing:
            folder.workspace.pending.stop()
            self._client.progress_ended(root, "Stopped.")
        await asyncio.gather(*(aside(folder.workspace.stop) for _, folder in closing))

    async def close_all_but(self, wanted: Iterable[Path]) -> None:
        await self.close(set(self._folders) - outermost(wanted))

    def _events(self, root: Path) -> Events:
        loop = asyncio.get_running_loop()

        def on_loop(call: Callable[[Path, News], None]) -> Callable[[Path, News], None]:
            def forward(root: Path, news: News) -> None:
                with suppress(RuntimeError):  # the loop is closed: the session is over
                    loop.call_soon_threadsafe(call, root, news)

            return forward

        return Events(
            progress=on_loop(self._on_progress),
            updated=on_loop(self._on_updated),
            failed=on_loop(self._on_failed),
            unwatched=on_loop(self._on_unwatched),
        )

    def _on_progress(self, root: Path, progress: Progress) -> None:
        if not (folder := self._folders.get(root)):
            return
        now = time.monotonic()
        folder.began = now if folder.began is None else folder.began
        if now - folder.told < TELL_SECONDS:
            return
        folder.told = now
        if progress.stage != folder.status.stage:
            folder.began = now  # a new stage, with a pace of its own
        left = seconds_left(progress.done, progress.total, now - folder.began)
        folder.status = replace(
            folder.status,
            stage=progress.stage,
            done=progress.done,
            total=progress.total,
            share=progress.share,
            seconds_left=left,
        )
        self._client.progress(root, folder.status)
        self._tell()

    def _on_updated(self, root: Path, stats: IndexStats) -> None:
        if not (folder := self._folders.get(root)):
            return
        folder.began = None
        skipped = sum(len(paths) for paths in stats.skipped.values())
        was = folder.status
        folder.status = FolderStatus(
            was.name, stats.files, stats.chunks, skipped, background=was.background, team=stats.team
        )
        self._client.progress_ended(root, f"{stats.files:,} files, {stats.chunks:,} chunks")
        self._tell()

    def _on_packages(self, root: Path, reading: bool) -> None:
        if folder := self._folders.get(root):
            folder.status = replace(folder.status, background=READING_PACKAGES if reading else "")
            self._tell()

    def _on_unwatched(self, root: Path, error: Exception) -> None:
        self._client.warn(f"{visible(root.name)}: {explain(error)}")

    def _on_failed(self, root: Path, error: Exception) -> None:
        if not (folder := self._folders.get(root)):
            return
        folder.began = None
        folder.status = replace(folder.status, done=None, error=explain(error))
        self._client.progress_ended(root, "Failed.")
        self._tell()
