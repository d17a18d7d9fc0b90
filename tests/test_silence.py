"""Nothing leaves, and nothing is written beside the cache: the real commands and the real server under a recorder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tests import tiny_coder
from tests.recorder import RECORDERS, Recorder, works

ROOT = Path(__file__).resolve().parents[1]
HEF = (sys.executable, "-m", "lsp_server")
# ONNX Runtime 1.32 looked its maker's address up 9.6 s after the start, and again every few seconds.
ALIVE_SECONDS = 12.0
LONG_SECONDS = 40.0
LOOK_UP = "import socket\ntry: socket.getaddrinfo('example.invalid', 443)\nexcept OSError: pass\n"
CONNECT = (
    "import socket\ntry: socket.create_connection(('192.0.2.1', 9), timeout=0.2)\nexcept OSError: pass\n"
)
CHILD = f"import os\nif os.fork():\n    os.wait()\nelse:\n    exec({CONNECT!r})\n"
SILENT = "import socket\nsocket.socketpair()\n"


@pytest.fixture(params=RECORDERS, ids=lambda recorder: recorder.name)
def each_recorder(request: pytest.FixtureRequest, tmp_path: Path) -> Recorder:
    if not works(request.param, tmp_path):
        pytest.skip(f"{request.param.name} is not here or not allowed")
    return request.param


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    if not (usable := [recorder for recorder in RECORDERS if works(recorder, tmp_path)]):
        pytest.skip("neither strace nor a network namespace can be had here")
    return usable[0]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a user who has nothing yet, with a repository and a place for temporary files beside it."""
    for folder in ("home", "temporary", "repository/.git"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(4):
        text = f"def scale_{number}(factor):\n    return {number} * factor\n"
        (tmp_path / "repository" / f"scale_{number}.py").write_text(text, encoding="utf-8")
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    """Without a switch that somebody has set for the tests."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(home / "home"),
        "XDG_CACHE_HOME": str(home / "home" / ".cache"),
        "HEF_CACHE_DIR": str(home / "cache"),
        "TMPDIR": str(home / "temporary"),
    }


def run(recorder: Recorder, home: Path, *command: str) -> list[str]:
    """What a command that must succeed looked up and connected to."""
    log = home / f"{time.monotonic_ns()}.log"
    done = subprocess.run(
        recorder.around(command, log),
        cwd=home / "repository",
        env=environment(home),
        capture_output=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr.decode()
    return recorder.recorded(log)


def message(body: dict[str, Any]) -> bytes:
    content = json.dumps({"jsonrpc": "2.0", **body}).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(content), content)


def messages(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    while headers := b"".join(iter(stream.readline, b"\r\n")).lower():
        length = int(headers.partition(b"content-length:")[2].partition(b"\r\n")[0])
        yield json.loads(stream.read(length))


def serve(
    recorder: Recorder, home: Path, hef: Sequence[str], seconds: float, meanwhile: Callable[[], None]
) -> list[str]:
    """What a server that completes once and lives for some seconds looked up and connected to."""
    log = home / "server.log"
    uri = (home / "repository" / "fresh.py").as_uri()
    text = "from scale_1 import scale_1\n\nvalue = scale_1("
    place = {
        "textDocument": {"uri": uri},
        "position": {"line": 2, "character": 16},
        "context": {"triggerKind": 1},
    }
    folders = [{"uri": (home / "repository").as_uri(), "name": "repository"}]
    capabilities = {"textDocument": {"inlineCompletion": {}}}
    document = {"uri": uri, "languageId": "python", "version": 1, "text": text}
    begun = time.monotonic()
    server = subprocess.Popen(
        recorder.around(hef, log), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        cwd=home / "repository", env=environment(home),
    )  # fmt: skip
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        hello = {"processId": None, "capabilities": capabilities, "workspaceFolders": folders}
        server.stdin.write(message({"id": 1, "method": "initialize", "params": hello}))
        server.stdin.write(message({"method": "initialized", "params": {}}))
        server.stdin.write(message({"method": "textDocument/didOpen", "params": {"textDocument": document}}))
        server.stdin.write(message({"id": 2, "method": "textDocument/inlineCompletion", "params": place}))
        server.stdin.flush()
        answer = next(
            heard for heard in messages(server.stdout) if heard.get("id") == 2 and "method" not in heard
        )
        assert "result" in answer
        meanwhile()
        time.sleep(max(0.0, begun + seconds - time.monotonic()))
        server.stdin.write(message({"id": 3, "method": "shutdown"}) + message({"method": "exit"}))
        server.stdin.flush()
        assert server.wait(timeout=20) == 0
    finally:
        server.kill()
        server.communicate()
    return recorder.recorded(log)


def beside_the_cache(home: Path) -> list[Path]:
    return [path for folder in ("home", "temporary") for path in (home / folder).rglob("*")]


def test_the_recorder_sees_look_ups_and_connections_and_nothing_else(
    each_recorder: Recorder, home: Path
) -> None:
    assert run(each_recorder, home, sys.executable, "-c", LOOK_UP)
    assert run(each_recorder, home, sys.executable, "-c", CONNECT)
    assert run(each_recorder, home, sys.executable, "-c", CHILD)
    assert run(each_recorder, home, sys.executable, "-c", SILENT) == []


@pytest.mark.parametrize(
    ("seconds", "arguments"),
    [
        (ALIVE_SECONDS, tiny_coder.ARGUMENTS),
        pytest.param(LONG_SECONDS, (), marks=[pytest.mark.slow, pytest.mark.timeout(400)]),
    ],
    ids=["tiny", "default"],
)
def test_nothing_leaves_and_nothing_is_written_beside_the_cache(
    recorder: Recorder, home: Path, seconds: float, arguments: tuple[str, ...]
) -> None:
    seen: list[str] = []
    hef = (*HEF, *arguments)

    def run_commands() -> None:
        for command in (("--reindex",), ("--complete", "scale_1.py:2:12"), ("--doctor",), ("--models",)):
            seen.extend(run(recorder, home, *hef, *command))

    seen += serve(recorder, home, hef, seconds, run_commands)

    assert seen == []
    assert beside_the_cache(home) == []
    assert any((home / "cache").iterdir())
