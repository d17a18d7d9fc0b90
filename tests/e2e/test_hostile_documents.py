"""The real server with its own model: whatever is open, every request is answered and no one else waits.

Generous, because other work may run on this machine; `python -m tests.benchmarks.freezing` measures strictly.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.freezing import ROUNDS, watch
from tests.hostile_documents import NAMES, Hostile, hostile

pytestmark = pytest.mark.asyncio

SERVER = Path(__file__).parents[1] / "servers" / "watched_server.py"
DEADLINE_SECONDS, LATE_SECONDS, FREEZE_SECONDS = 1.0, 1.0, 0.5
SLACK = 10  # times as long as with an ordinary document on this machine now


async def test_every_request_is_answered_in_time_whatever_is_open(
    editor_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    editor = editor_module.Editor()
    try:
        await editor.start((sys.executable, str(SERVER)), "--set", "drafts.packages=false")
        await editor.hello(tmp_path)
        await editor.until_ready()
        ordinary = await watch(editor, tmp_path, Hostile("python", "x = \n" * 200, 4), typed="val")
        slack = SLACK * ordinary.longest_freeze
        for name in NAMES:
            seen = await watch(editor, tmp_path, hostile(name), typed="val")
            assert len(seen.answers) == 2 * len("val") + ROUNDS, name
            assert seen.slowest < DEADLINE_SECONDS + LATE_SECONDS + slack, name
            assert seen.longest_freeze < FREEZE_SECONDS + slack, name
    finally:
        await editor.leave()


async def test_a_document_of_a_hundred_megabytes_is_switched_off_with_a_reason(
    start: Any, script: Any, calls: Any, tmp_path: Path
) -> None:
    uri = (tmp_path / "large.py").as_uri()
    editor = await start(script(), "--set", "completion.maxFileChars=100000")
    await editor.hello(tmp_path)
    await editor.until_ready()
    editor.open(uri, "x = 1\n" * 20_000 + "x = ")
    assert await editor.suggestions(uri, 20_000, 4) == []
    about = (await editor.command("status", uri))["document"]

    assert not about["suggests"]
    assert "too large" in about["reason"]
    assert "completion.maxFileChars" in about["nextStep"]
    assert calls() == []
