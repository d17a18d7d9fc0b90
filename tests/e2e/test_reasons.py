"""Why nothing is shown, as a client hears it: with the status, once, and not with every key."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio
URI = "untitled:one"


def told(editor: Any, uri: str = URI) -> list[str]:
    """The codes that came with the status about a document, "" where something was shown; in a row each once."""
    found = [status["document"] for status in editor.statuses if "document" in status]
    codes = [about["code"] for about in found if about["uri"] == uri]
    return [code for at, code in enumerate(codes) if at == 0 or codes[at - 1] != code]


async def until_told(editor: Any, *codes: str) -> dict[str, Any]:
    await editor.until(lambda: told(editor) == list(codes), f"{codes} were not told but {told(editor)}")
    return dict(editor.statuses[-1]["document"])


async def test_the_newest_reason_comes_with_the_status_and_goes_when_something_is_shown(
    start: Any, script: Any
) -> None:
    editor = await start(script(confidence=[0.124]), "--set", "completion.minConfidence=0.35")
    await editor.hello()
    editor.open(URI, "x = \n")
    await editor.until_ready()

    assert await editor.suggestions(URI, 0, 4) == []
    about = await until_told(editor, "unsure")
    assert about["reason"] == "Held back as unsure: 12 % sure, shown from 35 %."
    assert "completion.minConfidence" in about["nextStep"]
    assert about["suggests"]
    assert (await editor.command("status", URI))["document"] == about
    assert "document" not in await editor.command("status")


async def test_the_same_reason_is_not_told_with_every_key(start: Any, script: Any) -> None:
    editor = await start(script(otherwise=")"))
    await editor.hello()
    editor.open(URI, "x = \n")
    await editor.until_ready()
    for n, letter in enumerate("abcdefgh"):
        editor.type(URI, 0, 4 + n, letter)
        assert await editor.suggestions(URI, 0, 5 + n) == []
        await asyncio.sleep(0.1)
    await until_told(editor, "nothing")
    n_messages = len(editor.statuses)
    for n, letter in enumerate("ijkl"):
        editor.type(URI, 0, 12 + n, letter)
        assert await editor.suggestions(URI, 0, 13 + n) == []
        await asyncio.sleep(0.5)

    assert len(editor.statuses) == n_messages


async def test_while_the_model_loads_that_is_the_reason(start: Any, script: Any) -> None:
    editor = await start(
        script(load_seconds=2.0), "--set", "completion.loadWaitMs=0", "--set", "model.deadlineMs=100"
    )
    await editor.hello()
    editor.open(URI, "x = \n")

    assert await editor.suggestions(URI, 0, 4) == []
    assert (await editor.command("status", URI))["document"]["code"] == "loading"
    await until_told(editor, "loading")
    await editor.until_ready()
    assert await editor.suggestions(URI, 0, 4) == ["value_one"]
    await until_told(editor, "loading", "")


async def test_a_model_that_is_slow_is_late_and_one_that_is_not_there_says_so(
    start: Any, script: Any
) -> None:
    slow = await start(script(token_seconds=0.5), "--set", "model.deadlineMs=100")
    await slow.hello()
    await slow.until_ready()
    slow.open(URI, "x = \n")
    assert await slow.suggestions(URI, 0, 4) == []
    about = await until_told(slow, "late")
    assert "model.deadlineMs" in about["reason"]
    broken = await start(script(load_error="no weights"))
    await broken.hello()
    broken.open(URI, "x = \n")
    await broken.until(lambda: broken.statuses[-1:] and broken.statuses[-1]["state"] == "error", "no error")
    assert await broken.suggestions(URI, 0, 4) == []
    assert (await until_told(broken, "failed"))["suggests"]


async def test_a_refused_document_says_which_rule_and_a_closed_one_nothing(
    start: Any, script: Any, tmp_path: Path
) -> None:
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    (tmp_path / "repo" / ".gitignore").write_text("*.gen.py\n", encoding="utf-8")
    editor = await start(script())
    await editor.hello(tmp_path / "repo")
    await editor.until_ready()
    uri = (tmp_path / "repo" / "a b.gen.py").as_uri()
    editor.open(uri, "x = \n")
    assert await editor.suggestions(uri, 0, 4) == []
    await editor.until(lambda: told(editor, uri) == ["ignored"], "it was not told")
    about = editor.statuses[-1]["document"]

    assert "`*.gen.py` in .gitignore" in about["reason"]
    assert not about["suggests"]
    editor.close(uri)
    await editor.command("pause")
    await editor.until(lambda: editor.statuses[-1]["state"] == "paused", "not paused")
    assert "document" not in editor.statuses[-1]


async def test_suggestions_that_come_only_when_asked_for_say_so(start: Any, script: Any) -> None:
    editor = await start(script(), "--set", "completion.automatic=false")
    await editor.hello()
    editor.open(URI, "x = \n")

    assert await editor.suggestions(URI, 0, 4) == []
    about = (await editor.command("status", URI))["document"]
    assert (about["code"], about["suggests"]) == ("manual", True)
