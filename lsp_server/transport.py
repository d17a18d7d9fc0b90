"""stdio and TCP: how bytes get in and out, and what must never get in between them."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, BinaryIO, NoReturn

from lsp_server.framing import ByteSource, FramingError, SocketSource, StreamSource, read_body
from lsp_server.server import Server
from lsp_server.stdout import UnhurriedStdout

LOOPBACK = "127.0.0.1"


class NoSource(logging.Filter):
    """Keeps users' code out of the log: pygls and asyncio put whole messages and errors into records."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith(("pygls", "asyncio")):
            kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
            record.msg = f"{str(record.msg).partition(':')[0]} {kind}".partition("\n")[0].strip()
            record.args, record.exc_info, record.exc_text = None, None, None
        return True


def log_to_stderr() -> None:
    """Warnings and worse, without users' code."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(NoSource())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def serve_stdio(server: Server) -> int:
    """Serve until `exit` or the end of input. Returns the exit code that LSP asks for."""
    reader = StreamSource(sys.stdin.buffer, server.thread_pool)
    writer = UnhurriedStdout(_protected_stdout())
    try:
        return _run(server, _serve(server, reader, writer))
    finally:
        writer.close()


def serve_tcp(server: Server, host: str, port: int) -> int:
    """Serve one client and return the exit code that LSP asks for. Raises OSError when the address cannot be
    had."""
    return _run(server, _serve_first_client(server, host, port))


def leave(code: int) -> NoReturn:
    """End the process now: a thread that hangs in native code, or in reading stdin, must not make the editor
    wait."""
    sys.stderr.flush()
    os._exit(code)


def parse_address(text: str) -> tuple[str, int]:
    """ "HOST:PORT", ":PORT" or "PORT" -> (host, port), loopback unless told otherwise. Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"--tcp wants HOST:PORT with a port from 0 to 65535, not {text!r}.")
    return host.strip("[]") or LOOPBACK, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _protected_stdout() -> BinaryIO:
    """The real stdout for the protocol alone: what anything else prints, in Python or in C, goes to
    stderr."""
    protocol = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr
    return protocol


async def _serve_first_client(server: Server, host: str, port: int) -> None:
    """The listener closes with the first connection: a second client would steal the first one's answers."""
    connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    connected = asyncio.get_running_loop().create_future()

    def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if connected.done():
            writer.close()
        else:
            connected.set_result((reader, writer))

    listener = await asyncio.start_server(connect, host, port)
    here = listener.sockets[0].getsockname()
    sys.stderr.write(f"Listening on {here[0]}:{here[1]}\n")
    sys.stderr.flush()
    reader, writer = await connected
    listener.close()
    await _serve(server, SocketSource(reader), writer)


async def _serve(server: Server, reader: ByteSource, writer: Any) -> None:
    server.protocol.set_writer(writer)
    try:
        while (body := await read_body(reader)) is not None:
            server.protocol.handle_body(body)
    finally:  # also when the client just went away
        await server.session.stop()


def _run(server: Server, serving: Coroutine[Any, Any, None]) -> int:
    """0 after `shutdown` and `exit`, else 1 (LSP 3.18, "exit")."""
    try:
        # pygls answers `exit` with SystemExit, whose code is ours.
        with suppress(SystemExit, BrokenPipeError, ConnectionError, KeyboardInterrupt):
            asyncio.run(serving)
    except FramingError as error:
        sys.stderr.write(f"hef-lsp: {error}\n")
        return 1
    return 0 if server.shutdown_requested else 1
