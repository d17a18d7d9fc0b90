"""A client that knows the bytes of the protocol and nothing else: it can send what no library would."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.torture.processes import COMMAND, environment
from tests.torture.runner import ROOT

WAIT_SECONDS = 120.0  # so many that it hangs, on any machine
SCRIPTED = (sys.executable, str(ROOT / "tests" / "servers" / "scripted_server.py"))
SCRIPT = {"targets": [], "otherwise": "checksum", "token_seconds": 0.0, "load_seconds": 0.0, "load_error": ""}


class Client:
    """One server process. Counts the answers to every request: there must be one."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path) -> None:
        self._process = process
        self._errors = errors
        self._next = 0
        self._arrived: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.answers: dict[Any, dict[str, Any]] = {}
        self.counts: Counter[Any] = Counter()
        self.statuses: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @classmethod
    def start(cls, cache: Path, *arguments: str, scripted: bool = False) -> Self:
        """The real server, or the one with a model that writes a checksum of what is before the cursor."""
        cache.mkdir(parents=True, exist_ok=True)
        errors, command = cache.parent / f"{cache.name}-stderr", list(COMMAND)
        if scripted:
            script = cache.parent / "script.json"
            script.write_text(json.dumps({**SCRIPT, "calls": os.devnull}))
            command = [*SCRIPTED, str(script)]
        with errors.open("ab") as file:
            process = subprocess.Popen(
                [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, cwd=ROOT,
                env=environment(cache),
            )  # fmt: skip
        return cls(process, errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def errors(self) -> str:
        return self._errors.read_text("utf-8", "replace")

    # -- sending ------------------------------------------------------------------------------------------------

    def bytes(self, content: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(content)
            self._process.stdin.flush()

    def body(self, content: bytes) -> None:
        self.bytes(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))

    def notify(self, method: str, params: Any) -> None:
        self.body(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())

    def request(self, method: str, params: Any) -> int:
        """Its number; `answer` waits for what comes back."""
        self._next += 1
        self.body(
            json.dumps({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params}).encode()
        )
        return self._next

    def initialize(
        self, *folders: Path, encodings: Sequence[str] = ("utf-16",), **options: Any
    ) -> dict[str, Any]:
        capabilities = {
            "textDocument": {"inlineCompletion": {}},
            "general": {"positionEncodings": list(encodings)},
            "workspace": {"workspaceFolders": True},
        }
        of_workspace = [{"uri": folder.as_uri(), "name": folder.name} for folder in folders]
        params = {"capabilities": capabilities, "workspaceFolders": of_workspace, "processId": None}
        answer = self.answer(self.request("initialize", {**params, "initializationOptions": options}))
        self.notify("initialized", {})
        return dict(answer["result"]["capabilities"])

    def open(self, uri: str, text: str, version: int = 1) -> None:
        document = {"uri": uri, "languageId": "python", "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def change(self, uri: str, version: int, *changes: dict[str, Any]) -> None:
        document = {"uri": uri, "version": version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": list(changes)})

    def close(self, uri: str) -> None:
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def ask(self, uri: str, line: int, character: int) -> int:
        place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        return self.request("textDocument/inlineCompletion", {**place, "context": {"triggerKind": 1}})

    def command(self, name: str, *arguments: Any) -> Any:
        params = {"command": f"hef-lsp.{name}", "arguments": list(arguments)}
        return self.answer(self.request("workspace/executeCommand", params)).get("result")

    # -- receiving ----------------------------------------------------------------------------------------------

    def answer(self, number: int, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """The answer to a request. Raises TimeoutError, EOFError when the server is gone."""
        end = time.monotonic() + seconds
        while number not in self.answers:
            self._take(end - time.monotonic(), number)
        return self.answers[number]

    def until_ready(self, seconds: float = 120.0) -> None:
        end = time.monotonic() + seconds
        while not (self.statuses and self.statuses[-1]["state"] == "ready"):
            self._take(end - time.monotonic(), "ready")

    def _take(self, seconds: float, what: object) -> None:
        try:
            message = self._arrived.get(timeout=max(0.0, seconds))
        except queue.Empty:
            raise TimeoutError(f"no answer to {what}") from None
        if message is None:
            raise EOFError(
                f"the server ended with {self._process.wait()} before {what}: {self.errors[-300:]}"
            )
        if "method" in message:
            self._hear(message)
        else:
            self.counts[message.get("id")] += 1
            self.answers[message.get("id")] = message

    def _hear(self, message: dict[str, Any]) -> None:
        if message["method"] == "hef-lsp/status":
            self.statuses.append(message["params"])
        if "id" in message:  # the server asks
            self.body(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": None}).encode())

    def _read(self) -> None:
        output = self._process.stdout
        assert output is not None
        while (header := output.readline()).lower().startswith(b"content-"):
            length = int(header.partition(b":")[2]) if header.lower().startswith(b"content-length") else 0
            while header.strip():
                header = output.readline()
                if header.lower().startswith(b"content-length"):
                    length = int(header.partition(b":")[2])
            self._arrived.put(json.loads(output.read(length)))
        self._arrived.put(None)

    # -- ending -------------------------------------------------------------------------------------------------

    def bye(self) -> int:
        """shutdown and exit; the exit code."""
        self.answer(self.request("shutdown", None))
        self.notify("exit", None)
        return self._process.wait(WAIT_SECONDS)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(5)
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                assert pipe is not None
                pipe.close()
