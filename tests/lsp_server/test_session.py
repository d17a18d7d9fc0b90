"""What a session hands to the model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lsp_server.engine import Engine
from lsp_server.offers import Offer
from lsp_server.presentation import Suggestion
from lsp_server.session import Session
from lsp_server.settings import Settings
from lsp_server.status import FolderStatus, Status
from model.completer import Completion, Request, Retrieve


class Client:
    """Nobody listens."""

    def status(self, status: Status) -> None: ...
    def progress(self, root: Path, folder: FolderStatus) -> None: ...
    def progress_ended(self, root: Path, message: str) -> None: ...
    def warn(self, message: str) -> None: ...


class Learner:
    """A completer that only listens."""

    def __init__(self) -> None:
        self.accepted_texts: list[tuple[str, str]] = []
        self.heard = threading.Event()

    def complete(
        self, request: Request, retrieve: Retrieve | None, cancelled: Callable[[], bool] = lambda: False
    ) -> Completion:
        raise NotImplementedError

    def accepted(self, prefix: str, text: str) -> None:
        self.accepted_texts.append((prefix, text))
        self.heard.set()


@pytest.mark.asyncio
async def test_the_completer_hears_what_was_accepted() -> None:
    learner = Learner()
    session = Session(Client(), lambda settings: Engine(learner, None, "listens", (), time.monotonic()))
    done = Completion("value", 1, 0, 0, 1, 1, 0, {}, (), "end")
    offer = Offer(1, "file:///a.py", "x = ", "", Suggestion("value", 0), done)
    session.taken(offer)  # before there is a model: nothing to learn for
    await session.start(Settings(), {})
    session.taken(offer)
    assert learner.heard.wait(10)
    await session.stop()
    assert learner.accepted_texts == [("x = ", "value")]
