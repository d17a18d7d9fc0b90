"""The whole line with a real model of a few hundred kilobytes: files, index, pseudo-tokens, completion, status."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_checkpoint import write_tiny_checkpoint

pytestmark = pytest.mark.asyncio


async def test_a_repository_is_indexed_and_completed(
    editor_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    checkpoint = write_tiny_checkpoint(tmp_path / "checkpoint")
    folder = tmp_path / "repository"
    folder.mkdir()
    for number in range(20):
        text = f"def function_{number}(argument):\n    return argument * {number}\n"
        (folder / f"module_{number}.py").write_text(text, encoding="utf-8")
    editor = editor_module.Editor()
    try:
        await editor.start((sys.executable, "-m", "lsp_server"), "--set", f"model.name={checkpoint}")
        await editor.hello(folder)
        uri = (folder / "fresh.py").as_uri()
        editor.open(uri, "import module_3\n\nvalue = module_3.function_3(\n")
        first = editor.ask(uri, 2, 27)  # asked at once: waits for the model, not for the index
        assert (await asyncio.wait_for(first, 60)).items is not None
        status = (await editor.until_ready())[0]
        assert status["folders"][0]["files"] == 20

        for column, letter in enumerate("argument=", start=27):
            editor.type(uri, 2, column, letter)
            assert all(text.strip() for text in await editor.suggestions(uri, 2, column + 1))
        context = await editor.command("context")  # random weights: there may be nothing to show
        assert context is None or {item["path"] for item in context["context"]} <= {
            p.name for p in folder.iterdir()
        }
        assert await editor.bye() == 0
    finally:
        await editor.leave()
