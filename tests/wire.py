"""A client that sends what no editor would: bytes and JSON as they stand, over real stdio or TCP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

ROOT = Path(__file__).resolve().parents[1]
SCRIPTED = (sys.executable, str(ROOT / "tests" / "servers" / "scripted_server.py"))
WAIT_SECONDS = 30.0
UTF_16 = {"general": {"positionEncodings": ["utf-16"]}, "textDocument": {"inlineCompletion": {}}}


class Wire:
    """One server process and the two ends that lead to it."""

    def __init__(self, *command: str, errors: Path, env: Mapping[str, str] | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **(env or {})}
        self._errors = errors
        with errors.open("wb") as stderr:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._to: BinaryIO = self.process.stdin  # type: ignore[assignment]
        self._from: BinaryIO = self.process.stdout  # type: ignore[assignment]
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        self._from.close()
        with suppress(BrokenPipeError):  # by what was left in our buffer
            self._to.close()

    @property
    def errors(self) -> str:
        """What the server wrote to stderr so far."""
        return self._errors.read_text(encoding="utf-8", errors="replace")

    def raw(self, data: bytes) -> None:
        """Send bytes. That the server has closed its end is no error."""
        with suppress(BrokenPipeError):
            self._to.write(data)
            self._to.flush()

    def body(self, body: bytes) -> None:
        self.raw(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def send(self, message: Any) -> None:
        self.body(json.dumps(message).encode())

    def notify(self, method: str, params: Any) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def request(self, method: str, params: Any) -> Any:
        """Ask and wait. Returns the whole answer, `result` or `error` in it."""
        self._number += 1
        self.send({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        return self.answer(self._number)

    def answer(self, number: Any) -> Any:
        """The next answer to a request; what comes before it is dropped."""
        return self.answers([number])[number]

    def answers(self, numbers: Iterable[Any]) -> dict[Any, Any]:
        """The answers to several requests, which may come in any order; what comes between is dropped."""
        missing, found = set(numbers), {}
        while missing:
            message = self.read()
            assert message is not None, f"the server has gone: {self.errors}"
            number = message.get("id")
            if "method" not in message and number in missing:
                missing.remove(number)
                found[number] = message
        return found

    def read(self) -> dict[str, Any] | None:
        """The next message, None when the server has closed its end."""
        length = 0
        while (line := self._from.readline()).strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        found: dict[str, Any] | None = json.loads(self._from.read(length)) if length else None
        return found

    def hello(self, capabilities: Any = None, **params: Any) -> Any:
        """The handshake. Returns the answer to `initialize`."""
        about = {
            "processId": None,
            "rootUri": None,
            "capabilities": UTF_16 if capabilities is None else capabilities,
        }
        answer = self.request("initialize", about | params)
        self.notify("initialized", {})
        return answer

    def open(self, uri: str, text: str) -> None:
        document = {"uri": uri, "languageId": "python", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def close(self, uri: str) -> None:
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def ask(self, uri: str, line: int, character: int) -> Any:
        """The answer to an inline completion that the user asks for by a key."""
        place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        return self.request("textDocument/inlineCompletion", {**place, "context": {"triggerKind": 1}})

    def bye(self) -> int:
        """shutdown and exit. Returns the exit code."""
        self.request("shutdown", None)
        self.notify("exit", None)
        return self.gone()

    def gone(self) -> int:
        """The exit code, once the server has ended."""
        return self.process.wait(WAIT_SECONDS)
