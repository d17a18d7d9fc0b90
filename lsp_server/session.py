"""One client's session: its settings, its folders, the model thread. Lives on the event loop and nowhere else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from indexer import Index
from lsp_server.aside import aside
from lsp_server.completion import Completions
from lsp_server.engine import Engine, embedder_of, load_engine, retriever
from lsp_server.folders import Folders
from lsp_server.job import Job
from lsp_server.model_thread import ModelThread, Priority
from lsp_server.offers import Offer
from lsp_server.presentation import stop_rule
from lsp_server.settings import Settings
from lsp_server.snapshot import Snapshot, unix
from lsp_server.status import SLOW, FolderStatus, Status, status_of
from lsp_server.switches import Document, Refusal, Switches
from lsp_server.workspace import Workspace, outermost, watch
from model.request import Completion, Request
from model.settings import ModelSettings

STOP_SECONDS = 5.0

LoadEngine = Callable[[Settings], Engine]


class Client(Protocol):
    """Where the session's messages go (`lsp_server.client.EditorClient`)."""

    def status(self, status: Status) -> None: ...
    def progress(self, root: Path, folder: FolderStatus) -> None: ...
    def progress_ended(self, root: Path, message: str) -> None: ...
    def warn(self, message: str) -> None: ...


class Session:
    """From `start` to `stop`. Threads report back through the loop, so that nothing here needs a lock."""

    def __init__(self, client: Client, load: LoadEngine = load_engine) -> None:
        self.settings = Settings()  # where no folder has its own
        self.completions = Completions(self._run, self._patience)
        self.folders = Folders(client, self.tell)
        self._client = client
        self._load = load
        self._model: ModelThread[Engine] | None = None
        self._engine: Engine | None = None  # once it is loaded and its folders are open
        self._wanted: Mapping[Path, Settings] = {}  # the client's folders
        self._texts: dict[Path, str] = {}  # of the open documents, saved or not
        self._switches = Switches()
        self._started = self._paused = False
        self._changing = asyncio.Lock()  # starts and stops of threads go one after the other

    async def start(self, settings: Settings, folders: Mapping[Path, Settings]) -> None:
        """Begin loading the model; the folders are indexed when it is there."""
        self._started = True
        await self.configure(settings, folders)

    async def stop(self) -> None:
        """End every thread. What was indexed is kept.

        A thread that hangs, in native code or on a disk that has gone, is left behind after STOP_SECONDS.
        """
        self._started = False
        self.completions.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS), self._changing:
                await self._stop_threads()

    async def configure(self, settings: Settings, folders: Mapping[Path, Settings]) -> None:
        """Live with these settings and folders; only what they touch is restarted."""
        async with self._changing:
            before, was_open = self.settings, self._indexed
            self.settings, self._wanted = settings, folders
            self._switches.keep(folders.keys())
            if not self._started:
                return
            if not self._enabled or _loading(before) != _loading(settings):
                self.completions.stop()
                await self._stop_threads()
            if self._enabled and self._model is None:
                self._start_model()
            now_open = self._indexed
            changed = {root for root in was_open if _indexing(was_open[root]) != _indexing(now_open.get(root))}
            await self.folders.close_all_but(now_open.keys() - changed)
            self._open_folders()
        self.tell()

    def settings_at(self, path: Path | None) -> Settings:
        """The settings that hold for a document: the innermost folder's that it lies in."""
        around = [root for root in self._wanted if path is not None and path.is_relative_to(root)]
        return self._wanted[max(around, key=lambda root: len(root.parts))] if around else self.settings

    def edited(self, path: Path, text: str) -> None:
        """An open document has this text now."""
        self._texts[path] = text
        if workspace := self.folders.of(path):
            workspace.pending.edited(path, text)

    def closed(self, uri: str, path: Path | None) -> None:
        """A document was closed: the disk counts again."""
        self._switches.forget(uri)
        self.completions.forget(uri, unix(self._texts.pop(path, "")) if path else "")
        if path is None:
            return
        if workspace := self.folders.of(path):
            workspace.pending.edited(path, None)

    async def suggest(
        self, snapshot: Snapshot, wait_seconds: float | None = None, *, insists: bool = False, least: float = 0.0
    ) -> Offer | None:
        """The suggestion at a snapshot, None for none. Never waits for the index; see `Completions.suggest`."""
        asked = time.monotonic()
        if not self._has_model or await self.refusal(snapshot) is not None:
            self.completions.supersede(snapshot.uri)
            return None
        was_slow = self.completions.is_slow
        offer = await self.completions.suggest(snapshot, wait_seconds, insists=insists, least=least, asked=asked)
        if self.completions.is_slow != was_slow:
            self.tell()
        return offer

    def preload(self, snapshot: Snapshot) -> None:
        """Work out what is likely to be asked for next."""
        wanted = self.settings_at(snapshot.path).completion
        if self._has_model and wanted.automatic and self._switches.known_refusal(*self._asked(snapshot)) is None:
            self.completions.preload(snapshot, wanted.min_confidence)

    async def refusal(self, document: Document, *, newest: bool = False) -> Refusal | None:
        """Why nothing is suggested in a document, None where something may be; see `Switches.refusal`."""
        return await self._switches.refusal(*self._asked(document), newest=newest)

    def reindex(self) -> None:
        """Compare every folder with the disk again."""
        for workspace in self.folders.workspaces:
            workspace.pending.rescan()

    def pause(self, paused: bool) -> None:
        """Stop or resume indexing; suggestions go on with what is there."""
        self._paused = paused
        for workspace in self.folders.workspaces:
            workspace.pending.pause(paused)
        self.tell()

    def status(self) -> Status:
        engine = self._engine
        return status_of(
            model=engine.description if engine else None,
            model_error=self._model_error,
            notes=(*(engine.notes if engine else ()), *([SLOW] if self.completions.is_slow else [])),
            folders=self.folders.statuses,
            enabled=self._enabled,
            paused=self._paused,
        )

    def tell(self) -> None:
        """Send the status to the client."""
        self._client.status(self.status())

    def taken(self, offer: Offer) -> None:
        """An offer was accepted: drafts learn from it, when the model has nothing better to do."""
        if self._model is not None:
            prefix, text = offer.prefix, offer.suggestion.text
            self._model.submit(Priority.INDEXING, lambda engine: engine.completer.accepted(prefix, text))

    def _asked(self, document: Document) -> tuple[Settings, Path | None, Document]:
        """A document with its settings and the outermost folder around it, as `Switches` want them."""
        path = document.path
        around = [root for root in outermost(self._wanted) if path is not None and path.is_relative_to(root)]
        return self.settings_at(path), around[0] if around else None, document

    def _run(self, job: Job) -> Future[Completion | None]:
        """Start a job on the model thread. Everything it may read is settled here, on the loop."""
        assert self._model is not None  # `suggest` saw to it
        snapshot = job.snapshot
        settings, workspace = self.settings_at(snapshot.path), self.folders.of(snapshot.path)
        job.folder = workspace.root if workspace else None

        def work(engine: Engine) -> Completion | None:
            if job.cancelled.is_set():
                return None
            job.rule = replace(stop_rule(snapshot, settings.completion.max_lines), ahead=job.ahead)
            waited_ms = (time.monotonic() - max(job.created, engine.loaded_at)) * 1e3
            left_ms = settings.model.deadline_ms - waited_ms
            if left_ms <= 0:
                return None
            request = Request(
                path=_relative(snapshot.path, workspace),
                prefix=snapshot.prefix,
                suffix=snapshot.suffix,
                context=settings.model.context,
                max_tokens=settings.model.max_tokens,
                deadline_ms=left_ms,
                finished=job.finished,
                generation=workspace.generation(snapshot.path) if workspace else 0,
                tokens=workspace.tokens if workspace else None,
                packages=workspace.packages if workspace else None,
                lines=workspace.lines if workspace else None,
            )
            retrieve = retriever(workspace.search) if workspace else None
            return engine.completer.complete(request, retrieve, job.cancelled.is_set)

        return self._model.submit(Priority.COMPLETION, work)

    def _patience(self, path: Path | None) -> float:
        """Seconds that a request may take; more while the model loads."""
        settings = self.settings_at(path)
        loading = self._model is not None and not self._model.loaded.done()
        wait_ms = settings.completion.load_wait_ms if loading else 0
        return (wait_ms + settings.model.deadline_ms) / 1e3

    def _start_model(self) -> None:
        settings, loop = self.settings, asyncio.get_running_loop()
        self._model = model = ModelThread(lambda: self._load(settings))

        def on_loaded(_: Future[Engine]) -> None:
            with suppress(RuntimeError):  # the loop is closed: the session is over
                loop.call_soon_threadsafe(self._on_loaded, model)

        model.loaded.add_done_callback(on_loaded)
        model.start()

    def _on_loaded(self, model: ModelThread[Engine]) -> None:
        if model is self._model and model.loaded.exception() is None:
            self._engine = model.loaded.result()
            self._open_folders()
        self.tell()

    def _open_folders(self) -> None:
        model, engine = self._model, self._engine
        if model is None or engine is None:
            return  # they are opened when the model is there: its fingerprint names the index
        embedder, tokenizer, wanted = embedder_of(engine, model), engine.tokenizer, self._indexed
        drafts = self.settings.drafts
        on_packages = {root: self.folders.on_packages(root) for root in wanted if drafts.enabled and drafts.packages}

        def open_index(root: Path) -> Index:
            index, retrieval = wanted[root].index, wanted[root].retrieval
            tell = on_packages.get(root)
            return Index.open(
                root, embedder, settings=index, retrieval=retrieval, tokenizer=tokenizer, on_packages=tell
            )

        follow = watch if self.settings.server.watch else None
        self.folders.open(wanted, open_index, follow, self._texts, self._paused)

    async def _stop_threads(self) -> None:
        """The model first: an index thread that waits for it is let go by that."""
        model, self._model, self._engine = self._model, None, None
        for workspace in self.folders.workspaces:
            workspace.pending.stop()
        if model is not None:
            await aside(model.stop)
        await self.folders.close_all_but(())

    @property
    def _enabled(self) -> bool:
        """Whether anything may be suggested anywhere; otherwise the model is not kept in memory."""
        return any(settings.completion.enabled for settings in (self.settings, *self._wanted.values()))

    @property
    def _indexed(self) -> Mapping[Path, Settings]:
        """The folders whose index is kept up to date: where nothing is suggested, nothing is computed either."""
        return {root: settings for root, settings in self._wanted.items() if settings.completion.enabled}

    @property
    def _has_model(self) -> bool:
        return self._model is not None and self._model_error is None

    @property
    def _model_error(self) -> Exception | None:
        loaded = self._model.loaded if self._model else None
        error = loaded.exception() if loaded and loaded.done() else None
        return error if isinstance(error, Exception) else None


def _relative(path: Path | None, workspace: Workspace | None) -> str:
    """The document's name for the model: repository-relative where there is one."""
    if path is None:
        return "untitled"
    return path.relative_to(workspace.root).as_posix() if workspace else path.name


def _loading(settings: Settings) -> tuple[object, ...]:
    """What the model is loaded with; the rest goes with each request."""
    each = ModelSettings()
    model = replace(settings.model, context=each.context, max_tokens=each.max_tokens, deadline_ms=each.deadline_ms)
    return model, settings.drafts, settings.recall


def _indexing(settings: Settings | None) -> tuple[object, ...]:
    """What a folder's index is opened with; nothing for a folder that is not to be open."""
    return (settings.index, settings.retrieval, settings.server.watch) if settings else ()
