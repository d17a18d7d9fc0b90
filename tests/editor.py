"""A small editor: starts the real server over stdio, keeps one text per document, types, and asks for suggestions."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.client import LanguageClient

SERVER = (sys.executable, "-m", "lsp_server.cli")
READY = ("ready", "error", "disabled", "paused")  # states of `hef-lsp/status` in which nothing more will come


class Editor:
    """One client with one folder open. Positions are (0-based line, UTF-16 column), as in LSP."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.status: dict[str, Any] = {}  # the last `hef-lsp/status`
        self.client = LanguageClient("hef-lsp tests", "1")
        self._texts: dict[str, str] = {}
        self._versions: dict[str, int] = {}
        self.client.feature("hef-lsp/status")(self._on_status)
        self.client.feature(types.WORKSPACE_CONFIGURATION)(lambda params: [None for _ in params.items])
        self.client.feature(types.WINDOW_WORK_DONE_PROGRESS_CREATE)(lambda _: None)
        for notice in (types.WINDOW_LOG_MESSAGE, types.WINDOW_SHOW_MESSAGE, types.PROGRESS):
            self.client.feature(notice)(lambda _: None)

    async def start(self, cache: Path, *arguments: str) -> types.InitializeResult:
        """Start the server with these arguments and this cache directory, and shake hands."""
        env = {**os.environ, "HEF_CACHE_DIR": str(cache)}
        await self.client.start_io(*SERVER, *arguments, env=env, cwd=Path(__file__).parent.parent)
        uri = self.root.as_uri()
        capabilities = types.ClientCapabilities(
            window=types.WindowClientCapabilities(work_done_progress=True),
            text_document=types.TextDocumentClientCapabilities(
                inline_completion=types.InlineCompletionClientCapabilities()
            ),
        )
        folder = types.WorkspaceFolder(uri=uri, name=self.root.name)
        answer = await self.client.initialize_async(
            types.InitializeParams(capabilities, process_id=os.getpid(), root_uri=uri, workspace_folders=[folder])
        )
        self.client.initialized(types.InitializedParams())
        return answer

    async def stop(self) -> int | None:
        """Shut the server down; its exit code."""
        await self.client.shutdown_async(None)
        self.client.exit(None)
        await self.client.stop()
        return self.client._server.returncode if self.client._server else None

    @property
    def server_pid(self) -> int:
        assert self.client._server is not None, "the server was not started"
        return self.client._server.pid

    def open(self, path: Path, text: str) -> str:
        """Open a document with this text, saved or not; its URI."""
        uri = path.as_uri()
        self._texts[uri], self._versions[uri] = text, 1
        item = types.TextDocumentItem(uri=uri, language_id="python", version=1, text=text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return uri

    def type(self, uri: str, offset: int, text: str, replaced: int = 0) -> int:
        """Put `text` over `replaced` characters at `offset`; the offset behind it."""
        old = self._texts[uri]
        span = types.Range(position(old, offset), position(old, offset + replaced))
        self._texts[uri] = old[:offset] + text + old[offset + replaced :]
        self._versions[uri] += 1
        document = types.VersionedTextDocumentIdentifier(uri=uri, version=self._versions[uri])
        change = types.TextDocumentContentChangePartial(range=span, text=text)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))
        return offset + len(text)

    async def suggestions(self, uri: str, offset: int) -> tuple[list[types.InlineCompletionItem], float]:
        """What the server suggests at an offset, and the milliseconds until its answer."""
        start = time.perf_counter()
        answer = await self.client.text_document_inline_completion_async(
            types.InlineCompletionParams(
                types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic),
                types.TextDocumentIdentifier(uri),
                position(self._texts[uri], offset),
            )
        )
        ms = (time.perf_counter() - start) * 1e3
        return list(answer.items if isinstance(answer, types.InlineCompletionList) else answer or ()), ms

    async def command(self, name: str) -> Any:
        """What a command of the server answers, as JSON."""
        return plain(await self.client.workspace_execute_command_async(types.ExecuteCommandParams(name)))

    def _on_status(self, status: Any) -> None:
        self.status = plain(status)


def position(text: str, offset: int) -> types.Position:
    """The LSP position of a character offset."""
    line_start = text.rfind("\n", 0, offset) + 1
    column = len(text[line_start:offset].encode("utf-16-le")) // 2
    return types.Position(line=text.count("\n", 0, offset), character=column)


def inserted(item: types.InlineCompletionItem) -> str:
    """The text of a suggestion."""
    text = item.insert_text
    return text if isinstance(text, str) else text.value


def plain(answer: Any) -> Any:
    """JSON as it came: pygls hands objects that LSP does not define over as named tuples."""
    if hasattr(answer, "_asdict"):
        return {name: plain(value) for name, value in answer._asdict().items()}
    return [plain(value) for value in answer] if isinstance(answer, list | tuple) else answer
