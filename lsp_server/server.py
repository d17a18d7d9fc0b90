"""create_server(): registers what the client may ask, and nothing else."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lsprotocol import types

from lsp_server.client import EditorClient
from lsp_server.coder import LoadCoder
from lsp_server.documents import NOTEBOOKS, buffer_of, cells_of, folders_of, on_disk, path_of
from lsp_server.edit_handlers import register_next_edits
from lsp_server.imports import ImportAdder
from lsp_server.inline_edit import CAPABILITIES
from lsp_server.loading import load_first
from lsp_server.menu import acceptance, menu_item
from lsp_server.offers import Offer, summary
from lsp_server.presentation import inserted
from lsp_server.protocol import ArrivalServer, LspProtocol
from lsp_server.session import Session
from lsp_server.settings import DEFAULTS, SECTION, CompletionSettings, Settings, override, parse
from lsp_server.snapshot import Snapshot, behind, take
from lsp_server.snooze import register_snooze
from lsp_server.trouble import described
from lsp_server.version import own_version

log = logging.getLogger(__name__)

MENU_TRIGGERS = (".", "(", "[", "{", ",", "=", " ", ":")
NOTHING = types.InlineCompletionList(items=[])  # never null: Neovim leaves the old ghost text there then


class Server(ArrivalServer):
    """A pygls server with one session."""

    protocol: LspProtocol
    experimental = CAPABILITIES

    def __init__(self, assignments: Sequence[str] = (), load: LoadCoder = load_first) -> None:
        super().__init__(
            "hef-lsp",
            own_version(),
            notebook_document_sync=NOTEBOOKS,
            protocol_cls=LspProtocol,
            max_workers=2,
        )
        self.client = EditorClient(self)
        self.session = Session(self.client, load)
        self.imports = ImportAdder(self, self.session)
        self.shutdown_requested = False
        self._assignments = assignments  # of the command line: they win over the editor's
        self._options: dict[str, Any] = {}
        self._pushed: dict[str, Any] = {}  # by an editor that cannot be asked
        override(DEFAULTS, assignments)  # a wrong one is refused before anything starts

    def remember_options(self, options: object) -> None:
        """`initializationOptions`: settings that hold until `workspace/configuration` says otherwise."""
        options = options if isinstance(options, dict) else {}
        self._options = options.get(SECTION, options)

    def remember_pushed(self, configuration: object) -> None:
        """What `workspace/didChangeConfiguration` carries."""
        pushed = configuration.get(SECTION) if isinstance(configuration, dict) else None
        self._pushed = pushed if isinstance(pushed, dict) else self._pushed

    def initial_settings(self) -> Settings:
        """What is known while `initialize` is answered, when the editor cannot be asked yet."""
        return override(parse(self._options)[0], self._assignments)

    async def settings(self) -> tuple[Settings, dict[Path, Settings]]:
        """The settings, and those of each folder: defaults, then initializationOptions, then the editor's,
        then `--set`. Problems are shown once each."""
        folders, silent = await on_disk(folders_of(self.workspace))
        found, of_folders = await self.client.configuration(folders)
        base, problems = parse(self._options)
        problems += [f"{path.name} is not indexed: its disk does not answer." for path in silent]
        base, more = parse(found or self._pushed, base)
        resolved = {path: parse(own, base) for path, own in zip(folders.values(), of_folders, strict=True)}
        of_theirs = [problem for _, theirs in resolved.values() for problem in theirs]
        for problem in dict.fromkeys([*problems, *more, *of_theirs]):
            log.warning("%s", problem)
            self.client.warn(problem)
        own = {path: override(settings, self._assignments) for path, (settings, _) in resolved.items()}
        return override(base, self._assignments), own

    def read_at_arrival(self, params: Any) -> Snapshot | None:
        """The snapshot that a completion request is about, None when the document is not open."""
        if not isinstance(params, types.InlineCompletionParams | types.CompletionParams):
            return None
        buffer = buffer_of(self.workspace, params.text_document.uri)
        if buffer is None or buffer.size > self.session.settings_at(buffer.path).completion.max_file_chars:
            return None  # a large document costs a keystroke nothing but its edit
        selected = getattr(params.context, "selected_completion_info", None)
        return take(buffer, params.position, self.protocol.position_encoding(), selected)

    def is_stale(self, snapshot: Snapshot) -> bool:
        """Whether the document has moved on or was closed since."""
        document = self.workspace.text_documents.get(unquote(snapshot.uri))
        return document is None or document.version != snapshot.version

    def edited(self, uri: str) -> None:
        """A document was opened or changed."""
        if buffer := buffer_of(self.workspace, uri):
            self.session.edited(buffer, path_of(uri))

    def text_of(self, uri: str) -> str:
        """An open document's text with "\\n" line ends, "" of one that is not open."""
        buffer = buffer_of(self.workspace, uri)
        return buffer.whole if buffer else ""

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log the error without its text, which may quote the document; users should not see bugs pop up."""
        handled = sys.exception() or error  # pygls hands over one of its own, without a traceback
        log.error("%s: %s", getattr(source, "__name__", source), described(handled))


def create_server(assignments: Sequence[str] = (), load: LoadCoder = load_first) -> Server:
    """A server that is ready to be started on a transport. Raises ValueError on a wrong `--set`."""
    server = Server(assignments, load)
    _register_life(server)
    _register_documents(server)
    _register_completion(server)
    _register_commands(server)
    register_next_edits(server, server.session)
    register_snooze(server, server.session.snooze, server.client.warn)
    return server


def _register_life(server: Server) -> None:
    @server.feature(types.INITIALIZE)
    def initialize(ls: Server, params: types.InitializeParams) -> None:
        ls.protocol.use_own_documents()
        ls.remember_options(params.initialization_options)
        documents = params.capabilities.text_document
        has_inline = documents is not None and documents.inline_completion is not None
        if not has_inline or ls.initial_settings().completion.in_menu:
            _register_menu(ls)

    @server.feature(types.INITIALIZED)
    async def initialized(ls: Server, params: types.InitializedParams) -> None:
        await ls.session.start(*await ls.settings())
        await ls.client.follow_configuration()

    @server.feature(types.SHUTDOWN)
    async def shutdown(ls: Server, params: None) -> None:
        ls.shutdown_requested = True
        await ls.session.stop()

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def did_change_configuration(ls: Server, params: types.DidChangeConfigurationParams) -> None:
        ls.remember_pushed(params.settings)
        await ls.session.configure(*await ls.settings())

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    async def did_change_folders(ls: Server, params: types.DidChangeWorkspaceFoldersParams) -> None:
        await ls.session.configure(*await ls.settings())


def _register_documents(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(ls: Server, params: types.DidOpenTextDocumentParams) -> None:
        ls.edited(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(ls: Server, params: types.DidChangeTextDocumentParams) -> None:
        ls.edited(params.text_document.uri)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def did_change_notebook(ls: Server, params: types.DidChangeNotebookDocumentParams) -> None:
        for uri in cells_of(ls.workspace, params.notebook_document.uri):
            ls.edited(uri)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def did_close_notebook(ls: Server, params: types.DidCloseNotebookDocumentParams) -> None:
        for cell in params.cell_text_documents:
            ls.session.closed(cell.uri, None)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
        ls.session.closed(params.text_document.uri, path_of(params.text_document.uri))


def _register_completion(server: Server) -> None:
    # Without options pygls advertises nothing, and no editor would ever ask.
    options = types.InlineCompletionOptions(work_done_progress=False)

    @server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, options)
    async def inline_completion(
        ls: Server, params: types.InlineCompletionParams
    ) -> types.InlineCompletionList:
        snapshot = ls.protocol.at_arrival()
        automatic = params.context.trigger_kind == types.InlineCompletionTriggerKind.Automatic
        wanted = ls.session.settings_at(snapshot.path if snapshot else None).completion
        if automatic and (not wanted.automatic or ls.session.snooze.is_on):
            return NOTHING
        offer = await _offer(ls, snapshot, explicit=not automatic, wanted=wanted)
        if snapshot is None or offer is None:
            return NOTHING
        text, place = inserted(offer.suggestion, snapshot), snapshot.range(offer.suggestion.replace)
        item = types.InlineCompletionItem(text, range=place, command=acceptance(offer))
        return types.InlineCompletionList([item])

    @server.command(f"{SECTION}.acceptedPart")
    def accepted_part(ls: Server, number: int) -> None:
        ls.session.accepted(number, whole=False)


def _register_menu(server: Server) -> None:
    """The completion menu, for clients without inline completion: others would pay for each keystroke
    twice."""

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=MENU_TRIGGERS))
    async def completion(ls: Server, params: types.CompletionParams) -> types.CompletionList:
        snapshot = ls.protocol.at_arrival()
        wanted = ls.session.settings_at(snapshot.path if snapshot else None).completion
        by_character = types.CompletionTriggerKind.TriggerCharacter
        came_so = params.context is not None and params.context.trigger_kind == by_character
        if ls.session.snooze.is_on or (came_so and not wanted.automatic):
            return types.CompletionList(is_incomplete=True, items=[])
        # The editor shows no menu at all while it waits; the model goes on for the next keystroke.
        offer = await _offer(ls, snapshot, wanted.menu_wait_ms / 1e3)
        if snapshot is None or offer is None:
            return types.CompletionList(is_incomplete=True, items=[])
        imports = await ls.imports.for_item(offer, snapshot)
        item = menu_item(offer.suggestion, snapshot, acceptance(offer), imports)
        return types.CompletionList(is_incomplete=True, items=[item])


def _register_commands(server: Server) -> None:
    @server.command(f"{SECTION}.accepted")
    def accepted(ls: Server, number: int) -> None:
        offer = ls.session.accepted(number)
        if offer is None:
            return
        buffer = buffer_of(ls.workspace, offer.uri)
        if buffer and (snapshot := behind(offer.accepted_prefix, buffer)):
            ls.session.preload(snapshot)
        ls.imports.accepted(offer)

    @server.command(f"{SECTION}.reindex")
    def reindex(ls: Server, *_: Any) -> None:
        ls.session.reindex()

    @server.command(f"{SECTION}.pause")
    def pause(ls: Server, *_: Any) -> None:
        ls.session.pause(True)

    @server.command(f"{SECTION}.resume")
    def resume(ls: Server, *_: Any) -> None:
        ls.session.pause(False)

    @server.command(f"{SECTION}.status")
    async def status(ls: Server, *uri: Any) -> dict[str, Any]:
        """The status; with the URI of an open document also whether and why nothing is suggested in it."""
        found = ls.session.status().to_json()
        found["suggestions"] = ls.session.tally(ls.text_of)
        named = _named(uri)
        buffer = buffer_of(ls.workspace, named) if named is not None else None
        if buffer:
            found["document"] = (await ls.session.about(buffer)).to_json()
        return found

    @server.command(f"{SECTION}.context")
    def context(ls: Server, *uri: Any) -> Any:
        """What the last suggestion, of a document if one is named, was made from."""
        last = ls.session.last_offer(_named(uri))
        return summary(last) if last else None


def _named(arguments: Sequence[Any]) -> str | None:
    """The document that a command is about; a client may send anything."""
    return next((uri for uri in arguments[:1] if isinstance(uri, str)), None)


async def _offer(
    ls: Server,
    snapshot: Snapshot | None,
    wait_seconds: float | None = None,
    *,
    explicit: bool = False,
    wanted: CompletionSettings | None = None,  # in a menu anything goes
) -> Offer | None:
    """The offer unless the document has moved on meanwhile; the client's cancel raises CancelledError."""
    if snapshot is None:
        return None
    least = wanted.min_confidence if wanted else 0.0
    offer = await ls.session.suggest(snapshot, wait_seconds, explicit=explicit, min_confidence=least)
    is_ready_only = wanted and wanted.subtle and not (explicit or (offer and offer.explicit))
    if offer is None or ls.is_stale(snapshot) or is_ready_only:
        return None
    ls.session.shown(offer)
    return offer
