"""Two real models of a few hundred kilobytes over stdio: the tiny one answers first, then the large one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.two_checkpoints import write_two_checkpoints

pytestmark = pytest.mark.asyncio
SETTINGS = ("--set", "completion.minConfidence=0", "--set", "drafts.packages=false")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "repository"
    folder.mkdir()
    for number in range(12):
        text = f"def function_{number}(argument):\n    return argument * {number}\n"
        (folder / f"module_{number}.py").write_text(text, encoding="utf-8")
    return folder


async def started(editor_module: Any, tmp_path: Path, folder: Path, *arguments: str, **large: object) -> Any:
    embedded = write_two_checkpoints(tmp_path / "pretrained", **large)
    editor = editor_module.Editor()
    server = str(editor_module.ROOT / "tests" / "servers" / "two_coders_server.py")
    await editor.start((sys.executable, server, str(embedded)), *SETTINGS, *arguments)
    await editor.hello(folder, options=None)  # with the model that is the default
    return editor


def answering(editor: Any) -> str:
    """Name of the model that the newest status says."""
    return editor.statuses[-1]["model"].split(" (")[0] if editor.statuses else ""


async def test_the_large_one_takes_over_in_a_pause(editor_module: Any, tmp_path: Path, folder: Path) -> None:
    editor = await started(editor_module, tmp_path, folder)
    try:
        uri = (folder / "fresh.py").as_uri()
        editor.open(uri, "import module_3\n\nvalue = \n")
        assert await editor.suggestions(uri, 2, 8) is not None
        await editor.until(lambda: answering(editor) == "embedded-tiny", "the tiny one did not come first")
        for column in range(8, 14):
            editor.type(uri, 2, column, "x")
            assert isinstance(await editor.suggestions(uri, 2, column + 1), list)
        await editor.until(lambda: answering(editor) == "embedded-large", "the large one did not take over")
        ready = (await editor.until_ready())[0]
        assert ready["folders"][0]["files"] == 12
        assert not any("embedded-tiny" in note for note in ready["notes"])
        told = [status["model"].split(" (")[0] for status in editor.statuses if status["model"]]
        assert list(dict.fromkeys(told)) == ["embedded-tiny", "embedded-large"]
        for column in range(14, 18):
            editor.type(uri, 2, column, "y")
            assert isinstance(await editor.suggestions(uri, 2, column + 1), list)
        assert len(list((tmp_path / "cache").rglob("pace.json"))) == 1
        assert len(list((tmp_path / "cache").rglob("store.sqlite"))) == 1  # one index for both
        assert await editor.bye() == 0
    finally:
        await editor.leave()


async def test_a_large_one_that_cannot_be_loaded_is_told_and_the_tiny_one_stays(
    editor_module: Any, tmp_path: Path, folder: Path
) -> None:
    editor = await started(editor_module, tmp_path, folder, model_type="mamba")
    try:
        uri = (folder / "fresh.py").as_uri()
        editor.open(uri, "import module_3\n\nvalue = \n")
        await editor.until(lambda: editor.statuses and editor.statuses[-1]["notes"], "nothing was told")
        (note,) = editor.statuses[-1]["notes"]
        assert note.startswith(
            "embedded-tiny answers, because embedded-large cannot be loaded: large has arch"
        )
        assert answering(editor) == "embedded-tiny"
        assert isinstance(await editor.suggestions(uri, 2, 8), list)
        assert await editor.bye() == 0
    finally:
        await editor.leave()
