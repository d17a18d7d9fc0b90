"""pygls' protocol, mended where it would lose an answer or an edit.

- A request whose parameters cannot be read, or that comes after `shutdown`, would never be answered.
- A handler may start after later edits were applied (over TCP it does); what it is asked about must be read when the
  request arrives.
- pygls' documents end lines wherever `str.splitlines` does, LSP only at line ends: after a form feed every edit would
  land on the wrong line.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidRequest
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.json_rpc import RPCMessage, RPCRequest
from pygls.workspace import TextDocument, Workspace

from lsp_server.snapshot import offset_at

SERVER_NOT_INITIALIZED = -32002


class Reader(LanguageServer):
    """A server that may read what a request is about when it arrives."""

    def read_at_arrival(self, params: Any) -> Any:
        """What `at_arrival` gives the request's handler; nothing unless a server has something to read."""
        return None


class Document(TextDocument):
    """A document whose edits land where LSP says."""

    def _apply_incremental_change(self, change: types.TextDocumentContentChangePartial) -> None:
        encoding = str(self.position_codec.encoding)
        text = self.source
        start = offset_at(text, change.range.start, encoding)
        end = offset_at(text, change.range.end, encoding)
        self._source = text[:start] + change.text + text[max(start, end) :]


class Documents(Workspace):
    """A workspace of such documents."""

    def _create_text_document(
        self, doc_uri: str, source: str | None = None, version: int | None = None, language_id: str | None = None
    ) -> TextDocument:
        return Document(
            doc_uri,
            source=source,
            version=version,
            language_id=language_id,
            sync_kind=self._sync_kind,
            position_codec=self.position_codec,
        )


class Protocol(LanguageServerProtocol):
    """Exactly one answer for every request, about the document as it was when the request came."""

    _server: Reader

    def __init__(self, server: Any, converter: Any) -> None:
        super().__init__(server, converter)
        self._at_arrival: ContextVar[Any] = ContextVar("at_arrival", default=None)

    def at_arrival(self) -> Any:
        """What the server's `read_at_arrival` gave for the request that is being handled."""
        return self._at_arrival.get()

    def use_own_documents(self) -> None:
        """Called while `initialize` is handled, before the first document can be opened."""
        self._workspace = Documents(
            self.workspace.root_uri,
            types.TextDocumentSyncKind.Incremental,
            list(self.workspace.folders.values()),
            self.workspace.position_encoding,
        )

    def structure_message(self, data: dict[str, Any]) -> Any:
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            if "method" in data and "id" in data:
                self._send_response(data["id"], error=error.to_response_error())
            raise

    def handle_message(self, message: RPCMessage) -> None:
        if isinstance(message, RPCRequest) and (refusal := self._refusal(message.method)):
            self._send_response(message.id, error=refusal)
        else:
            if isinstance(message, RPCRequest):  # the handler's task inherits this context
                self._at_arrival.set(self._server.read_at_arrival(message.params))
            super().handle_message(message)

    def _refusal(self, method: str) -> types.ResponseError | None:
        if self._shutdown:
            return JsonRpcInvalidRequest("The server is shutting down.").to_response_error()
        if self._workspace is None and method != types.INITIALIZE:
            return types.ResponseError(SERVER_NOT_INITIALIZED, "Send initialize first.")
        return None
