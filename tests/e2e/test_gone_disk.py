"""A disk that does not answer any more holds up neither answers nor the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lsp_server.session import STOP_SECONDS
from tests.wire import ROOT, Wire

HANGING = (sys.executable, str(ROOT / "tests" / "servers" / "hanging_server.py"))
URI = "untitled:one"
SLACK_SECONDS = 4.0  # other work may run on this machine


@pytest.mark.parametrize("call", ["is_dir", "open", "search"])
def test_everything_is_answered_and_the_process_ends(
    script: Callable[..., Path], tmp_path: Path, call: str
) -> None:
    folders = [tmp_path / "gone", tmp_path / "here"]
    for folder in folders:
        folder.mkdir()
        (folder / "main.py").write_text("value = 1\n", encoding="utf-8")
    names = [{"uri": folder.as_uri(), "name": folder.name} for folder in folders]
    with Wire(*HANGING, call, str(script()), errors=tmp_path / "stderr") as wire:
        wire.hello(workspaceFolders=names)
        uri = (folders[1] / "main.py").as_uri()
        wire.open(uri, "x = \n")
        until_indexed(wire, ["here"] if call == "is_dir" else [] if call == "open" else ["gone", "here"])
        items = wire.ask(uri, 0, 4)["result"]["items"]
        wire.open(URI, "x = \n")
        assert "result" in wire.ask(URI, 0, 4)
        assert bool(items) is (call != "search")  # the model waits for what a search finds
        assert "result" in wire.request("workspace/executeCommand", {"command": "hef-lsp.status"})
        began = time.monotonic()
        wire.request("shutdown", None)
        assert time.monotonic() - began < STOP_SECONDS + SLACK_SECONDS
        began = time.monotonic()
        wire.notify("exit", None)
        assert wire.gone() == 0
        assert time.monotonic() - began < SLACK_SECONDS


def until_indexed(wire: Wire, names: list[str]) -> None:
    found: Any = None
    for _ in range(300):
        status = wire.request("workspace/executeCommand", {"command": "hef-lsp.status"})["result"]
        found = sorted(folder["name"] for folder in status["folders"] if folder["files"])
        if found == names and status["state"] != "loading":
            return
        time.sleep(0.1)
    pytest.fail(f"{found} indexed, {names} wanted")
