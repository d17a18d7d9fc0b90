"""A hub on loopback: the two kinds of request that fetching a model makes, answered well, slowly, badly or never."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_LISTING = re.compile("/api/models/([^/]+/[^/]+)/revision/(.+)")
_FILE = re.compile("/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_BYTES = 4_096


@dataclass
class FakeHub:
    """`files`: what the repository `name` has. What it does wrong may be changed at any time."""

    name: str
    files: dict[str, bytes]
    endpoint: str = ""
    bytes_per_second: float = 0.0  # 0: as fast as it can
    silent: bool = False  # takes connections and says nothing
    silent_after: int | None = None  # bytes of a large file
    cut_after: int | None = None  # bytes of a large file's answer, each time
    gated: bool = False
    wrong_byte: bool = False  # in large files
    without_ranges: bool = False
    status: int = 0  # that it answers everything with
    asked: list[str] = field(default_factory=list)  # "GET path", with the bytes that were asked for
    headers: list[dict[str, str]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def listing(self) -> bytes:
        return json.dumps(
            {"id": self.name, "sha": COMMIT, "siblings": list(map(self._entry, self.files))}
        ).encode()

    def _entry(self, name: str) -> dict[str, object]:
        content = self.files[name]
        entry: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": git_hash(content)}
        if name.endswith(".safetensors"):
            entry["lfs"] = {
                "sha256": hashlib.sha256(content).hexdigest(),
                "size": len(content),
                "pointerSize": 1,
            }
        return entry


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def files_of(folder: Path) -> dict[str, bytes]:
    """A checkpoint's folder as a repository, with what nobody wants."""
    wanted = [file for file in folder.iterdir() if file.name != "SHA256SUMS"]
    return {file.name: file.read_bytes() for file in wanted} | {
        "README.md": b"# tiny\n",
        "model.bin": b"\x80\x04K\x01.",
    }


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """The hub, at its `endpoint`."""

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        server.shutdown()
        server.server_close()


@contextmanager
def nobody_listens() -> Iterator[str]:
    """The endpoint of a port that refuses."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: FakeHub

    def log_message(self, format: str, *args: object) -> None: ...

    def do_GET(self) -> None:
        hub, wanted = self.served, self.headers.get("Range", "")
        hub.asked.append(f"GET {self.path} {wanted}".strip())
        hub.headers.append({key.lower(): value for key, value in self.headers.items()})
        if hub.silent:
            hub.closing.wait(60)
            self.close_connection = True
            return
        path = unquote(urlsplit(self.path).path)
        if hub.status:
            self._refuse(hub.status, "")
        elif listing := _LISTING.fullmatch(path):
            self._list(*listing.groups())
        elif file := _FILE.fullmatch(path):
            self._send_file(file[3])
        else:
            self._refuse(404, "EntryNotFound")

    def _list(self, name: str, revision: str) -> None:
        if name != self.served.name:
            self._refuse(401, "RepoNotFound")
        elif revision not in ("main", COMMIT):
            self._refuse(404, "RevisionNotFound")
        else:
            self._answer(200, self.served.listing())

    def _send_file(self, name: str) -> None:
        hub = self.served
        if hub.gated:
            self._refuse(403, "GatedRepo")
            return
        content, begin = hub.files[name], 0
        is_large = name.endswith(".safetensors")
        if is_large and hub.wrong_byte:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if (wanted := self.headers.get("Range")) and not hub.without_ranges:
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        self._send(content[begin:], begin if is_large else None)

    def _send(self, content: bytes, place: int | None) -> None:
        """`place` of a large file, None of a small one."""
        hub = self.served
        for at in range(0, len(content), _BYTES):
            if place is not None and hub.cut_after is not None and at >= hub.cut_after:
                self.close_connection = True
                return
            if place is not None and hub.silent_after is not None and place + at >= hub.silent_after:
                hub.closing.wait(60)
                return
            try:
                self.wfile.write(content[at : at + _BYTES])
            except OSError:  # who asked has gone
                self.close_connection = True
                return
            if place is not None and hub.bytes_per_second:
                time.sleep(_BYTES / hub.bytes_per_second)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code} if code else {})

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


Change = Callable[[FakeHub], None]
