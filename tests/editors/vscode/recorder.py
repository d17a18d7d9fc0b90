"""Stands between an editor and a server and writes down what they say: `recorder.py LOG COMMAND...`.

The log gets one JSON line per message, {"from": "editor" or "server", "message": ...}, and first one with the
server's process id, {"pid": ...}.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import BinaryIO


def next_message(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """The next message's header and body; None at the end of the stream."""
    header = b""
    while not header.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return None
        header += line
    length = next(
        int(line[15:]) for line in header.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    return header, stream.read(length)


def pump(source: BinaryIO, sink: BinaryIO, name: str, log: Log) -> None:
    """Hand on message after message; then close."""
    try:
        while message := next_message(source):
            log.write({"from": name, "message": json.loads(message[1])})
            sink.write(b"".join(message))
            sink.flush()
    finally:
        sink.close()


class Log:
    """A file of JSON lines that two threads write to."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, line: object) -> None:
        with self._lock:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


def main() -> int:
    log = Log(Path(sys.argv[1]))
    server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    log.write({"pid": server.pid})
    to_server = threading.Thread(
        target=pump, args=(sys.stdin.buffer, server.stdin, "editor", log), daemon=True
    )
    to_server.start()
    pump(server.stdout, sys.stdout.buffer, "server", log)
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
