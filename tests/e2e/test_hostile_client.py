"""Whatever a client or a web page sends: one answer to each request, one sentence for what is no LSP, no traceback."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.memory import peak_mb
from tests.wire import SCRIPTED, Wire

URI = "untitled:one"
DEEP = b"[" * 100_000


@pytest.fixture
def wire(script: Callable[..., Path], tmp_path: Path) -> Iterator[Wire]:
    with Wire(*SCRIPTED, str(script()), errors=tmp_path / "stderr") as wire:
        yield wire


def alive(wire: Wire, uri: str = URI) -> None:
    """Documents work."""
    wire.open(uri, "x = \n")
    (item,) = wire.ask(uri, 0, 4)["result"]["items"]
    assert item["insertText"] == "value_one"


def ends_well(wire: Wire) -> None:
    alive(wire)
    assert wire.bye() == 0
    assert "Traceback" not in wire.errors


@pytest.mark.parametrize("header", [b"Content-Length: 1000000000000\r\n\r\n", b"a" * 10_000_000, b"\r\n"])
def test_what_is_no_header_ends_the_server_with_a_sentence(wire: Wire, header: bytes) -> None:
    wire.raw(header)
    assert wire.gone() == 1
    assert wire.errors.startswith("hef-lsp: ")
    assert wire.errors.count("\n") == 1
    assert wire.errors.endswith(".\n")


def test_a_refused_length_takes_no_memory_and_the_largest_allowed_only_what_comes(wire: Wire) -> None:
    wire.hello()
    before = peak_mb(wire.process.pid)
    wire.raw(b"Content-Length: 268435456\r\n\r\n{")
    time.sleep(0.5)
    assert peak_mb(wire.process.pid) - before < 32
    wire._to.close()
    assert wire.gone() == 1
    assert "Traceback" not in wire.errors


def test_header_names_are_read_whatever_their_case(wire: Wire) -> None:
    wire.hello()
    body = json.dumps({"jsonrpc": "2.0", "id": "a", "method": "workspace/executeCommand",
                       "params": {"command": "hef-lsp.status"}}).encode()  # fmt: skip
    wire.raw(
        b"content-type: application/vscode-jsonrpc; charset=utf-8\r\nCONTENT-LENGTH:%d\r\n\r\n" % len(body)
        + body
    )
    assert "result" in wire.answer("a")
    ends_well(wire)


def test_a_second_initialize_is_refused_and_changes_nothing(wire: Wire) -> None:
    wire.hello({"general": {"positionEncodings": ["utf-8"]}, "textDocument": {"inlineCompletion": {}}})
    wire.open(URI, "é = \n")
    again = wire.request("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
    assert again["error"]["code"] == -32600
    assert [item["insertText"] for item in wire.ask(URI, 0, 5)["result"]["items"]] == ["value_one"]
    assert (
        wire.ask(URI, 0, 5)["result"]["items"][0]["range"]["start"]["character"] == 5
    )  # still counted in bytes
    assert wire.bye() == 0


@pytest.mark.parametrize("offered", [None, ["utf-7"]])
def test_an_unknown_encoding_means_utf_16(wire: Wire, offered: list[str] | None) -> None:
    general = {} if offered is None else {"positionEncodings": offered}
    answer = wire.hello({"general": general, "textDocument": {"inlineCompletion": {}}})
    assert answer["result"]["capabilities"]["positionEncoding"] == "utf-16"
    wire.open(URI, '"😀 = \n')
    wire.notify("textDocument/didChange", {
        "textDocument": {"uri": URI, "version": 2},
        "contentChanges": [{"range": {"start": {"line": 0, "character": 3}, "end": {"line": 0, "character": 3}},
                            "text": "y"}],
    })  # fmt: skip
    (item,) = wire.ask(URI, 0, 7)["result"]["items"]
    assert item["range"]["start"]["character"] == 7  # behind "😀y = , whose face counts twice
    assert wire.bye() == 0


def test_the_first_known_encoding_of_a_mixed_list_is_taken(wire: Wire) -> None:
    answer = wire.hello({"general": {"positionEncodings": ["utf-7", "utf-32", "utf-8"]}})
    assert answer["result"]["capabilities"]["positionEncoding"] == "utf-32"


def test_http_on_the_tcp_port_is_refused_and_nothing_in_it_is_obeyed(script: Callable[..., Path]) -> None:
    frames = b"".join(
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        for body in (
            json.dumps(message).encode() for message in (INITIALIZE, {"jsonrpc": "2.0", "method": "exit"})
        )
    )
    server = subprocess.Popen([*SCRIPTED, str(script()), "--tcp", ":0"], stderr=subprocess.PIPE)
    assert server.stderr is not None
    port = int(server.stderr.readline().rpartition(b":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as page:
        head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://example.org\r\n"
        page.sendall(head + b"Content-Length: %d\r\n\r\n" % len(frames) + frames)
        with suppress(ConnectionResetError):  # it closed with our bytes unread
            assert page.recv(1) == b""
    assert server.wait(20) == 1
    assert server.stderr.read().decode().startswith("hef-lsp: Something that is not LSP came in")
    server.stderr.close()


INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}


BODIES = [
    (b"{", -32700),
    (b'{"jsonrpc": "2.0", "id": 7, "method": "shutdown", "params": "\xff"}', -32700),
    ('{"jsonrpc": "2.0", "id": 7, "method": "shutdown"}'.encode("utf-16"), -32700),
    (b'{"jsonrpc": "2.0", "id": 7, "method": "shutdown", "params": NaN}', -32700),
    (b'{"jsonrpc": "2.0", "id": 7, "method": "shutdown", "params": -Infinity}', -32700),
    (b'{"jsonrpc": "2.0", "id": 7, "method": "x", "params": ' + b"9" * 100_000 + b"}", -32700),
    (DEEP, -32700),
    (b'{"jsonrpc": "2.0", "id": 7, "method": "x", "params": ' + DEEP + b"]" * 100_000 + b"}", -32700),
    (b"[]", -32600),
    (b'[{"jsonrpc": "2.0", "id": 7, "method": "shutdown"}]', -32600),
    (b"null", -32600),
    (b"3", -32600),
    (b'{"jsonrpc": "2.0", "id": null, "method": "shutdown"}', -32600),
    (b'{"jsonrpc": "2.0", "id": [1], "method": "shutdown"}', -32600),
    (b'{"jsonrpc": "2.0", "id": 1.5, "method": "shutdown"}', -32600),
]


def test_what_is_no_message_gets_one_error_that_belongs_to_no_request(wire: Wire) -> None:
    wire.hello()
    for body, code in BODIES:
        wire.body(body)
        assert wire.answer(None)["error"]["code"] == code, body[:60]
        alive(wire)
    ends_well(wire)


INLINE = "textDocument/inlineCompletion"


def place(**position: Any) -> dict[str, Any]:
    return {"textDocument": {"uri": URI}, "position": position, "context": {"triggerKind": 1}}


MESSAGES = [
    ({"id": 7, "method": INLINE, "jsonrpc": "2.0"}, -32602),
    ({"id": 7, "method": INLINE, "jsonrpc": "2.0", "params": 3}, -32602),
    ({"id": 7, "method": INLINE, "jsonrpc": "2.0", "params": {}}, -32602),
    ({"id": 7, "method": INLINE, "jsonrpc": "2.0", "params": place(line=-1, character=0)}, -32602),
    ({"id": 7, "method": INLINE, "jsonrpc": "2.0", "params": place(line=2**70, character=0)}, -32602),
    ({"id": 7, "method": INLINE, "jsonrpc": "2.0", "params": place(line=[], character=0)}, -32602),
    ({"id": 7, "method": INLINE, "jsonrpc": "2.0", "params": place(line=0, character=2**31 - 1)}, None),
    ({"id": 7, "method": INLINE, "jsonrpc": "2.0", "params": place(line=2**31 - 1, character=0)}, None),
    ({"id": 7, "method": "x" * 1_000_000, "jsonrpc": "2.0"}, -32601),
    ({"id": 7, "method": "no/such", "jsonrpc": "2.0", "params": {"jsonrpc": "2.0", "id": 8, "method": INLINE}},
     -32601),
    ({"id": 7, "method": 3, "jsonrpc": "2.0"}, -32600),
    ({"id": 7, "method": "shutdown", "jsonrpc": "1.0"}, -32600),
    ({"id": 7, "method": "shutdown"}, -32600),
    ({"id": 7, "method": "workspace/executeCommand", "jsonrpc": "2.0", "params": {"command": "rm"}}, -32602),
    ({"id": 7, "method": "workspace/executeCommand", "jsonrpc": "2.0",
      "params": {"command": "hef-lsp.accepted", "arguments": [{"deep": [1]}]}}, -32602),
    ({"id": 7, "method": "workspace/executeCommand", "jsonrpc": "2.0",
      "params": {"command": "hef-lsp.status", "arguments": [{"a": 1}, 2]}}, None),
    ({"id": 7, "method": "workspace/executeCommand", "jsonrpc": "2.0",
      "params": {"command": "hef-lsp.context", "arguments": [{"a": 1}, 2]}}, None),
]  # fmt: skip


def test_a_request_that_makes_no_sense_is_answered_exactly_once(wire: Wire) -> None:
    wire.hello()
    for message, code in MESSAGES:
        alive(wire)
        wire.send(message)
        wire.send({"jsonrpc": "2.0", "id": "after", "method": "no/such", "params": None})
        answers = []
        while sorted(str(answer["id"]) for answer in answers[-2:]) != ["7", "after"]:
            found = wire.read()
            assert found is not None
            answers += [found] if "method" not in found else []
        assert len(answers) == 2, (message, answers)
        codes = {answer["id"]: (answer.get("error") or {}).get("code") for answer in answers}
        assert codes == {7: code, "after": -32601}, str(message)[:200]
    ends_well(wire)


def test_requests_of_one_id_are_each_answered(wire: Wire) -> None:
    wire.hello()
    wire.open(URI, "x = \n")
    for _ in range(3):
        wire.send({"jsonrpc": "2.0", "id": 5, "method": INLINE, "params": place(line=0, character=4)})
    assert [wire.answer(5)["id"] for _ in range(3)] == [5, 5, 5]
    ends_well(wire)


def test_notifications_that_make_no_sense_are_dropped(wire: Wire) -> None:
    wire.open("untitled:too-early", "x = 1\n")
    wire.notify("initialized", {})
    wire.hello()
    for method, params in [
        ("textDocument/didOpen", {}),
        ("textDocument/didChange", {"textDocument": {"uri": "untitled:unknown", "version": 1}, "contentChanges": []}),
        ("textDocument/didChange", {"textDocument": {"uri": "untitled:unknown", "version": 1},
                                    "contentChanges": [{"text": "x"}]}),
        ("textDocument/didClose", {"textDocument": {"uri": "untitled:unknown"}}),
        ("notebookDocument/didChange", {"notebookDocument": {"uri": "untitled:unknown", "version": 1}, "change": {}}),
        ("$/cancelRequest", {"id": "never"}),
        ("$/cancelRequest", {}),
        ("workspace/didChangeConfiguration", {"settings": [1]}),
        ("workspace/didChangeWorkspaceFolders", {"event": {"added": [{"uri": "file://[", "name": ""}], "removed": []}}),
        ("window/workDoneProgress/cancel", {"token": "never"}),
        ("no/such", {"jsonrpc": "2.0", "id": 9, "method": INLINE}),
    ]:  # fmt: skip
        wire.notify(method, params)
    wire.send({"jsonrpc": "2.0", "id": "never asked", "result": 3})
    wire.send({"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "m"}})
    wire.send({"jsonrpc": "2.0"})
    ends_well(wire)


URIS = [
    "file:///tmp/a%00b.py",
    "file:///tmp/\ud800.py",
    "file:///tmp/%ED%A0%80.py",
    "file:///tmp/%FF%FE.py",
    "file://server/share/a.py",
    "file://[/a.py",
    "file:///C:/Users/a.py",
    "file:///c%3A/Users/a.py",
    "file:relative.py",
    "file:///tmp%2Fa%2Fb.py",
    "file:///tmp/../../../etc/passwd.py",
    "file:///" + "a" * 100_000 + ".py",
    "file:///" + "a/" * 50_000 + "b.py",
    "untitled:" + "a" * 100_000,
    "vscode-vfs://github/me/x.py",
    "untitled:\x00",
    "http://[",
    "",
    ":",
    "%",
]


def test_no_uri_loses_a_notification_or_what_comes_after_it(wire: Wire, tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "main.py").write_text("def first_function(argument):\n    return argument\n", encoding="utf-8")
    wire.hello(workspaceFolders=[{"uri": folder.as_uri(), "name": "repo"}])
    for uri in URIS:
        wire.open(uri, "x = \n")
        assert "result" in wire.ask(uri, 0, 4), ascii(uri)[:60]
        change = {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [{"text": "yy = \n"}]}
        wire.notify("textDocument/didChange", change)
        (item,) = wire.ask(uri, 0, 5)["result"]["items"]
        assert item["range"]["start"]["character"] == 5
        about = wire.request("workspace/executeCommand", {"command": "hef-lsp.status", "arguments": [uri]})
        assert about["result"]["document"]["suggests"]
        wire.close(uri)
        assert wire.ask(uri, 0, 5)["result"]["items"] == []
        assert "ERROR" not in wire.errors, ascii(uri)[:60]
    alive(wire, (folder / "main.py").as_uri())
    ends_well(wire)


def ask_and_do_not_read(wire: Wire, numbers: range) -> str:
    """Ask for the status of a document with a URI of 100 KB, which is returned: each answer has it."""
    uri = "untitled:" + "a" * 100_000
    wire.open(uri, "x = \n")
    for number in numbers:
        command = {"command": "hef-lsp.status", "arguments": [uri]}
        wire.send({"jsonrpc": "2.0", "id": number, "method": "workspace/executeCommand", "params": command})
    return uri


def test_a_client_that_writes_before_it_reads_keeps_no_one_waiting(wire: Wire) -> None:
    """Answers of 2 MB lie unread while as much is still to be sent: more than the pipes hold."""
    wire.hello()
    numbers = range(100, 120)
    uri = ask_and_do_not_read(wire, numbers)
    answers = wire.answers(numbers)
    assert [answers[number]["result"]["document"]["uri"] for number in numbers] == [uri] * 20
    ends_well(wire)


def test_a_client_that_reads_nothing_more_does_not_keep_the_server(wire: Wire) -> None:
    wire.hello()
    ask_and_do_not_read(wire, range(100, 105))
    wire.send({"jsonrpc": "2.0", "id": "last", "method": "shutdown", "params": None})
    wire.notify("exit", None)
    assert wire.gone() == 0
