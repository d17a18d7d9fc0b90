"""Stories: one server process, one editor, one script for the model."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio


def _editor_module() -> ModuleType:
    """`editor.py` beside this file; test folders are no packages (--import-mode=importlib)."""
    if "e2e_editor" not in sys.modules:
        spec = importlib.util.spec_from_file_location("e2e_editor", Path(__file__).with_name("editor.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules["e2e_editor"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["e2e_editor"]


@pytest.fixture(scope="session")
def editor_module() -> ModuleType:
    return _editor_module()


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the scripted model's script; keyword arguments override its defaults."""
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))

    def write(**changes: Any) -> Path:
        content = {
            "targets": [],
            "otherwise": "value_one",
            "token_seconds": 0.001,
            "load_seconds": 0.0,
            "embed_seconds": 0.0,
            "load_error": "",
            "calls": str(tmp_path / "calls.jsonl"),
        }
        file = tmp_path / "script.json"
        file.write_text(json.dumps(content | changes), encoding="utf-8")
        return file

    return write


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """The calls that the model has finished so far."""

    def read() -> list[dict[str, Any]]:
        file = tmp_path / "calls.jsonl"
        return (
            [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            if file.exists()
            else []
        )

    return read


@pytest_asyncio.fixture
async def start(editor_module: ModuleType) -> AsyncIterator[Callable[..., Any]]:
    """Starts a scripted server and returns its editor; whatever still runs at the end is killed."""
    editors = []

    async def start_editor(script: Path, *arguments: str, configuration: dict[str, Any] | None = None) -> Any:
        editor = editor_module.Editor(configuration)
        editors.append(editor)
        await editor.start(editor_module.SCRIPTED, str(script), *arguments)
        return editor

    yield start_editor
    for editor in editors:
        await editor.leave()
