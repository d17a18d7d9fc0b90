"""A language client over real stdio or TCP: the editor of the end-to-end tests."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.client import LanguageClient
from pygls.protocol import default_converter

from tests import tiny_coder

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = (sys.executable, str(ROOT / "tests" / "servers" / "scripted_server.py"))
WAIT_SECONDS = 20.0
CONVERTER = default_converter()  # takes half a second to make
INLINE = types.InlineCompletionClientCapabilities()
NOTEBOOKS = types.NotebookDocumentClientCapabilities(types.NotebookDocumentSyncClientCapabilities())


class Editor(LanguageClient):
    """Opens, types and asks like a person's editor does, and remembers what the server said."""

    def __init__(self, configuration: dict[str, Any] | None = None) -> None:
        super().__init__("test-editor", "1", converter_factory=lambda: CONVERTER)
        self.configuration = configuration
        self.folder_configuration: dict[str | None, dict[str, Any]] = {}  # by the folder's URI
        self.statuses: list[dict[str, Any]] = []
        self.messages: list[str] = []
        self.progress: list[Any] = []
        self.versions: dict[str, int] = {}
        self._numbers = itertools.count()
        self._listen()

    async def start(self, command: tuple[str, ...], *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT)]), "OMP_NUM_THREADS": "1"}
        await self.start_io(*command, *arguments, env=environment)

    async def hello(
        self,
        *folders: Path,
        inline: bool = True,
        encodings: tuple[str, ...] = ("utf-16",),
        options: Any = tiny_coder.OPTIONS,
        applies_edits: bool = False,
    ) -> types.ServerCapabilities:
        answer = await self.initialize_async(
            types.InitializeParams(
                capabilities=types.ClientCapabilities(
                    text_document=types.TextDocumentClientCapabilities(
                        inline_completion=INLINE if inline else None
                    ),
                    notebook_document=NOTEBOOKS,
                    workspace=types.WorkspaceClientCapabilities(
                        configuration=self.configuration is not None,
                        workspace_folders=True,
                        apply_edit=applies_edits,
                        workspace_edit=types.WorkspaceEditClientCapabilities(document_changes=applies_edits),
                    ),
                    window=types.WindowClientCapabilities(work_done_progress=True),
                    general=types.GeneralClientCapabilities(
                        position_encodings=[types.PositionEncodingKind(name) for name in encodings]
                    ),
                ),
                initialization_options=options,
                workspace_folders=[_folder(folder) for folder in folders] or None,
            )
        )
        self.initialized(types.InitializedParams())
        return answer.capabilities

    async def bye(self) -> int:
        """shutdown and exit. Returns the server's exit code."""
        await self.shutdown_async(None)
        self.exit(None)
        return await self.gone()

    async def gone(self) -> int:
        assert self._server is not None
        return await asyncio.wait_for(self._server.wait(), WAIT_SECONDS)

    async def until(self, what: Callable[[], Any], why: str, seconds: float = WAIT_SECONDS) -> Any:
        """Wait for something to become true; say what did not otherwise."""
        for _ in range(int(seconds / 0.02)):
            if found := what():
                return found
            await asyncio.sleep(0.02)
        raise AssertionError(f"{why}; last status: {self.statuses[-1:]}, messages: {self.messages}")

    async def until_ready(self) -> dict[str, Any]:
        return await self.until(
            lambda: [s for s in self.statuses[-1:] if s["state"] == "ready"], "never ready"
        )

    def open(self, uri: str, text: str, language: str = "python") -> None:
        self.versions[uri] = 1
        document = types.TextDocumentItem(uri, language, 1, text)
        self.text_document_did_open(types.DidOpenTextDocumentParams(document))

    def close(self, uri: str) -> None:
        self.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))

    def type(self, uri: str, line: int, character: int, text: str, *, erase: int = 0) -> None:
        """Put `text` in place of the `erase` characters before the position."""
        place = types.Range(types.Position(line, character - erase), types.Position(line, character))
        self.edit(uri, types.TextDocumentContentChangePartial(range=place, text=text))

    def edit(self, uri: str, *changes: types.TextDocumentContentChangeEvent) -> None:
        self.versions[uri] += 1
        document = types.VersionedTextDocumentIdentifier(version=self.versions[uri], uri=uri)
        self.text_document_did_change(types.DidChangeTextDocumentParams(document, list(changes)))

    def ask(
        self, uri: str, line: int, character: int, selected: types.SelectedCompletionInfo | None = None
    ) -> asyncio.Future[types.InlineCompletionList]:
        """Send an inline completion request; `params.id` of its cancel is the future's `request_id`."""
        params = types.InlineCompletionParams(
            types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic, selected),
            types.TextDocumentIdentifier(uri),
            types.Position(line, character),
        )
        number = f"inline-{next(self._numbers)}"
        answer = asyncio.wrap_future(
            self.protocol.send_request(types.TEXT_DOCUMENT_INLINE_COMPLETION, params, msg_id=number)
        )
        answer.request_id = number  # type: ignore[attr-defined]
        return answer

    def take_back(self, answer: asyncio.Future[Any]) -> None:
        """Send $/cancelRequest for an `ask`."""
        self.cancel_request(types.CancelParams(id=answer.request_id))  # type: ignore[attr-defined]

    async def suggestions(self, uri: str, line: int, character: int) -> list[str]:
        answer = await asyncio.wait_for(self.ask(uri, line, character), WAIT_SECONDS)
        return [str(item.insert_text) for item in answer.items]

    async def command(self, name: str, *arguments: Any) -> Any:
        params = types.ExecuteCommandParams(f"hef-lsp.{name}", list(arguments))
        return plain(await asyncio.wait_for(self.workspace_execute_command_async(params), WAIT_SECONDS))

    def raw(self, method: str, params: Any) -> asyncio.Future[Any]:
        """Send a request as it stands, sound or not."""
        number = f"raw-{next(self._numbers)}"
        answer: Future[Any] = Future()
        self.protocol._request_futures[number] = answer
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()
        assert self.protocol.writer is not None
        self.protocol.writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return asyncio.wrap_future(answer)

    def change_folders(self, added: tuple[Path, ...] = (), removed: tuple[Path, ...] = ()) -> None:
        event = types.WorkspaceFoldersChangeEvent(
            added=[_folder(folder) for folder in added], removed=[_folder(folder) for folder in removed]
        )
        self.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event))

    async def leave(self) -> None:
        """Kill a server that still runs, and end the client's own tasks."""
        if self._server is not None and self._server.returncode is None:
            self._server.kill()
        await asyncio.wait_for(self.stop(), WAIT_SECONDS)
        if isinstance(self.protocol.writer, asyncio.StreamWriter):  # of TCP; pygls leaves its socket open
            self.protocol.writer.close()
        if self._server is not None:
            self._server._transport.close()  # type: ignore[attr-defined]

    def _listen(self) -> None:
        @self.feature("hef-lsp/status")
        def on_status(params: Any) -> None:
            self.statuses.append(plain(params))

        @self.feature(types.WINDOW_SHOW_MESSAGE)
        def on_message(params: types.ShowMessageParams) -> None:
            self.messages.append(params.message)

        @self.feature(types.WINDOW_WORK_DONE_PROGRESS_CREATE)
        def on_create(params: types.WorkDoneProgressCreateParams) -> None:
            return None

        @self.feature(types.PROGRESS)
        def on_progress(params: types.ProgressParams) -> None:
            self.progress.append(plain(params.value))

        @self.feature(types.WORKSPACE_CONFIGURATION)
        def on_configuration(params: types.ConfigurationParams) -> list[Any]:
            return [
                self.folder_configuration.get(item.scope_uri, self.configuration) for item in params.items
            ]


def _folder(path: Path) -> types.WorkspaceFolder:
    return types.WorkspaceFolder(uri=path.as_uri(), name=path.name)


def plain(value: Any) -> Any:
    """JSON as it was sent: pygls hands over what LSP does not define as named tuples."""
    if hasattr(value, "_asdict"):
        return {name: plain(item) for name, item in value._asdict().items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
