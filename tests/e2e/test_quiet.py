"""Less than everything: a snooze, suggestions that wait until they are asked for, and parts of them that are taken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lsprotocol import types

pytestmark = pytest.mark.asyncio
URI = "untitled:one"


async def asked(editor: Any, line: int = 0, character: int = 4) -> list[str]:
    """What a key brings up."""
    params = types.InlineCompletionParams(
        types.InlineCompletionContext(types.InlineCompletionTriggerKind.Invoked),
        types.TextDocumentIdentifier(URI),
        types.Position(line, character),
    )
    answer = await asyncio.wait_for(editor.text_document_inline_completion_async(params), 20)
    return [str(item.insert_text) for item in answer.items]


async def test_a_snooze_ends_by_itself_and_until_then_a_key_still_brings_a_suggestion(
    start: Any, script: Any
) -> None:
    editor = await start(script())
    await editor.hello()
    await editor.until_ready()
    editor.open(URI, "x = \n")
    await editor.command("snooze", 0.05)

    assert await editor.suggestions(URI, 0, 4) == []
    about = await editor.command("status", URI)
    assert about["snoozed"].startswith("until ")
    assert "snoozed until" in about["document"]["reason"]
    assert (about["document"]["code"], about["document"]["suggests"]) == ("snoozed", True)
    assert await asked(editor) == ["value_one"]
    await editor.until(lambda: editor.statuses[-1]["snoozed"] == "", "the end was not told")
    assert await editor.suggestions(URI, 0, 4) == ["value_one"]
    about = await editor.command("status", URI)
    assert (about["document"]["code"], about["document"]["reason"]) == ("", "")


async def test_a_snooze_until_restart_ends_when_it_is_told_to(start: Any, script: Any) -> None:
    editor = await start(script())
    await editor.hello()
    await editor.until_ready()
    editor.open(URI, "x = \n")
    await editor.command("snooze")

    assert (await editor.command("status"))["snoozed"] == "until the server is restarted"
    assert await editor.suggestions(URI, 0, 4) == []
    await editor.command("snooze", 0)
    assert await editor.suggestions(URI, 0, 4) == ["value_one"]


@pytest.mark.parametrize("minutes", [-1, 1e9, "long", [5], True])
async def test_what_is_no_time_is_told_and_changes_nothing(start: Any, script: Any, minutes: Any) -> None:
    editor = await start(script())
    await editor.hello()

    await editor.command("snooze", minutes)
    await editor.until(lambda: "A snooze lasts" in "".join(editor.messages), "nothing was said")
    assert (await editor.command("status"))["snoozed"] == ""


async def test_a_subtle_suggestion_is_ready_when_it_is_asked_for_and_stays_while_it_is_typed_along(
    start: Any, script: Any, calls: Any
) -> None:
    editor = await start(script(), "--set", "completion.subtle=true")
    await editor.hello()
    editor.open(URI, "x = \n")

    assert await editor.suggestions(URI, 0, 4) == []
    status = await editor.command("status", URI)
    assert status["suggestions"]["offered"] == 0
    assert "completion.subtle" in status["document"]["reason"]
    assert await asked(editor) == ["value_one"]
    assert len(calls()) == 1
    editor.type(URI, 0, 4, "val")
    assert await editor.suggestions(URI, 0, 7) == ["ue_one"]
    editor.type(URI, 0, 7, "x")
    assert await editor.suggestions(URI, 0, 8) == []


async def test_a_part_that_was_taken_is_counted_once(start: Any, script: Any) -> None:
    editor = await start(script())
    await editor.hello()
    editor.open(URI, "x = \n")
    (item,) = (await asyncio.wait_for(editor.ask(URI, 0, 4), 20)).items
    for number in [*item.command.arguments * 2, 99]:
        await editor.command("acceptedPart", number)

    assert (await editor.command("status"))["suggestions"] == {
        "offered": 1,
        "accepted": 0,
        "kept": 0,
        "inParts": 1,
        "unsure": 0,
    }
