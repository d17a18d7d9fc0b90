"""One client's session: its settings, its folders, its model. Lives on the event loop and nowhere else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from indexer import Index
from lsp_server.asking import Inquiry
from lsp_server.coder import LoadCoder, LoadedCoder
from lsp_server.completion import Completions
from lsp_server.configuration import Configuration
from lsp_server.folders import Client, Folders
from lsp_server.foresight import Foresight
from lsp_server.holdings import Reader
from lsp_server.job import Job
from lsp_server.loading import load_first
from lsp_server.model_thread import Priority
from lsp_server.next_edits import EditOffer, NextEdits
from lsp_server.offers import Offer
from lsp_server.opening import open_index, reader_of, watch
from lsp_server.power import ON_BATTERY, Power
from lsp_server.preparing import Preparing
from lsp_server.served_model import ServedModel
from lsp_server.settings import Settings
from lsp_server.silence import Silence
from lsp_server.snapshot import Buffer, Snapshot, unix
from lsp_server.snooze import Snooze
from lsp_server.status import SLOW, DocumentStatus, Status, status_of
from lsp_server.switches import OpenDocument, Switches, everywhere
from lsp_server.telling import Telling
from model.request import Completion, Lately

STOP_SECONDS = 5.0


class Session:
    """From `start` to `stop`. Threads report back through the loop, so that nothing here needs a lock."""

    def __init__(self, client: Client, load: LoadCoder = load_first, power: Power | None = None) -> None:
        self.edits = NextEdits()  # what is offered of them: `next_edit`
        self.snooze = Snooze(self.tell)
        self._client = client
        self._configuration = Configuration()
        self._telling = Telling(lambda: client.status(self.status(self._completions.newest)))
        self._power = power or Power()
        self._folders = Folders(client, self.tell, self._power.saves)
        self._preparing = Preparing(self._folders, self._readers, self.inquiry)
        self._model = ServedModel(load, self._preparing, self._on_loaded, self.tell, self._on_taken_over)
        self._completions = Completions(
            self._run,
            lambda path: self._model.patience(self.settings_at(path)),
            self._model.waits_for,
            self._telling.soon,
        )
        quiet, saves = self._preparing.until_quiet, self._power.saves
        self._foresight = Foresight(self, quiet, lambda: self._model.later, saves)
        self._switches = Switches()
        self._started = False
        self._reopening: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()  # starts and stops of threads go one after the other

    async def start(self, settings: Settings, folders: Mapping[Path, Settings]) -> None:
        """Begin loading the model; the folders are indexed when it is there."""
        self._started = True
        await self.configure(settings, folders)

    async def stop(self) -> None:
        """End every thread; what was indexed is kept. One that hangs, in native code or on a disk that has gone, is
        left behind after STOP_SECONDS."""
        self._started = False
        for part in (self.snooze, self._completions, self._telling, self._foresight):
            part.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS), self._changing:
                await self._stop_threads()

    async def configure(self, settings: Settings, folders: Mapping[Path, Settings]) -> None:
        """Live with these settings and folders; only what they touch is restarted."""
        async with self._changing:
            before, now = self._configuration, Configuration(settings, folders)
            self._configuration = now
            self._switches.keep(folders.keys())
            self._power.wanted = settings.server.save_battery
            if not self._started:
                return
            if not now.enabled or not now.loads_as(before):
                self._completions.stop()
                await self._stop_threads()
            if now.enabled:
                self._model.start(settings)
            changed = {root for root in before.indexed if not now.indexes_as(before, root)}
            await self._folders.close_all_but(now.indexed.keys() - changed)
            self._open_folders()
        self.tell()

    def settings_at(self, path: Path | None) -> Settings:
        """The settings that hold for a document."""
        return self._configuration.at(path)

    def edited(self, buffer: Buffer, path: Path | None) -> None:
        """A document was opened or changed. `path`: its file, None for what is none (a notebook's cell)."""
        self._model.wanted()
        self._completions.edited(buffer)
        if self.settings_at(buffer.path).edits.enabled:
            self.edits.changed(buffer)
        if path is not None:
            self._folders.edited(path, buffer.text)
            self._foresight.edited(buffer)

    def closed(self, uri: str, path: Path | None) -> None:
        """A document was closed: the disk counts again."""
        self._switches.forget(uri)
        self._foresight.closed(uri)
        self.edits.forget(uri)
        self._completions.forget(uri, unix(self._folders.closed(path)) if path else "")

    async def suggest(
        self,
        snapshot: Snapshot,
        wait_seconds: float | None = None,
        *,
        explicit: bool = False,
        min_confidence: float = 0.0,
    ) -> Offer | None:
        """The suggestion at a snapshot, None for none. Never waits for the index; see `Completions.suggest`."""
        asked = time.monotonic()
        if why := await self.refusal(snapshot) or self._model.why_unusable:
            self._completions.refused(snapshot, why)
            return None
        was_slow = self._completions.is_slow
        offer = await self._completions.suggest(
            snapshot, wait_seconds, explicit=explicit, min_confidence=min_confidence, asked=asked
        )
        if self._completions.is_slow != was_slow:
            self.tell()
        return offer

    async def next_edit(self, buffer: Buffer, offset: int, others: Sequence[Buffer]) -> EditOffer | None:
        """The next edit for a cursor, None where none is to be offered, or an inline suggestion was shown just there.
        Nothing is learned from or offered in a document that is refused."""
        wanted = self.settings_at(buffer.path).edits
        last = self._completions.last(buffer.uri)
        is_taken = last is not None and last.prefix == unix(buffer.before + buffer.text[:offset])
        if not wanted.enabled or is_taken or self.snooze.is_on or await self.refusal(buffer) is not None:
            return None
        enabled = [other for other in others if self.settings_at(other.path).edits.enabled]
        allowed = [other for other in enabled if await self.refusal(other) is None]
        return await self.edits.offer(buffer, offset, allowed, wanted.min_confidence)

    def preload(self, snapshot: Snapshot) -> None:
        """Work out what is likely to be asked for next."""
        wanted = self.settings_at(snapshot.path).completion
        may_come = self._model.is_usable and wanted.automatic and not self.snooze.is_on
        if may_come and self._switches.known_refusal(*self._asked(snapshot)) is None:
            self._completions.preload(snapshot, wanted.min_confidence)

    async def refusal(self, document: OpenDocument, *, newest: bool = False) -> Silence | None:
        """See `Switches.refusal`."""
        return await self._switches.refusal(*self._asked(document), newest=newest)

    def shown(self, offer: Offer) -> None:
        """The offer went to the client."""
        self._completions.shown(offer)

    def accepted(self, number: int, *, whole: bool = True) -> Offer | None:
        """The client took an offer: drafts learn from it, when the model has time. None: long ago."""
        offer = self._completions.accepted(number, whole=whole)
        if offer is not None and whole:
            prefix, text = offer.prefix, offer.suggestion.text
            self._model.submit(Priority.INDEXING, lambda coder: coder.completer.accepted(prefix, text))
        return offer

    def last_offer(self, uri: str | None = None) -> Offer | None:
        """The newest offer that was shown, of a document if one is named."""
        return self._completions.last(uri)

    async def about(self, document: OpenDocument) -> DocumentStatus:
        """Why nothing is suggested in a document, asked anew, or was by the newest request."""
        settings, off = self.settings_at(document.path), await self.refusal(document, newest=True)
        why = off or self.snooze.silence or self._completions.silence(document.uri)
        return DocumentStatus(document.uri, why or everywhere(settings))

    def tally(self, text_of: Callable[[str], str]) -> Mapping[str, int]:
        """What became of the suggestions; `text_of` gives an open document's text with "\\n" line ends."""
        return self._completions.tally.to_json(text_of)

    def inquiry(self, snapshot: Snapshot) -> Inquiry:
        """What is asked of a coder there."""
        lately = Lately(self.edits.written(), self._completions.typed_over.lines(snapshot))
        return Inquiry(snapshot, self.settings_at(snapshot.path), self._folders.of(snapshot.path), lately)

    async def is_read(self, document: Buffer) -> bool:
        """Whether suggestions are made in a document, by a model that reads blocks."""
        coder, settings = self._model.coder, self.settings_at(document.path)
        reads = coder is not None and coder.completer.mode(settings.model.context) == "blocks"
        return reads and await self.refusal(document) is None

    def reindex(self) -> None:
        """Compare every folder with the disk again."""
        self._folders.rescan()

    def pause(self, paused: bool) -> None:
        """Stop or resume indexing; suggestions go on with what is there."""
        self._folders.pause(paused)
        self.tell()

    def status(self, document: DocumentStatus | None = None) -> Status:
        """What the server is doing, and what the user can do about it. `document`: what is said of one."""
        coder, saves = self._model.coder, self._folders.are_busy and self._power.is_saving
        slow = [SLOW] if self._completions.is_slow else []
        found = status_of(
            model=coder.description if coder else None,
            model_error=self._model.error,
            notes=(*self._model.notes, *slow, *([ON_BATTERY] if saves else [])),
            background=self._model.background,
            coming=self._model.coming,
            folders=self._folders.statuses,
            enabled=self._configuration.enabled,
            paused=self._folders.paused,
            snoozed=self.snooze.end,
        )
        return replace(found, document=document)

    def tell(self) -> None:
        """Send the status to the client."""
        self._telling.now()

    def _asked(self, document: OpenDocument) -> tuple[Settings, Path | None, OpenDocument]:
        """A document with its settings and the outermost folder around it, as `Switches` want them."""
        return self.settings_at(document.path), self._configuration.root_of(document.path), document

    def _run(self, job: Job) -> Future[Completion | None]:
        """Start a job on the model thread. Everything it may read is settled here, on the loop."""
        inquiry = self.inquiry(job.snapshot)
        job.folder = inquiry.workspace.root if inquiry.workspace else None
        later = self._model.later

        def work(coder: LoadedCoder) -> Completion | None:
            completion = inquiry.answer(job, coder)
            if completion and completion.mode == "blocks" and later:
                later.begin(inquiry.holding(coder).blocks)
            return completion

        if not job.ahead:
            self._preparing.asked(job.snapshot)
            self._model.used()
        running = self._model.submit(Priority.COMPLETION, work)
        assert running is not None  # `suggest` saw to it
        return running

    def _on_loaded(self) -> None:
        self._open_folders()
        self._foresight.changed_model()
        self.tell()

    def _on_taken_over(self, before: LoadedCoder, after: LoadedCoder) -> None:
        """Open folders get what this coder reads, too; with another encoder than before, all are opened anew."""
        self._foresight.changed_model()
        if before.index_key != after.index_key:
            self._reopening = asyncio.get_running_loop().create_task(self._reopen_folders())
            return
        self._folders.prepare(self._readers(after))
        self._folders.keep_only(after.fingerprint)

    async def _reopen_folders(self) -> None:
        async with self._changing:
            await self._folders.close_all_but(())
            self._open_folders()
        self.tell()

    def _open_folders(self) -> None:
        coder, embedder = self._model.coder, self._model.embedder
        if coder is None:
            return  # they are opened when the model is there: its fingerprint names the index
        tokenizer, wanted = coder.tokenizer, self._configuration.opened_with
        on_packages = {root: self._folders.on_packages(root) for root in wanted}

        def open_folder(root: Path) -> Index:
            return open_index(root, wanted[root], embedder, tokenizer, on_packages[root])

        watching = watch if self._configuration.base.server.watch else None
        self._folders.open(wanted, open_folder, watching, self._readers(coder))

    def _readers(self, coder: LoadedCoder) -> Callable[[Path], Reader]:
        """A coder as each folder sees it."""
        wanted, base = self._configuration.opened_with, self._configuration.base
        return lambda root: reader_of(coder, wanted.get(root, base), self._folders.on_packages(root))

    async def _stop_threads(self) -> None:
        """The model first: an index thread that waits for it is let go by that."""
        self._folders.stop()
        await self._model.stop()
        await self._folders.close_all_but(())
