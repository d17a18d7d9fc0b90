"""The real server with its own model: whatever is open, every request is answered and no one else waits.

Generous, because other work may run on this machine; `python -m tests.benchmarks.freezing` measures strictly.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.freezing import ROUNDS, watch
from tests.hostile_documents import NAMES, Hostile, hostile

pytestmark = pytest.mark.asyncio

SERVER = Path(__file__).parents[1] / "servers" / "watched_server.py"
DEADLINE_SECONDS, LATE_SECONDS, FREEZE_SECONDS = 0.5, 1.0, 0.5
SLACK = 10  # times as long as with an ordinary document on this machine now
TRIES = 3  # what freezes does so each time; other work on the machine does not
WORST = (  # one for each thing that froze
    "a line of 60 KB",
    "open brackets of all kinds",
    "an unclosed triple quote",
    "mixed line ends",
    "right to left",
    "base64",
    "50,000 decorators",
    "conflict markers",
    "unfinished lambdas",
    "unfinished separators",
)


async def answered_in_time(editor: Any, folder: Path, names: Iterable[str]) -> None:
    ordinary = await watch(editor, folder, Hostile("python", "x = \n" * 200, 4), typed="va")
    slack = SLACK * ordinary.longest_freeze
    for name in names:
        for _ in range(TRIES):
            seen = await watch(editor, folder, hostile(name), typed="va", rest_seconds=0.2)
            assert len(seen.answers) == 2 * len("va") + ROUNDS, name
            in_time = seen.slowest < DEADLINE_SECONDS + LATE_SECONDS + slack
            if in_time and seen.longest_freeze < FREEZE_SECONDS + slack:
                break
        else:
            pytest.fail(f"{name}: {seen}, slack {slack}")


@pytest_asyncio.fixture
async def serving(editor_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    editor = editor_module.Editor()
    try:
        deadline = f"model.deadlineMs={DEADLINE_SECONDS * 1e3:.0f}"
        await editor.start((sys.executable, str(SERVER)), "--set", "drafts.packages=false", "--set", deadline)
        await editor.hello(tmp_path)
        await editor.until_ready()
        yield editor
    finally:
        await editor.leave()


async def test_every_request_is_answered_in_time_whatever_is_open(serving: Any, tmp_path: Path) -> None:
    await answered_in_time(serving, tmp_path, WORST)


@pytest.mark.slow
async def test_every_other_document_is_as_harmless(serving: Any, tmp_path: Path) -> None:
    await answered_in_time(serving, tmp_path, (name for name in NAMES if name not in WORST))


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
