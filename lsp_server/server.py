"""create_server(): registers what the client may ask, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lsprotocol import types
from pygls.uris import to_fs_path
from pygls.workspace import TextDocument

from indexer import language_of
from lsp_server.client import EditorClient
from lsp_server.completion import summary
from lsp_server.engine import load_engine
from lsp_server.menu import menu_items
from lsp_server.presentation import Suggestion, inserted
from lsp_server.protocol import Protocol, Reader
from lsp_server.session import LoadEngine, Session
from lsp_server.settings import SECTION, Settings, override, parse
from lsp_server.snapshot import Buffer, Snapshot, take

log = logging.getLogger(__name__)

MENU_TRIGGERS = (".", "(", "[", "{", ",", "=", " ", ":")
NOTHING = types.InlineCompletionList(items=[])  # never null: Neovim leaves the old ghost text on the screen then


class Server(Reader):
    """A pygls server with one session."""

    protocol: Protocol

    def __init__(self, assignments: Sequence[str] = (), load: LoadEngine = load_engine) -> None:
        super().__init__("hef-lsp", own_version(), protocol_cls=Protocol, max_workers=2)
        self.client = EditorClient(self)
        self.session = Session(self.client, override(Settings(), assignments), load)
        self.shutdown_requested = False
        self._assignments = assignments  # of the command line: they win over the editor's
        self._options: dict[str, Any] = {}

    def remember_options(self, options: object) -> None:
        """`initializationOptions`: settings that hold until `workspace/configuration` says otherwise."""
        options = options if isinstance(options, dict) else {}
        self._options = options.get(SECTION, options)

    def initial_settings(self) -> Settings:
        """What is known while `initialize` is answered, when the editor cannot be asked yet."""
        return override(parse(self._options)[0], self._assignments)

    def resolve(self, configuration: dict[str, Any]) -> Settings:
        """Defaults, then initializationOptions, then the configuration, then `--set`. Problems are shown once each."""
        settings, problems = parse(self._options)
        settings, more = parse(configuration, settings)
        for problem in dict.fromkeys(problems + more):
            log.warning("%s", problem)
            self.client.warn(problem)
        return override(settings, self._assignments)

    def read_at_arrival(self, params: Any) -> Snapshot | None:
        """The snapshot that a completion request is about, None when the document is not open: the disk is never read
        for a request."""
        if not isinstance(params, types.InlineCompletionParams | types.CompletionParams):
            return None
        uri = params.text_document.uri
        if unquote(uri) not in self.workspace.text_documents:
            return None
        buffer = _buffer(self.workspace.get_text_document(uri))
        selected = getattr(params.context, "selected_completion_info", None)
        return take(buffer, params.position, str(self.workspace.position_encoding), selected)

    def is_stale(self, snapshot: Snapshot) -> bool:
        """Whether the document has moved on or was closed since."""
        document = self.workspace.text_documents.get(unquote(snapshot.uri))
        return document is None or document.version != snapshot.version

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log the kind of error only: its text may quote the document, and users should not see popups of bugs."""
        log.error("%s: %s", getattr(source, "__name__", source), type(error).__name__)


def create_server(assignments: Sequence[str] = (), load: LoadEngine = load_engine) -> Server:
    """A server that is ready to be started on a transport. Raises ValueError on a wrong `--set`."""
    server = Server(assignments, load)
    _register_life(server)
    _register_documents(server)
    _register_completion(server)
    _register_commands(server)
    return server


def own_version() -> str:
    try:
        return version("hef-lsp")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0+unknown"


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
        ls.session.settings = ls.resolve(await ls.client.configuration())
        await ls.session.start(_folders(ls))
        await ls.client.follow_configuration()

    @server.feature(types.SHUTDOWN)
    async def shutdown(ls: Server, params: None) -> None:
        ls.shutdown_requested = True
        await ls.session.stop()

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def did_change_configuration(ls: Server, params: types.DidChangeConfigurationParams) -> None:
        pushed = params.settings.get(SECTION) if isinstance(params.settings, dict) else None
        configuration = pushed if isinstance(pushed, dict) else await ls.client.configuration()
        await ls.session.configure(ls.resolve(configuration))

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    async def did_change_folders(ls: Server, params: types.DidChangeWorkspaceFoldersParams) -> None:
        await ls.session.set_folders(_folders(ls))


def _register_documents(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(ls: Server, params: types.DidOpenTextDocumentParams) -> None:
        _edited(ls, params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(ls: Server, params: types.DidChangeTextDocumentParams) -> None:
        _edited(ls, params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        ls.session.completions.forget(uri)
        if path := _path(uri):
            ls.session.closed(path)


def _register_completion(server: Server) -> None:
    # Without options pygls advertises nothing, and no editor would ever ask.
    @server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions(work_done_progress=False))
    async def inline_completion(ls: Server, params: types.InlineCompletionParams) -> types.InlineCompletionList:
        automatic = params.context.trigger_kind == types.InlineCompletionTriggerKind.Automatic
        if automatic and not ls.session.settings.completion.automatic:
            return NOTHING
        snapshot = ls.protocol.at_arrival()
        suggestion = await _suggest(ls, snapshot)
        if snapshot is None or suggestion is None:
            return NOTHING
        command = types.Command("Accepted", f"{SECTION}.accepted", arguments=[ls.session.completions.n_offers])
        text, place = inserted(suggestion, snapshot), snapshot.range(suggestion.replace)
        return types.InlineCompletionList([types.InlineCompletionItem(text, range=place, command=command)])


def _register_menu(server: Server) -> None:
    """The completion menu, for clients without inline completion: others would pay for each keystroke twice."""

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=MENU_TRIGGERS))
    async def completion(ls: Server, params: types.CompletionParams) -> types.CompletionList:
        snapshot = ls.protocol.at_arrival()
        suggestion = await _suggest(ls, snapshot)
        items = menu_items(suggestion, snapshot) if snapshot and suggestion else []
        return types.CompletionList(is_incomplete=True, items=items)


def _register_commands(server: Server) -> None:
    @server.command(f"{SECTION}.accepted")
    def accepted(ls: Server, number: int) -> None:
        ls.session.completions.accepted(number)

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
    def status(ls: Server, *_: Any) -> dict[str, Any]:
        offers = {"offered": ls.session.completions.n_offers, "accepted": ls.session.completions.n_accepted}
        return ls.session.status().to_json() | {"suggestions": offers}

    @server.command(f"{SECTION}.context")
    def context(ls: Server, *_: Any) -> Any:
        last = ls.session.completions.last
        return summary(last) if last else None


async def _suggest(ls: Server, snapshot: Snapshot | None) -> Suggestion | None:
    """The suggestion unless the document has moved on meanwhile; the client's cancel raises CancelledError."""
    if snapshot is None:
        return None
    suggestion = await ls.session.suggest(snapshot)
    return None if ls.is_stale(snapshot) else suggestion


def _edited(ls: Server, uri: str) -> None:
    if path := _path(uri):
        ls.session.edited(path, ls.workspace.get_text_document(uri).source)


def _buffer(document: TextDocument) -> Buffer:
    language = document.language_id or language_of(document.path or "")
    return Buffer(document.uri, document.version, _path(document.uri), language, document.source)


def _folders(ls: Server) -> list[Path]:
    """The workspace folders on this disk; an older client's root when it names no folders."""
    uris = list(ls.workspace.folders) or ([ls.workspace.root_uri] if ls.workspace.root_uri else [])
    return [path for uri in uris if (path := _path(uri)) and path.is_dir()]


def _path(uri: str) -> Path | None:
    path = to_fs_path(uri) if uri.startswith("file:") else None
    return Path(path) if path else None


__all__ = ["Server", "create_server"]
