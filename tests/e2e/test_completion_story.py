"""Inline completion over real stdio: one answer for every request, and always for the right place."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

pytestmark = pytest.mark.asyncio
URI = "untitled:one"
CANCELLED = -32800
COUNTING = " + ".join(str(number) for number in range(2000))  # long, on one line, and no loop


def checksum(text: str) -> str:
    """What the scripted model writes behind `text`."""
    return "".join(chr(ord("a") + byte % 16) for byte in hashlib.sha256(text.encode()).digest()[:12])


async def test_an_untitled_buffer_is_completed_with_an_accept_signal(start: Any, script: Any) -> None:
    editor = await start(script())
    capabilities = await editor.hello()
    editor.open(URI, "x = \n")
    answer = await asyncio.wait_for(editor.ask(URI, 0, 4), 20)

    (item,) = answer.items
    assert item.insert_text == "value_one"
    assert item.range == types.Range(types.Position(0, 4), types.Position(0, 4))
    assert item.command.command == "hef-lsp.accepted"
    assert capabilities.inline_completion_provider is not None
    assert capabilities.completion_provider is None
    assert capabilities.text_document_sync.change == types.TextDocumentSyncKind.Incremental
    await editor.command("accepted", *item.command.arguments)
    assert (await editor.command("status"))["suggestions"] == {
        "offered": 1,
        "accepted": 1,
        "kept": 0,
        "inParts": 0,
        "unsure": 0,
    }
    assert await editor.bye() == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_positions_are_in_the_encoding_agreed_on(start: Any, script: Any, encoding: str) -> None:
    column = {"utf-8": 11, "utf-16": 9}[encoding]  # between the last two brackets
    editor = await start(script(otherwise="second)"))
    capabilities = await editor.hello(encodings=(encoding,))
    editor.open(URI, "\x0cprint\r\nf('😀', ()\r\n")
    answer = await asyncio.wait_for(editor.ask(URI, 1, column), 20)

    (item,) = answer.items
    assert capabilities.position_encoding == encoding
    assert item.range == types.Range(types.Position(1, column), types.Position(1, column + 1))


async def test_a_cancel_stops_the_model_and_is_answered(start: Any, script: Any, calls: Any) -> None:
    editor = await start(script(otherwise=COUNTING, token_seconds=0.01), "--set", "model.deadlineMs=15000")
    await editor.hello()
    editor.open(URI, "x = \n")
    await editor.until_ready()
    answer = editor.ask(URI, 0, 4)
    await asyncio.sleep(0.1)
    editor.take_back(answer)
    start_time = time.monotonic()
    with pytest.raises(JsonRpcException) as refused:
        await asyncio.wait_for(answer, 20)
    await editor.until(calls, "the model was not stopped")

    assert refused.value.code == CANCELLED
    assert calls()[0]["stopped"] == "cancelled"
    assert time.monotonic() - start_time < 2  # the whole text would take 15 seconds


async def test_a_newer_request_supersedes_the_older_one(start: Any, script: Any, calls: Any) -> None:
    editor = await start(script(targets=["a = " + COUNTING, "b = two"], token_seconds=0.01))
    await editor.hello()
    await editor.until_ready()
    editor.open(URI, "a = \n")
    older = editor.ask(URI, 0, 4)
    await asyncio.sleep(0.05)
    editor.type(URI, 0, 1, "b", erase=1)
    newer = editor.ask(URI, 0, 4)

    assert not (await asyncio.wait_for(older, 20)).items
    assert [item.insert_text for item in (await asyncio.wait_for(newer, 20)).items] == ["two"]
    assert [call["stopped"] for call in calls()] == ["cancelled", "end"]


async def test_typing_along_a_suggestion_never_asks_the_model(start: Any, script: Any, calls: Any) -> None:
    editor = await start(script(targets=["x = value_one"]))
    await editor.hello()
    editor.open(URI, "x = \n")
    assert await editor.suggestions(URI, 0, 4) == ["value_one"]

    for column, letter in enumerate("value", start=4):
        editor.type(URI, 0, column, letter)
        assert await editor.suggestions(URI, 0, column + 1) == ["value_one"[column - 3 :]]
    editor.type(URI, 0, 9, "", erase=1)  # back into it

    assert await editor.suggestions(URI, 0, 8) == ["e_one"]
    assert len(calls()) == 1
    editor.type(URI, 0, 8, "X")
    await editor.suggestions(URI, 0, 9)
    assert len(calls()) == 2


async def test_a_keystroke_that_agrees_joins_the_running_request(start: Any, script: Any, calls: Any) -> None:
    editor = await start(script(targets=["x = value_one_and_more_of_it"], token_seconds=0.05))
    await editor.hello()
    await editor.until_ready()
    editor.open(URI, "x = \n")
    older = editor.ask(URI, 0, 4)
    await asyncio.sleep(0.08)
    editor.type(URI, 0, 4, "v")
    newer = editor.ask(URI, 0, 5)

    assert not (await asyncio.wait_for(older, 20)).items
    assert [item.insert_text for item in (await asyncio.wait_for(newer, 20)).items] == [
        "alue_one_and_more_of_it"
    ]
    assert len(calls()) == 1


async def test_a_cancel_because_of_a_keystroke_that_agrees_does_not_stop_the_model(
    start: Any, script: Any, calls: Any
) -> None:
    editor = await start(script(targets=["x = value_one_and_more_of_it"], token_seconds=0.05))
    await editor.hello()
    await editor.until_ready()
    editor.open(URI, "x = \n")
    older = editor.ask(URI, 0, 4)
    await asyncio.sleep(0.08)
    editor.type(URI, 0, 4, "v")
    editor.take_back(older)  # as VS Code does, some time before it asks again
    with pytest.raises(JsonRpcException):
        await asyncio.wait_for(older, 20)

    assert await editor.suggestions(URI, 0, 5) == ["alue_one_and_more_of_it"]
    assert len(calls()) == 1


async def test_the_suggestion_after_an_accepted_one_is_ready_before_it_is_asked_for(
    start: Any, script: Any, calls: Any
) -> None:
    text = "for item in items:\n    total = total + item\n    count = count + 1\n"
    editor = await start(script(targets=[text]))
    await editor.hello()
    editor.open(URI, "for item in items:\n    total")
    (item,) = (await asyncio.wait_for(editor.ask(URI, 1, 9), 20)).items
    editor.type(URI, 1, 9, item.insert_text)
    await editor.command("accepted", *item.command.arguments)
    await editor.until(lambda: len(calls()) == 2, "nothing was worked out in advance")

    assert await editor.suggestions(URI, 1, 24) == []  # the line is complete
    editor.type(URI, 1, 24, "\n    ")
    assert await editor.suggestions(URI, 2, 4) == ["count = count + 1"]
    assert len(calls()) == 2
    assert (await editor.command("status"))["suggestions"] == {
        "offered": 2,
        "accepted": 1,
        "kept": 1,
        "inParts": 0,
        "unsure": 0,
    }


async def test_what_was_worked_out_in_advance_stops_when_the_user_goes_on_elsewhere(
    start: Any, script: Any, calls: Any
) -> None:
    editor = await start(script(targets=["x = one\n" + COUNTING], token_seconds=0.02))
    await editor.hello()
    await editor.until_ready()
    editor.open(URI, "x = ")
    (item,) = (await asyncio.wait_for(editor.ask(URI, 0, 4), 20)).items
    editor.type(URI, 0, 4, item.insert_text)
    await editor.command("accepted", *item.command.arguments)
    editor.edit(URI, types.TextDocumentContentChangeWholeDocument(text="x = one, two"))
    await editor.until(lambda: len(calls()) == 2, "the model was not stopped")

    assert calls()[1]["stopped"] in ("cancelled", "finished")  # whoever notices first: the loop or the model


async def test_random_edits_never_get_a_suggestion_of_another_place(start: Any, script: Any) -> None:
    """The model writes a checksum of what stands before the cursor, so that every suggestion says where it belongs."""
    editor = await start(script(otherwise="checksum", token_seconds=0.003))
    await editor.hello()
    await editor.until_ready()
    rng = random.Random(3)
    texts = {"untitled:a": "", "untitled:b": ""}
    for uri in texts:
        editor.open(uri, "")
    asked: list[tuple[str, str, asyncio.Future[types.InlineCompletionList]]] = []
    for _ in range(150):
        uri = rng.choice(list(texts))
        latest = next(
            (future for other, _, future in reversed(asked) if other == uri and future.done()), None
        )
        shown = latest.result().items if latest else []
        letters = str(shown[0].insert_text)[: rng.randint(1, 6)] if shown and rng.random() < 0.5 else "q"
        texts[uri] += letters
        editor.type(uri, 0, len(texts[uri]) - len(letters), letters)
        asked.append((uri, texts[uri], editor.ask(uri, 0, len(texts[uri]))))
        await asyncio.sleep(rng.choice([0, 0, 0.01, 0.05]))
    answers = await asyncio.wait_for(asyncio.gather(*(future for _, _, future in asked)), 60)

    n_shown = 0
    for (_, text, _), answer in zip(asked, answers, strict=True):
        for item in answer.items:
            whole = text + str(item.insert_text)
            assert any(whole == whole[:end] + checksum(whole[:end]) for end in range(len(text) + 1))
            n_shown += 1
    assert n_shown > 10


async def test_a_keystroke_that_disagrees_starts_anew(start: Any, script: Any, calls: Any) -> None:
    targets = ["x = value_one_and_more_of_it", "x = wrong"]
    editor = await start(script(targets=targets, token_seconds=0.05))
    await editor.hello()
    await editor.until_ready()
    editor.open(URI, "x = \n")
    older = editor.ask(URI, 0, 4)
    editor.type(URI, 0, 4, "w")
    newer = editor.ask(URI, 0, 5)

    assert not (await asyncio.wait_for(older, 20)).items
    assert [item.insert_text for item in (await asyncio.wait_for(newer, 20)).items] == ["rong"]


async def test_an_answer_for_an_older_version_is_empty(start: Any, script: Any) -> None:
    editor = await start(script(otherwise=COUNTING, token_seconds=0.02))
    await editor.hello()
    await editor.until_ready()
    editor.open(URI, "x = \n")
    answer = editor.ask(URI, 0, 4)
    await asyncio.sleep(0.05)
    editor.type(URI, 0, 4, "something else")

    assert not (await asyncio.wait_for(answer, 20)).items


async def test_every_request_is_answered_exactly_once(start: Any, script: Any) -> None:
    editor = await start(script(otherwise="value_number_one", token_seconds=0.002))
    await editor.hello()
    uris = ["untitled:a", "untitled:b"]
    for uri in uris:
        editor.open(uri, "x = \n")
    answers = []
    for number in range(200):
        uri = uris[number % 2]
        if number % 3 == 0:
            editor.type(uri, 0, 4, "v")
        answers.append(editor.ask(uri, 0, 4))
        if number % 5 == 0:
            editor.take_back(answers[-1])
        if number % 20 == 0:
            await asyncio.sleep(0.005)
    done = await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), 30)

    refused = [answer.code for answer in done if isinstance(answer, JsonRpcException)]
    assert len(done) == 200
    assert set(refused) <= {CANCELLED}
    assert all(answer.items is not None for answer in done if not isinstance(answer, JsonRpcException))
    assert await editor.bye() == 0


async def test_a_request_that_cannot_be_read_or_served_is_refused_not_lost(start: Any, script: Any) -> None:
    editor = await start(script())
    await editor.hello()
    for method, params in [
        ("textDocument/inlineCompletion", {"textDocument": {"uri": URI}}),
        ("workspace/executeCommand", {"command": "no such command"}),
        ("no/suchRequest", {}),
    ]:
        with pytest.raises(JsonRpcException):
            await asyncio.wait_for(editor.raw(method, params), 20)
    unopened = await asyncio.wait_for(editor.ask("untitled:not-open", 0, 0), 20)
    assert not unopened.items


async def test_a_selected_menu_item_is_completed_behind(start: Any, script: Any) -> None:
    editor = await start(script(targets=["xs.append(item)"]))
    await editor.hello()
    editor.open(URI, "xs.ap\n")
    chosen = types.SelectedCompletionInfo(types.Range(types.Position(0, 3), types.Position(0, 5)), "append")
    (item,) = (await asyncio.wait_for(editor.ask(URI, 0, 5, chosen), 20)).items

    assert item.insert_text == "append(item)"
    assert item.range == chosen.range


async def test_a_client_without_inline_completion_gets_the_menu(start: Any, script: Any) -> None:
    editor = await start(script(targets=["value = first(second)\nmore"]))
    capabilities = await editor.hello(inline=False)
    editor.open(URI, "value = fi\n")
    params = types.CompletionParams(types.TextDocumentIdentifier(URI), types.Position(0, 10))
    answer = await asyncio.wait_for(editor.text_document_completion_async(params), 20)

    (item,) = answer.items
    assert capabilities.completion_provider is not None
    assert item.text_edit == types.TextEdit(
        types.Range(types.Position(0, 8), types.Position(0, 10)), "first(second)"
    )
    assert item.preselect
    assert item.filter_text == "first(second)"


async def test_the_menu_does_not_wait_and_gets_the_suggestion_with_the_next_keystroke(
    start: Any, script: Any, calls: Any
) -> None:
    slow = script(targets=["value = first(second)"], token_seconds=0.5)
    editor = await start(slow, "--set", "completion.menuWaitMs=100", "--set", "model.deadlineMs=10000")
    await editor.hello(inline=False)
    await editor.until_ready()
    editor.open(URI, "value = f\n")

    async def menu(column: int) -> types.CompletionList:
        params = types.CompletionParams(types.TextDocumentIdentifier(URI), types.Position(0, column))
        answer = await asyncio.wait_for(editor.text_document_completion_async(params), 20)
        assert isinstance(answer, types.CompletionList)
        return answer

    began = time.monotonic()
    first = await menu(9)
    waited = time.monotonic() - began
    editor.type(URI, 0, 9, "i")
    await editor.until(calls, "the model was stopped")
    (item,) = (await menu(10)).items

    assert not first.items
    assert first.is_incomplete
    assert waited < 1  # the model takes 2 seconds
    assert item.text_edit == types.TextEdit(
        types.Range(types.Position(0, 8), types.Position(0, 10)), "first(second)"
    )
    assert len(calls()) == 1


async def test_nothing_is_completed_in_secret_files(
    start: Any, script: Any, tmp_path: Path, calls: Any
) -> None:
    editor = await start(script())
    await editor.hello(tmp_path)
    uri = (tmp_path / ".env").as_uri()
    editor.open(uri, "TOKEN=\n", "plaintext")
    await editor.until_ready()

    assert await editor.suggestions(uri, 0, 6) == []
    assert calls() == []


async def test_no_source_is_logged(start: Any, script: Callable[..., Path]) -> None:
    editor = await start(script(otherwise="suggested_secret"))
    await editor.hello()
    editor.open(URI, "typed_secret = \n")
    await editor.suggestions(URI, 0, 15)
    editor.versions["untitled:never-opened"] = 1
    editor.type("untitled:never-opened", 0, 0, "typed_secret")
    with pytest.raises(JsonRpcException):
        await asyncio.wait_for(
            editor.raw("textDocument/inlineCompletion", {"textDocument": "typed_secret"}), 20
        )
    await editor.bye()
    log = (await editor._server.stderr.read()).decode()

    assert "secret" not in log
