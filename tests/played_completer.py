"""What plays `model.completer.Completer`, as far as it says nothing of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from model.pace import Pace
from model.repository import Retrieve
from model.request import Completion, Request


class PlayedCompleter:
    """Learns nothing, makes nothing for later, and reads snippets."""

    def complete(
        self, request: Request, retrieve: Retrieve | None, cancelled: Callable[[], bool] = lambda: False
    ) -> Completion:
        raise NotImplementedError

    def accepted(self, prefix: str, text: str) -> None: ...

    def mode(self, asked: str) -> str:
        return "snippets"

    def prepare(self, request: Request, retrieve: Retrieve | None) -> None: ...

    def foresee(self, request: Request, retrieve: Retrieve) -> None: ...

    def tend(self, interrupted: Callable[[], bool]) -> bool:
        return False

    def shelf(self, folder: Path) -> None: ...

    def pace(self, asked: str) -> Pace:
        raise NotImplementedError
