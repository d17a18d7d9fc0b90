"""Start, settings, folders, files and the end, over real stdio and TCP."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

pytestmark = pytest.mark.asyncio
URI = "untitled:one"


def repository(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


async def contexts(editor: Any, uri: str, text: str) -> list[str]:
    """Paths that a fresh completion of `uri` reads."""
    editor.edit(uri, types.TextDocumentContentChangeWholeDocument(text=text))
    await editor.suggestions(uri, 0, len(text))
    found = await editor.command("context")
    return [item["path"] for item in found["context"]]


async def test_the_first_requests_wait_for_the_model_not_for_ever(start: Any, script: Any) -> None:
    editor = await start(script(load_seconds=1.0))
    await editor.hello()  # is answered before the model is there
    editor.open(URI, "x = \n")

    assert await editor.suggestions(URI, 0, 4) == ["value_one"]


async def test_a_model_that_loads_too_long_means_an_empty_answer(start: Any, script: Any) -> None:
    editor = await start(
        script(load_seconds=60), "--set", "completion.loadWaitMs=0", "--set", "model.deadlineMs=50"
    )
    await editor.hello()
    editor.open(URI, "x = \n")

    assert await editor.suggestions(URI, 0, 4) == []
    assert editor.statuses[-1]["state"] == "loading"
    # A load in native code cannot be stopped: the process ends all the same.
    began = time.monotonic()
    assert await editor.bye() == 0
    assert time.monotonic() - began < 10


async def test_a_model_that_is_too_slow_here_is_noted_with_what_to_do(start: Any, script: Any) -> None:
    editor = await start(
        script(otherwise="one two three four", token_seconds=0.02), "--set", "model.deadlineMs=30"
    )
    await editor.hello()
    await editor.until_ready()
    for number in range(6):
        editor.open(f"untitled:{number}", "x = \n")
        assert not editor.statuses[-1]["notes"]
        await editor.suggestions(f"untitled:{number}", 0, 4)
    await editor.until(lambda: editor.statuses[-1]["notes"], "not noted")

    assert "model.deadlineMs" in editor.statuses[-1]["notes"][0]


async def test_without_a_model_everything_is_answered_and_the_status_says_why(
    start: Any, script: Any
) -> None:
    editor = await start(script(load_error="weights.safetensors is missing; run the download."))
    await editor.hello()
    editor.open(URI, "x = \n")
    await editor.until(lambda: editor.statuses and editor.statuses[-1]["state"] == "error", "no error told")

    assert await editor.suggestions(URI, 0, 4) == []
    assert editor.statuses[-1]["reason"] == "weights.safetensors is missing; run the download."
    assert editor.statuses[-1]["nextStep"]
    assert await editor.bye() == 0


async def test_unknown_and_bad_settings_are_named_and_the_rest_holds(start: Any, script: Any) -> None:
    wanted = {"completion": {"enabled": False, "maxLines": "many"}, "nonsense": 1}
    editor = await start(script(), configuration=wanted)
    await editor.hello()
    await editor.until(lambda: len(editor.messages) == 2, "problems were not shown")
    editor.open(URI, "x = \n")

    assert any("'nonsense'" in message for message in editor.messages)
    assert any("'completion.maxLines'" in message for message in editor.messages)
    assert await editor.suggestions(URI, 0, 4) == []
    editor.configuration = {}
    editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
    await editor.until_ready()
    assert await editor.suggestions(URI, 0, 4) == ["value_one"]
    editor.statuses.clear()
    editor.configuration = {"model": {"threads": 1}}  # another model: loaded anew
    editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
    await editor.until_ready()
    assert "loading" in [status["state"] for status in editor.statuses]
    assert await editor.suggestions(URI, 0, 4) == ["value_one"]


async def test_initialization_options_are_settings_too(start: Any, script: Any) -> None:
    editor = await start(script())
    await editor.hello(options={"hef-lsp": {"completion": {"automatic": False}}})
    editor.open(URI, "x = \n")

    assert await editor.suggestions(URI, 0, 4) == []


async def test_indexing_reports_progress_with_counts(start: Any, script: Any, tmp_path: Path) -> None:
    folder = repository(tmp_path / "repo", **{f"m{i}": f"def f{i}():\n    return {i}\n" for i in range(30)})
    editor = await start(script())
    await editor.hello(folder)
    ready = (await editor.until_ready())[0]
    await editor.until(
        lambda: editor.progress and editor.progress[-1]["kind"] == "end", "the bar was left standing"
    )

    assert set(ready) == {"state", "message", "reason", "nextStep", "model", "notes", "snoozed", "folders"}
    assert ready["model"] == "scripted"
    assert ready["folders"][0]["files"] == 30
    assert editor.progress[0]["kind"] == "begin"
    assert "30 files" in editor.progress[-1]["message"]


async def test_a_file_written_on_disk_is_retrieved(start: Any, script: Any, tmp_path: Path) -> None:
    folder = repository(
        tmp_path / "repo", main="import helper\n", helper="def area(width):\n    return width\n"
    )
    editor = await start(script())
    await editor.hello(folder)
    uri = (folder / "main.py").as_uri()
    editor.open(uri, "x = area(")
    await editor.until_ready()
    assert "helper.py" in await contexts(editor, uri, "y = area(")
    (folder / "fresh.py").write_text(
        "def freshly_written(argument):\n    return argument\n", encoding="utf-8"
    )

    for attempt in range(100):
        if "fresh.py" in await contexts(editor, uri, f"z{attempt} = freshly_written("):
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("the file on disk was never retrieved")


async def test_an_unsaved_buffer_is_retrieved(start: Any, script: Any, tmp_path: Path) -> None:
    folder = repository(tmp_path / "repo", main="import helper\n", helper="value = 1\n")
    editor = await start(script(), "--set", "server.watch=false")
    await editor.hello(folder)
    main, helper = (folder / "main.py").as_uri(), (folder / "helper.py").as_uri()
    editor.open(main, "import helper\n")
    editor.open(helper, "value = 1\n")
    await editor.until_ready()
    editor.type(helper, 0, 0, "def unsaved_function(argument):\n    return argument\n\n\n")

    for attempt in range(100):
        if "helper.py" in await contexts(editor, main, f"z{attempt} = unsaved_function("):
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("the unsaved text was never retrieved")


async def test_folders_come_and_go_and_nested_ones_count_once(
    start: Any, script: Any, tmp_path: Path
) -> None:
    outer = repository(tmp_path / "outer", one="one = 1\n")
    inner = repository(outer / "inner", two="two = 2\n")
    other = repository(tmp_path / "other", three="three = 3\n")
    editor = await start(script())
    await editor.hello(outer, inner)
    await editor.until_ready()
    assert {folder["name"]: folder["files"] for folder in editor.statuses[-1]["folders"]} == {"outer": 2}

    def names() -> list[str]:
        ready = editor.statuses[-1]["state"] == "ready"
        return sorted(f["name"] for f in editor.statuses[-1]["folders"] if f["files"]) if ready else []

    editor.change_folders(added=(other,))
    await editor.until(lambda: names() == ["other", "outer"], "the added folder is not indexed")
    editor.change_folders(removed=(outer,))
    await editor.until(lambda: names() == ["inner", "other"], "the inner folder did not take over")


async def test_pausing_holds_indexing_back(start: Any, script: Any, tmp_path: Path) -> None:
    folder = repository(tmp_path / "repo", one="one = 1\n")
    editor = await start(script())
    await editor.hello(folder)
    await editor.until_ready()
    await editor.command("pause")
    assert editor.statuses[-1]["state"] == "paused"
    repository(folder, two="two = 2\n")
    await asyncio.sleep(0.5)
    assert editor.statuses[-1]["folders"][0]["files"] == 1
    await editor.command("resume")

    await editor.until(lambda: editor.statuses[-1]["folders"][0]["files"] == 2, "the file was forgotten")


async def test_the_server_ends_with_its_client(start: Any, script: Any, tmp_path: Path) -> None:
    editor = await start(script())
    await editor.hello(repository(tmp_path / "repo", one="one = 1\n"))
    editor._server.stdin.close()

    assert await editor.gone() == 1  # no shutdown came before


async def test_exit_without_shutdown_is_an_error(start: Any, script: Any) -> None:
    editor = await start(script())
    await editor.hello()
    editor.exit(None)

    assert await editor.gone() == 1


async def test_shutdown_in_the_middle_of_a_completion_is_prompt(start: Any, script: Any) -> None:
    editor = await start(
        script(otherwise=" + ".join(str(number) for number in range(2000)), token_seconds=0.01)
    )
    await editor.hello()
    editor.open(URI, "x = \n")
    await editor.until_ready()
    answer = editor.ask(URI, 0, 4)
    await asyncio.sleep(0.05)
    began = time.monotonic()
    code = await editor.bye()
    await asyncio.gather(answer, return_exceptions=True)

    assert code == 0
    assert time.monotonic() - began < 10


async def test_tcp_serves_one_client_on_loopback(script: Any, editor_module: Any) -> None:
    environment = {**os.environ, "PYTHONPATH": str(editor_module.ROOT), "OMP_NUM_THREADS": "1"}
    server = await asyncio.create_subprocess_exec(
        *editor_module.SCRIPTED, str(script()), "--tcp", ":0", stderr=asyncio.subprocess.PIPE, env=environment
    )
    try:
        line = (await asyncio.wait_for(server.stderr.readline(), 20)).decode()
        assert line.startswith("Listening on 127.0.0.1:")
        port = int(line.rpartition(":")[2])
        editor = editor_module.Editor()
        await editor.start_tcp("127.0.0.1", port)
        await editor.hello()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        editor.open(URI, "x = \n")
        assert await editor.suggestions(URI, 0, 4) == ["value_one"]
        await editor.shutdown_async(None)
        editor.exit(None)
        assert await asyncio.wait_for(server.wait(), 20) == 0
        await editor.leave()
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()
        server._transport.close()  # type: ignore[attr-defined]
