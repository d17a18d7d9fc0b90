"""A model of a slow hub over stdio: progress in the editor, the tiny one answers meanwhile, then the model itself."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.servers.fake_hub import FakeHub, files_of, serving
from tests.tiny_checkpoint import write_tiny_checkpoint

pytestmark = pytest.mark.asyncio
NAME = "org/tiny"
SETTINGS = (
    *("--set", f"model.name={NAME}", "--set", "model.offline=false", "--set", "model.deadlineMs=60000"),
    *("--set", "completion.minConfidence=0", "--set", "drafts.packages=false"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "module.py").write_text("def function(argument):\n    return argument\n", encoding="utf-8")
    return folder


async def test_bytes_and_rate_are_shown_and_the_tiny_one_answers_meanwhile(
    editor_module: Any, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = write_tiny_checkpoint(tmp_path / "pretrained")
    files = files_of(write_tiny_checkpoint(tmp_path / "tiny", adapter=False, seed=7))
    hub = FakeHub(NAME, files, bytes_per_second=len(files["model.safetensors"]) / 3)
    editor = editor_module.Editor()
    with serving(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        server = str(editor_module.ROOT / "tests" / "servers" / "two_coders_server.py")
        await editor.start((sys.executable, server, str(embedded)), *SETTINGS)
        try:
            await editor.hello(folder, options=None)
            uri = (folder / "fresh.py").as_uri()
            editor.open(uri, "import module\n\nvalue = \n")

            def fetching() -> bool:
                return bool(editor.statuses) and "MB/s" in editor.statuses[-1]["message"]

            await editor.until(fetching, "no rate was told")
            began = time.monotonic()
            assert isinstance(await editor.suggestions(uri, 2, 8), list)
            assert time.monotonic() - began < 5
            assert editor.statuses[-1]["model"].startswith("embedded-tiny ")
            await editor.until(lambda: editor.statuses[-1]["model"].startswith(NAME), "it did not take over")
            await editor.until(lambda: "coming" not in editor.statuses[-1], "it is still coming")
            assert isinstance(await editor.suggestions(uri, 2, 8), list)
            told = [value for value in editor.progress if isinstance(value, dict)]
            assert f"hef-lsp: {NAME}" in [value.get("title") for value in told]
            reported = [value["message"] for value in told if value["kind"] == "report"]
            assert any(message.startswith("fetching ") and " MB/s" in message for message in reported)
            assert await editor.bye() == 0
        finally:
            await editor.leave()
