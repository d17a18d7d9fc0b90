"""On, off and why, per language, file, folder and session; and what the server costs when it is left alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random
from string import ascii_letters
from typing import Any

import pytest
from lsprotocol import types

pytestmark = pytest.mark.asyncio
IDLE_SECONDS = 3.0
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01


def repository(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


def reconfigure(editor: Any) -> None:
    editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))


async def why_not(editor: Any, file: Path, language: str = "python") -> str:
    """The reason that the status gives for a file in which nothing is suggested, "" when something is."""
    uri = file.as_uri()
    editor.open(uri, "x = \n", language)
    about = (await editor.command("status", uri))["document"]
    suggested = await editor.suggestions(uri, 0, 4)
    editor.close(uri)
    assert bool(suggested) == about["suggests"] == (not about["reason"]) == (not about["nextStep"])
    return str(about["reason"])


async def test_the_status_says_why_nothing_is_suggested_in_a_document(
    start: Any, script: Any, tmp_path: Path
) -> None:
    folder = repository(tmp_path / "repo", main="x = 1\n", test_main="x = 1\n", generated="x = 1\n")
    (folder / ".gitignore").write_text("generated.py\n", encoding="utf-8")
    switches = {"completion": {"disabledLanguages": ["markdown"], "disabledFiles": ["test_*", "deep/*.py"]}}
    editor = await start(script(), configuration=switches)
    await editor.hello(folder)
    await editor.until_ready()

    assert await why_not(editor, folder / "main.py") == ""
    assert "for markdown" in await why_not(editor, folder / "README.md", "markdown")
    assert "in test_*" in await why_not(editor, folder / "test_main.py")
    assert "in deep/*.py" in await why_not(editor, folder / "deep" / "down" / "x.py")
    assert "ignored (`generated.py` in .gitignore)" in await why_not(editor, folder / "generated.py")
    assert "`*.env` in the built-in list of secrets" in await why_not(editor, folder / ".env", "plaintext")
    (folder / ".gitignore").write_text("main.py\n", encoding="utf-8")
    assert "ignored" in await why_not(editor, folder / "main.py")
    assert await why_not(editor, folder / "generated.py") == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
async def test_rule_files_that_never_end_stop_neither_suggestions_nor_shutdown(
    start: Any, script: Any, tmp_path: Path
) -> None:
    """Before: the server hung at the first keystroke, and `shutdown` was not answered."""
    folder = repository(tmp_path / "repo", main="x = \n")
    os.mkfifo(folder / ".gitignore")
    (folder / ".hefignore").symlink_to("/dev/zero")
    editor = await start(script())
    await editor.hello(folder)
    await editor.until_ready()

    assert await why_not(editor, folder / "main.py") == ""
    await asyncio.wait_for(editor.shutdown_async(None), 20)


async def test_nothing_is_suggested_in_a_document_that_looks_secret(
    start: Any, script: Any, tmp_path: Path
) -> None:
    folder = repository(tmp_path / "repo", main="x = \n")
    editor = await start(script())
    await editor.hello(folder)
    uri = (folder / "deploy.py").as_uri()
    token = "ghp_" + "".join(Random(5).choices(ascii_letters, k=36))
    editor.open(uri, f"x = \nTOKEN = '{token}'\n")

    assert await editor.suggestions(uri, 0, 4) == []
    assert "looks like a secret" in (await editor.command("status", uri))["document"]["reason"]


async def test_each_folder_has_its_settings_and_its_context(start: Any, script: Any, tmp_path: Path) -> None:
    folders = {
        name: repository(
            tmp_path / name, **{f"helper_{name}": "def shared_helper(argument):\n    return argument\n"}
        )
        for name in ("one", "two", "off")
    }
    editor = await start(script(), configuration={})
    editor.folder_configuration[folders["off"].as_uri()] = {"completion": {"enabled": False}}
    editor.folder_configuration[folders["two"].as_uri()] = {"completion": {"disabledLanguages": ["python"]}}
    await editor.hello(*folders.values())
    await editor.until_ready()

    assert sorted(folder["name"] for folder in editor.statuses[-1]["folders"]) == [
        "one",
        "two",
    ]  # off costs nothing
    assert await why_not(editor, folders["one"] / "main.py") == ""
    assert "for python" in await why_not(editor, folders["two"] / "main.py")
    assert "off" in await why_not(editor, folders["off"] / "main.py")
    editor.folder_configuration = {}
    reconfigure(editor)
    await editor.until(lambda: len(editor.statuses[-1]["folders"]) == 3, "the third folder was not opened")
    await editor.until_ready()
    for name, folder in folders.items():
        uri = (folder / "main.py").as_uri()
        editor.open(uri, "x = shared_helper(\n")
        await editor.suggestions(uri, 0, 18)
        found = await editor.command("context", uri)
        assert (found["uri"], found["folder"]) == (uri, folder.as_uri())
        sources = {item["uri"] for item in found["context"] if item["level"] == "chunk"}
        assert sources == {(folder / f"helper_{name}.py").as_uri()}


async def test_an_editor_that_cannot_be_asked_pushes_its_settings_once(
    start: Any, script: Any, tmp_path: Path
) -> None:
    editor = await start(script())
    await editor.hello()
    pushed = {"hef-lsp": {"completion": {"disabledLanguages": ["python"]}}}
    editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=pushed))
    assert "for python" in await why_not(editor, tmp_path / "main.py")
    editor.change_folders(added=(repository(tmp_path / "repo"),))
    await editor.until(lambda: editor.statuses[-1]["folders"], "the folder was not opened")

    assert "for python" in await why_not(editor, tmp_path / "repo" / "main.py")


async def test_the_context_names_what_the_suggestion_took_from_each_place(
    start: Any, script: Any, tmp_path: Path
) -> None:
    folder = repository(tmp_path / "repo", shapes="def area_of(width):\n    return 'square', width\n")
    editor = await start(script(otherwise="area_of(width_here, 'a square')"))
    await editor.hello(folder)
    await editor.until_ready()
    uri = (folder / "main.py").as_uri()
    editor.open(uri, "import shapes\nwidth_here = 2\nx = shapes.\n")
    await editor.suggestions(uri, 2, 11)
    context = (await editor.command("context"))["context"]

    assert {item["path"]: item["names"] for item in context if item["level"] == "chunk"} == {
        "shapes.py": ["area_of"]
    }


async def test_switched_off_nothing_is_loaded_and_nothing_indexed(
    start: Any, script: Any, tmp_path: Path
) -> None:
    folder = repository(tmp_path / "repo", main="x = 1\n")
    editor = await start(
        script(load_error="must not be loaded"), configuration={"completion": {"enabled": False}}
    )
    await editor.hello(folder)
    await editor.until(lambda: editor.statuses, "no status")

    assert [status["state"] for status in editor.statuses] == ["disabled"]
    assert editor.statuses[-1]["folders"] == []
    editor.configuration = {}
    reconfigure(editor)
    await editor.until(lambda: editor.statuses[-1]["state"] == "error", "the model was not loaded")


@pytest.mark.parametrize(
    ("least", "confidence", "by_itself"),
    [("0.5", [0.4], 0), ("0.3", [0.4], 1), ("1.0", [], 1), ("0", [0.0], 1)],
    ids=["unsure", "sure enough", "unknown", "everything"],
)
async def test_what_is_unsure_comes_when_asked_for(
    start: Any, script: Any, least: str, confidence: list[float], by_itself: int
) -> None:
    editor = await start(script(confidence=confidence), "--set", f"completion.minConfidence={least}")
    await editor.hello()
    uri = "untitled:one"
    editor.open(uri, "x = \n")
    params = types.InlineCompletionParams(
        types.InlineCompletionContext(types.InlineCompletionTriggerKind.Invoked),
        types.TextDocumentIdentifier(uri),
        types.Position(0, 4),
    )

    assert len(await editor.suggestions(uri, 0, 4)) == by_itself
    about = (await editor.command("status", uri))["document"]
    assert about["suggests"]
    assert ("unsure" in about["reason"], "completion.minConfidence" in about["nextStep"]) == (
        not by_itself,
    ) * 2
    answer = await asyncio.wait_for(editor.text_document_inline_completion_async(params), 20)
    assert [item.insert_text for item in answer.items] == ["value_one"]
    assert (await editor.command("status", uri))["document"]["reason"] == ""
    assert (await editor.command("context", uri))["confidence"] == (confidence[0] if confidence else None)


async def test_only_when_asked_means_that_a_key_still_brings_a_suggestion(start: Any, script: Any) -> None:
    editor = await start(
        script(), "--set", "completion.automatic=false", "--set", "completion.menuWaitMs=10000"
    )
    await editor.hello(inline=False)  # whoever has it may still ask for it
    editor.open("untitled:one", "x = \n")
    params = types.InlineCompletionParams(
        types.InlineCompletionContext(types.InlineCompletionTriggerKind.Invoked),
        types.TextDocumentIdentifier("untitled:one"),
        types.Position(0, 4),
    )

    assert await editor.suggestions("untitled:one", 0, 4) == []
    answer = await asyncio.wait_for(editor.text_document_inline_completion_async(params), 20)
    assert [item.insert_text for item in answer.items] == ["value_one"]
    for kind, n_items in [
        (types.CompletionTriggerKind.TriggerCharacter, 0),
        (types.CompletionTriggerKind.Invoked, 1),
    ]:
        place = (types.TextDocumentIdentifier("untitled:one"), types.Position(0, 4))
        menu = await asyncio.wait_for(
            editor.text_document_completion_async(
                types.CompletionParams(*place, types.CompletionContext(kind))
            ),
            20,
        )
        assert len(menu.items) == n_items


async def test_the_first_suggestion_does_not_wait_for_the_index(
    start: Any, script: Any, tmp_path: Path
) -> None:
    folder = repository(
        tmp_path / "repo", **{f"m{number}": f"def f{number}(): pass\n" for number in range(60)}
    )
    editor = await start(script(embed_seconds=0.2))
    await editor.hello(folder)
    uri = (folder / "main.py").as_uri()
    editor.open(uri, "x = f59(\n")
    await editor.until(
        lambda: editor.statuses and editor.statuses[-1]["state"] == "indexing", "never indexing"
    )

    assert await editor.suggestions(uri, 0, 8) == ["value_one"]
    assert editor.statuses[-1]["state"] == "indexing"


def cpu_seconds(process: int) -> float:
    """User and system time of a process and its threads so far."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_SECONDS


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
async def test_left_alone_the_server_uses_no_processor(start: Any, script: Any, tmp_path: Path) -> None:
    editor = await start(script())
    await editor.hello(repository(tmp_path / "repo", one="one = 1\n"))
    await editor.until_ready()
    editor.open((tmp_path / "repo" / "one.py").as_uri(), "one = \n")
    await editor.suggestions((tmp_path / "repo" / "one.py").as_uri(), 0, 6)
    await asyncio.sleep(1)  # the open document is taken in
    before = cpu_seconds(editor._server.pid)
    await asyncio.sleep(IDLE_SECONDS)

    assert cpu_seconds(editor._server.pid) - before <= max(TICK_SECONDS, 0.001 * IDLE_SECONDS) + 1e-9


def can_cut_the_network() -> bool:
    unshare = shutil.which("unshare")
    return (
        bool(unshare) and subprocess.run([str(unshare), "-rn", "true"], capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not can_cut_the_network(), reason="needs unshare and user namespaces")
async def test_it_works_with_the_network_cut(editor_module: Any, script: Any) -> None:
    editor = editor_module.Editor()
    try:
        await editor.start(("unshare", "-rn", sys.executable, *editor_module.SCRIPTED[1:]), str(script()))
        await editor.hello()
        editor.open("untitled:one", "x = \n")
        assert await editor.suggestions("untitled:one", 0, 4) == ["value_one"]
    finally:
        await editor.leave()
