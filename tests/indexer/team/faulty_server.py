"""A tiny S3 that misbehaves on demand: serves a folder, and says what a broken, hostile or tired one would."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"


class FaultyServer:
    """`fault`: "" for none, "expired", "denied", "silent" (takes the request and says nothing), "half" (of each pack),
    "huge" (announces a terabyte), "garbage". `asked`: paths of the requests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fault = ""
        self.asked: list[str] = []
        self.released = threading.Event()  # at the end, so that no thread hangs
        self.port = 0

    def answer(self, path: str) -> tuple[int, bytes, int]:
        """Status, body and announced length."""
        if self.fault == "silent":
            self.released.wait(20)
        if self.fault in ("expired", "denied"):
            body = EXPIRED if self.fault == "expired" else b"<Error><Code>AccessDenied</Code></Error>"
            return (400 if self.fault == "expired" else 403), body, len(body)
        file = self.folder / path.partition("?")[0].lstrip("/").partition("/")[2]
        if not file.is_file():
            body = b"<Error><Code>NoSuchKey</Code></Error>"
            return 404, body, len(body)
        body = file.read_bytes()
        if "/packs/" in path:
            if self.fault == "half":
                return 200, body[: len(body) // 2], len(body)
            if self.fault == "garbage":
                return 200, bytes(len(body)), len(body)
        return 200, body, 10**12 if self.fault == "huge" else len(body)


@contextmanager
def serving(folder: Path) -> Iterator[FaultyServer]:
    """A server on loopback."""
    server = FaultyServer(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.asked.append(self.path)
            status, body, length = server.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.send_header("ETag", '"1"')
            self.send_header("Last-Modified", "Fri, 27 Nov 2026 07:00:00 GMT")
            self.end_headers()
            self.wfile.write(body)
            if length != len(body):
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            """Nobody reads it."""

    class Listening(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that have heard enough hang up."""

    listening = Listening(("127.0.0.1", 0), Handler)
    server.port = listening.server_address[1]
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        time.sleep(0.01)
        listening.shutdown()
        listening.server_close()
        thread.join()
