"""pygls' protocol, mended where it would lose an answer or an edit.

- A request whose parameters cannot be read, or that comes after `shutdown`, would never be answered; a second
  `initialize` would replace the session's documents.
- What every notification was handled with would be kept for ever, and so would what a request asked of
  another handler.
- A handler may start after later edits were applied (over TCP it does); what it is asked about must be read
  when the request arrives.
- pygls' documents end lines wherever `str.splitlines` does, LSP only at line ends: after a form feed every
  edit would land on the wrong line. And it parses their URIs, which some URIs do not survive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any

from lsprotocol import types
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInternalError,
    JsonRpcInvalidRequest,
    JsonRpcMethodNotFound,
    JsonRpcParseError,
)
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.json_rpc import RPCMessage, RPCRequest
from pygls.workspace import TextDocument, Workspace

from lsp_server.framing import parse
from lsp_server.snapshot import offset_at

SERVER_NOT_INITIALIZED = -32002
LONGEST_METHOD = 128  # characters; pygls recalls names of methods


class ArrivalServer(LanguageServer):
    """A server that may read what a request is about when it arrives."""

    experimental: Mapping[str, Any] = {}  # capabilities that no specification has; pygls would announce none

    def read_at_arrival(self, params: Any) -> Any:
        """What `at_arrival` gives the request's handler; nothing unless a server has something to read."""
        return None


class LspDocument(TextDocument):
    """A document whose edits land where LSP says. Its URI may be anything."""

    def __init__(self, uri: str, source: str | None = None, **about: Any) -> None:
        super().__init__("", source or "", **about)  # it would parse the URI
        self.uri = uri

    def _apply_incremental_change(self, change: types.TextDocumentContentChangePartial) -> None:
        encoding = str(self.position_codec.encoding)  # a plain string: see `LspProtocol.position_encoding`
        text = self.source
        start = offset_at(text, change.range.start, encoding)
        end = offset_at(text, change.range.end, encoding)
        self._source = text[:start] + change.text + text[max(start, end) :]


class LspDocuments(Workspace):
    """A workspace of such documents."""

    def _create_text_document(
        self,
        doc_uri: str,
        source: str | None = None,
        version: int | None = None,
        language_id: str | None = None,
    ) -> TextDocument:
        return LspDocument(
            doc_uri,
            source=source,
            version=version,
            language_id=language_id,
            sync_kind=self._sync_kind,
            position_codec=self.position_codec,
        )


class LspProtocol(LanguageServerProtocol):
    """Exactly one answer for every request, about the document as it was when the request came."""

    _server: ArrivalServer

    def __init__(self, server: Any, converter: Any) -> None:
        super().__init__(server, converter)
        self._at_arrival: ContextVar[Any] = ContextVar("at_arrival", default=None)

    def at_arrival(self) -> Any:
        """What the server's `read_at_arrival` gave for the request that is being handled."""
        return self._at_arrival.get()

    def position_encoding(self) -> str:
        """What the client counts characters in: "utf-8", "utf-16" or "utf-32"."""
        return types.PositionEncodingKind(self.workspace.position_encoding).value

    def use_own_documents(self) -> None:
        """Called while `initialize` is handled, before the first document can be opened."""
        self._workspace = LspDocuments(
            self.workspace.root_uri,
            types.TextDocumentSyncKind.Incremental,
            list(self.workspace.folders.values()),
            self.position_encoding(),
        )

    def handle_body(self, body: bytes) -> None:
        """Handle a message as it came in. Raises nothing: a bug in here must not end the session."""
        try:
            data = parse(body)
        except (ValueError, RecursionError):
            self._send_response(None, error=JsonRpcParseError().to_response_error())
            return
        try:
            number = _number(data)
        except JsonRpcException as error:
            self._send_response(None, error=error.to_response_error())
            return
        try:
            message = self._structured(data)
        except JsonRpcException as error:
            if number is not None and "method" in data:
                self._send_response(number, error=error.to_response_error())
            self._server._report_server_error(error, type(error))
            return
        self._handle_safely(message)

    def handle_message(self, message: RPCMessage) -> None:
        """Refuse a request or hand it on with what it is about; drop what comes too early."""
        if isinstance(message, RPCRequest):
            if refusal := self._refusal(message.method):
                self._send_response(message.id, error=refusal)
                return
            # The handler's task inherits this context.
            self._at_arrival.set(self._server.read_at_arrival(message.params))
        elif self._workspace is None and getattr(message, "method", types.EXIT) != types.EXIT:
            return  # a notification before `initialize` is dropped (LSP 3.18, "initialize")
        super().handle_message(message)

    def _handle_safely(self, message: RPCMessage) -> None:
        try:
            self.handle_message(message)
        except Exception as error:
            self._server._report_server_error(error, JsonRpcInternalError)

    def _structured(self, data: dict[str, Any]) -> Any:
        """The message in JSON. Raises JsonRpcException."""
        method = data.get("method", "")
        if data.get("jsonrpc") != self.VERSION or not isinstance(method, str):
            raise JsonRpcInvalidRequest()
        if len(method) > LONGEST_METHOD:
            raise JsonRpcMethodNotFound()
        return self.structure_message(data)

    def _execute_handler(
        self, msg_id: Any, handler: Any, callback: Any, args: Any = None, kwargs: Any = None
    ) -> None:
        """pygls takes note of what runs, and strikes out what answers a request, nothing else."""
        super()._execute_handler(msg_id, handler, callback, args, kwargs)
        future = self._request_futures.get(msg_id)
        if future is None:
            return
        if future.done():
            self._strike_out(msg_id, future)
        else:  # a little later: at `shutdown` pygls cancels what runs while it walks over the dictionary
            loop = asyncio.get_running_loop()
            future.add_done_callback(lambda done: loop.call_soon_threadsafe(self._strike_out, msg_id, done))

    def _send_response(
        self, msg_id: Any, result: Any = None, error: types.ResponseError | None = None
    ) -> None:
        """A bug's message and traceback may quote source, and editors write answers into logs of their
        own."""
        if isinstance(result, types.InitializeResult):
            result.capabilities.experimental = self._server.experimental
        if error is not None and error.code == JsonRpcInternalError.CODE:
            error = JsonRpcInternalError().to_response_error()
        super()._send_response(msg_id, result, error)

    def _strike_out(self, msg_id: Any, future: Future[Any]) -> None:
        if self._request_futures.get(msg_id) is future:  # a client may use an id twice
            del self._request_futures[msg_id]

    def _refusal(self, method: str) -> types.ResponseError | None:
        if self._shutdown:
            return JsonRpcInvalidRequest("The server is shutting down.").to_response_error()
        if self._workspace is None and method != types.INITIALIZE:
            return types.ResponseError(SERVER_NOT_INITIALIZED, "Send initialize first.")
        if self._workspace is not None and method == types.INITIALIZE:
            return JsonRpcInvalidRequest("The server is initialized.").to_response_error()
        return None


def _number(data: Any) -> str | int | None:
    """A message's id, None where it has none. Raises JsonRpcInvalidRequest for what can have no answer of its
    own."""
    if not isinstance(data, dict):
        raise JsonRpcInvalidRequest()
    number = data.get("id")
    is_sound = isinstance(number, str | int) and not isinstance(number, bool)
    if "method" in data and "id" in data and not is_sound:
        raise JsonRpcInvalidRequest()
    return number if is_sound else None
