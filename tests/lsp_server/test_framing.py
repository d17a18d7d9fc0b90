"""What is a message on the wire, and what is not."""

from __future__ import annotations

import asyncio
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lsp_server.framing import MAX_BODY, FramingError, SocketSource, StreamSource, parse, read_body

BODY = b'{"jsonrpc": "2.0"}'
SOUND = [
    b"Content-Length: 18\r\n\r\n",
    b"content-length:18\r\n\r\n",
    b"CONTENT-LENGTH:   018  \r\n\r\n",
    b"Content-Length: 18\n\n",
    b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 18\r\n\r\n",
    b"Content-Length: 18\r\ncontent-type: application/vscode-jsonrpc; charset=utf8\r\n\r\n",
]
UNSOUND = [
    b"Content-Length: -1\r\n\r\n",
    b"Content-Length: 0\r\n\r\n",
    b"Content-Length: +18\r\n\r\n",
    b"Content-Length: 1_8\r\n\r\n",
    b"Content-Length: 0x12\r\n\r\n",
    b"Content-Length: many\r\n\r\n",
    b"Content-Length:\r\n\r\n",
    b"Content-Length: \xc2\xb2\r\n\r\n",
    b"Content-Length: 1000000000000\r\n\r\n",
    b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1),
    b"Content-Length: " + b"9" * 10_000 + b"\r\n\r\n",
    b"Content-Length: 18\r\nContent-Length: 18\r\n\r\n",
    b"Content-Length : 18\r\n\r\n",
    b" Content-Length: 18\r\n\r\n",
    b"Content-Type: application/json\r\n\r\n",
    b"\r\nContent-Length: 18\r\n\r\n",
    BODY + b"\n",
    b"Content-Length: 18" + b" " * 1_000_000,
    b"Content-Type: x\r\n" * 1_000,
    b"a" * 1_000_000,
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 18\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: 18\r\n\r\n",
    b"Content-Length: 18\r\nOrigin: http://example.org\r\n\r\n",
    b"Content-Length: 18\r\nPOST / HTTP/1.1\r\n\r\n",
]


def bodies(data: bytes, kind: str) -> list[bytes]:
    """All messages in `data`, read as the transport of this kind does."""

    async def read_all() -> list[bytes]:
        with ThreadPoolExecutor(1) as executor:
            if kind == "socket":
                stream = asyncio.StreamReader()
                stream.feed_data(data)
                stream.feed_eof()
                reader: Any = SocketSource(stream)
            else:
                reader = StreamSource(io.BufferedReader(io.BytesIO(data)), executor)  # type: ignore[arg-type]
            found = []
            while (body := await read_body(reader)) is not None:
                found.append(body)
            return found

    return asyncio.run(read_all())


@pytest.mark.parametrize("kind", ["stream", "socket"])
@pytest.mark.parametrize("header", SOUND)
def test_a_header_of_lsp_is_read(header: bytes, kind: str) -> None:
    assert bodies((header + BODY) * 3, kind) == [BODY] * 3


@pytest.mark.parametrize("kind", ["stream", "socket"])
@pytest.mark.parametrize("header", UNSOUND, ids=lambda header: repr(header[:40]))
def test_any_other_header_is_refused_in_a_sentence(header: bytes, kind: str) -> None:
    with pytest.raises(FramingError, match=r"^[A-Z].*\.$"):
        bodies(header + BODY, kind)


@pytest.mark.parametrize("kind", ["stream", "socket"])
@pytest.mark.parametrize("n", range(len(SOUND[0] + BODY)))
def test_an_end_in_the_middle_of_a_message_is_an_end(n: int, kind: str) -> None:
    whole = SOUND[0] + BODY
    assert bodies(whole + whole[:n], kind) == [BODY]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff", b'"\xed\xa0\x80"', b"NaN", b"-Infinity", b"9" * 10_000, '{"a": 1}'.encode("utf-16"),
        b"[" * 10**5,
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        parse(body)


def test_half_a_character_becomes_one_that_can_be_stored() -> None:
    text = {"half \ud83d": ["\ud83d", "\ude00 \ud83d", "😀 \\ud83d", 1, None]}
    assert parse(json.dumps(text).encode()) == {
        "half \ufffd": ["\ufffd", "\ufffd \ufffd", "😀 \\ud83d", 1, None]
    }
