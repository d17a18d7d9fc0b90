"""Names of folders and files as an editor gets them: nothing that steers what it shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lsp_server.visible import visible

pytestmark = pytest.mark.asyncio


async def test_a_folders_name_is_shown_escaped(
    start: Callable[..., Any], script: Callable[..., Path], tmp_path: Path
) -> None:
    name = "\x1b[2J\u202egpj"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "a.py").write_text("x = 1\n", encoding="utf-8")
    editor = await start(script())
    await editor.hello(folder)
    await editor.until_ready()
    said = json.dumps(editor.statuses, ensure_ascii=False) + "".join(editor.messages)

    assert json.dumps(visible(name)) in said
    assert visible(said) == said
    assert await editor.bye() == 0
