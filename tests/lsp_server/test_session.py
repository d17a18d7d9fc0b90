"""What a session hands to the model."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from indexer import Index
from indexer.installed import Package
from lsp_server import session as session_module
from lsp_server.coder import LoadedCoder
from lsp_server.offers import Offer
from lsp_server.presentation import Suggestion
from lsp_server.session import Session
from lsp_server.settings import Settings
from lsp_server.status import READING_PACKAGES, FolderStatus, Status
from model.request import Completion
from tests.played_completer import PlayedCompleter


class Client:
    """Nobody listens."""

    def status(self, status: Status) -> None: ...
    def progress(self, root: Path, folder: FolderStatus) -> None: ...
    def progress_ended(self, root: Path, message: str) -> None: ...
    def warn(self, message: str) -> None: ...


class Listener(Client):
    """Keeps what goes on beside in the folders, as often as the status is told."""

    def __init__(self) -> None:
        self.background: list[list[str]] = []

    def status(self, status: Status) -> None:
        self.background.append([folder.background for folder in status.folders])


class Characters:
    """A tokenizer: every character is a token."""

    fingerprint = "characters"

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]


class Learner(PlayedCompleter):
    """A completer that only listens."""

    def __init__(self) -> None:
        self.accepted_texts: list[tuple[str, str]] = []
        self.heard = threading.Event()

    def accepted(self, prefix: str, text: str) -> None:
        self.accepted_texts.append((prefix, text))
        self.heard.set()


@pytest.mark.asyncio
async def test_the_completer_hears_what_was_accepted() -> None:
    learner = Learner()
    session = Session(Client(), lambda settings: LoadedCoder(learner, None, "listens", (), time.monotonic()))
    done = Completion("value", 1, 0, 0, 1, 1, 0, {}, (), "end")
    offer = Offer(1, "file:///a.py", "x = ", "", Suggestion("value", 0), done)
    session.shown(offer)
    session.accepted(1)  # before there is a model: nothing to learn for
    await session.start(Settings(), {})
    session.accepted(1)
    assert learner.heard.wait(10)
    await session.stop()
    assert learner.accepted_texts == [("x = ", "value")]


@pytest.mark.asyncio
async def test_the_status_says_while_installed_packages_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    monkeypatch.setattr("indexer.packages.standard_library", lambda: Package("python", "3.99", library))
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "cart.py").write_text("import json\n")
    listener = Listener()
    engine = LoadedCoder(Learner(), None, "listens", (), time.monotonic(), Characters())
    session = Session(listener, lambda settings: engine)
    await session.start(Settings(), {tmp_path / "shop": Settings()})
    for _ in range(1000):
        if [READING_PACKAGES] in listener.background and listener.background[-1] == [""]:
            break
        await asyncio.sleep(0.01)
    await session.stop()
    assert [READING_PACKAGES] in listener.background
    assert not any(folder.background for folder in session.status().folders)
    assert [""] in listener.background[listener.background.index([READING_PACKAGES]) :]


@pytest.mark.asyncio
async def test_stop_leaves_threads_behind_that_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, opened, may_go_on = threading.Event(), threading.Event(), threading.Event()

    class Hanging(Learner):
        def accepted(self, prefix: str, text: str) -> None:
            hanging.set()
            may_go_on.wait()

    def open_index(*_: object, **__: object) -> Index:
        opened.set()
        may_go_on.wait()
        raise OSError("The disk is back.")

    monkeypatch.setattr(Index, "open", open_index)
    monkeypatch.setattr(session_module, "STOP_SECONDS", 0.3, raising=False)
    session = Session(Client(), lambda settings: LoadedCoder(Hanging(), None, "hangs", (), time.monotonic()))
    try:
        await session.start(Settings(), {tmp_path: Settings()})
        done = Completion("value", 1, 0, 0, 1, 1, 0, {}, (), "end")
        session.shown(Offer(1, "file:///a.py", "x = ", "", Suggestion("value", 0), done))
        session.accepted(1)
        assert await asyncio.to_thread(hanging.wait, 10)
        assert await asyncio.to_thread(opened.wait, 10)
        began = time.monotonic()
        await session.stop()
        assert time.monotonic() - began < 4
    finally:
        may_go_on.set()
