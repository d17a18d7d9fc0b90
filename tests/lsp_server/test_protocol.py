"""Edits land where LSP says, whatever the text."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from lsprotocol.types import Position, Range, TextDocumentContentChangePartial
from pygls.workspace import PositionCodec

from lsp_server.protocol import LspDocument
from lsp_server.server import Server, create_server
from lsp_server.snapshot import offset_at, units

ALPHABET = ["a", "é", "漢", "😀", "\n", "\r\n", "\r", "\x0c", "\u2028", "\t"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_random_edits_give_the_text_that_the_client_has(encoding: str) -> None:
    choose = random.Random(7)
    text = "".join(choose.choices(ALPHABET, k=60))
    document = LspDocument("untitled:a", text, position_codec=PositionCodec(encoding))
    for _ in range(200):
        first, last = sorted(choose.randrange(len(text) + 1) for _ in range(2))
        start, end = _position(text, first, encoding), _position(text, last, encoding)
        first, last = offset_at(text, start, encoding), offset_at(text, end, encoding)
        new = "".join(choose.choices(ALPHABET, k=choose.randrange(4)))
        document.apply_change(TextDocumentContentChangePartial(range=Range(start, end), text=new))
        text = text[:first] + new + text[last:]
        assert document.source == text


def _position(text: str, offset: int, encoding: str) -> Position:
    """Counted independently of the code under test."""
    line = column = index = 0
    while index < offset:
        if text[index] == "\r" and text[index + 1 : index + 2] == "\n":
            if index + 1 >= offset:
                break
            index += 1
        if text[index] in "\r\n":
            line, column = line + 1, 0
        else:
            column += units(text[index], encoding)
        index += 1
    return Position(line, column)


class Screen:
    """A writer that keeps what was answered."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        message = json.loads(data.partition(b"\r\n\r\n")[2])
        self.answers += [message] if "method" not in message else []

    def close(self) -> None: ...


def say(server: Server, method: str, params: Any = None, **about: Any) -> None:
    server.protocol.handle_body(
        json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **about}).encode()
    )


@pytest.mark.asyncio
async def test_nothing_is_kept_of_what_was_handled() -> None:
    server, screen = create_server(), Screen()
    server.protocol.set_writer(screen)
    say(server, "initialize", {"processId": None, "rootUri": None, "capabilities": {}}, id=1)
    for number in range(20):
        uri = f"untitled:{number}"
        document = {"uri": uri, "languageId": "python", "version": 1, "text": "x = 1\n"}
        say(server, "textDocument/didOpen", {"textDocument": document})
        change = {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [{"text": "y = 1\n"}]}
        say(server, "textDocument/didChange", change)
        say(server, "workspace/didChangeConfiguration", {"settings": {}})  # its handler is a task
        say(
            server, "workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": []}}
        )  # and one in this
        say(server, "workspace/executeCommand", {"command": "hef-lsp.status"}, id=f"status {number}")
        say(server, "textDocument/didClose", {"textDocument": {"uri": uri}})
    for _ in range(100):
        await asyncio.sleep(0.01)
        if not server.protocol._request_futures:
            break
    assert len(screen.answers) == 21
    assert not server.protocol._request_futures
    assert not server.protocol._result_types
    assert not server.session._folders._texts
    assert not server.session._completions._documents
    assert not server.workspace.text_documents


@pytest.mark.asyncio
async def test_shutdown_is_answered_while_notifications_are_handled() -> None:
    server, screen = create_server(), Screen()
    asks = {"workspace": {"configuration": True}}  # and does not answer: the handlers wait
    server.protocol.set_writer(screen)
    say(server, "initialize", {"processId": None, "rootUri": None, "capabilities": asks}, id=1)
    say(server, "workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": []}})
    say(server, "workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": []}})
    await asyncio.sleep(0.1)
    say(server, "shutdown", id=2)
    for _ in range(500):
        await asyncio.sleep(0.01)
        if len(screen.answers) == 2:
            break
    assert screen.answers[-1] == {"jsonrpc": "2.0", "id": 2, "result": None}
