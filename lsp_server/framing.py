"""Messages on the wire: a header block, an empty line, a body of JSON (LSP 3.18, "Base Protocol").

Whatever else comes in is refused at its first line: a web page can make a browser send HTTP to a local port,
whose header has a `Content-Length` and whose body could hold any message.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable
from concurrent.futures import Executor
from typing import Any, BinaryIO, NoReturn, Protocol

MAX_LINE = 1_024  # bytes of a header line
MAX_LINES = 16  # of a header block
MAX_BODY = 256 * 2**20  # bytes; an editor sends a document whole when it opens it

_LENGTH = re.compile(rb"[0-9]{1,18}")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class FramingError(Exception):
    """What came in is no message of LSP, and where the next one would begin is not known. One sentence for
    people."""


class ByteSource(Protocol):
    """Where bytes come from. Both give less than was asked for at the end of the input."""

    def readline(self) -> Awaitable[bytes]: ...
    def read(self, n: int) -> Awaitable[bytes]: ...


class StreamSource:
    """A binary file, read on a thread."""

    def __init__(self, stream: BinaryIO, executor: Executor) -> None:
        self._stream = stream
        self._executor = executor

    def readline(self) -> Awaitable[bytes]:
        return asyncio.get_running_loop().run_in_executor(self._executor, self._stream.readline, MAX_LINE + 1)

    def read(self, n: int) -> Awaitable[bytes]:
        return asyncio.get_running_loop().run_in_executor(self._executor, self._stream.read, n)


class SocketSource:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def readline(self) -> bytes:
        try:
            return await self._reader.readline()
        except ValueError:  # longer than asyncio's own limit
            raise FramingError(_too_long()) from None

    async def read(self, n: int) -> bytes:
        try:
            return await self._reader.readexactly(n)
        except asyncio.IncompleteReadError as error:
            return error.partial


async def read_body(reader: ByteSource) -> bytes | None:
    """The next message's body, None at the end of the input. Raises FramingError."""
    length: int | None = None
    for _ in range(MAX_LINES):
        line = await reader.readline()
        if not line.endswith(b"\n"):
            if len(line) > MAX_LINE:
                raise FramingError(_too_long())
            return None
        if not line.strip():
            break
        length = _length(line, length)
    else:
        raise FramingError(f"A header of more than {MAX_LINES} lines came in.")
    if length is None:
        raise FramingError("A message without a Content-Length came in.")
    body = await reader.read(length)
    return body if len(body) == length else None


def parse(body: bytes) -> Any:
    """A body as JSON. Raises ValueError for what is none, RecursionError for what is nested too deep.

    Half a surrogate pair (JavaScript has such strings) becomes U+FFFD, which counts as one character in
    UTF-16 and UTF-32 as it does: nothing behind this could be written to a file or a database otherwise.
    """
    value = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    return _without_halves(value) if _ESCAPED_SURROGATE.search(body) else value


def _length(line: bytes, before: int | None) -> int | None:
    """The length after one more line of the header."""
    if len(line) > MAX_LINE:
        raise FramingError(_too_long())
    name, colon, value = line.partition(b":")
    name, value = name.lower(), value.strip()
    if not colon or name not in (b"content-length", b"content-type"):
        raise FramingError(
            "Something that is not LSP came in: a header has Content-Length and Content-Type only."
        )
    if name == b"content-type":
        return before
    if before is not None:
        raise FramingError("A message with two Content-Lengths came in.")
    if not _LENGTH.fullmatch(value) or not 0 < int(value) <= MAX_BODY:
        raise FramingError(f"A message with a Content-Length that is not from 1 to {MAX_BODY:,} came in.")
    return int(value)


def _too_long() -> str:
    return f"A header line of more than {MAX_LINE:,} bytes came in."


def _no_number(name: str) -> NoReturn:
    raise ValueError("JSON has no such number.")


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_halves(item) for item in value]
    if isinstance(value, dict):
        return {_without_halves(key): _without_halves(item) for key, item in value.items()}
    return value
