"""Who answers: a server as long as it works, else the embedded model, for the very keystroke where there is time left.

Both read the same index. What is kept as the tokens of the server's model is no use to the other one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from model.blocks.shelf import Shelf
from model.completer import Completer
from model.engines.remote.failure import ServerError
from model.engines.remote.server import CodingServer
from model.generator import Clock
from model.pace import Pace
from model.repository import Retrieve
from model.request import Completion, Request, never
from model.settings import EMBEDDED_TINY

WITHOUT_VECTORS = {"pseudo": "snippets", "hybrid": "snippets"}


class StandInCompleter:
    """A `Completer` by a server, with one that stands in for it. One thread's, but for `sentence` and `listen`.

    `same_tokens`: whether both have the same tokenizer.
    """

    def __init__(
        self,
        server: CodingServer,
        remote: Completer,
        local: Completer,
        *,
        same_tokens: bool,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._server = server
        self._remote, self._local = remote, local
        self._same_tokens = same_tokens
        self._clock = clock

    @property
    def sentence(self) -> str:
        """Who answers and why, for the user."""
        name, host = self._remote.model.name, self._server.host
        offer, standing = self._server.offer, self._server.health.standing
        if not standing.is_well:
            again = "" if not standing.failures else "; it is asked again while you type"
            return f"{EMBEDDED_TINY} answers, because {host} {standing.why}{again}."
        modes = "none" if offer.infills else "none and snippets"
        if self._remote.model.pseudo and not (offer.no_vectors or offer.infills):
            modes = "none, snippets, pseudo and hybrid"
        why = f", since it {offer.no_vectors}" if offer.no_vectors else ""
        told = f"{name} answers on {host}, with context {modes}{why}"
        return f"{told}: blocks cannot be placed there, nor drafts verified."

    def listen(self, told: Callable[[], None]) -> None:
        """Have `told` called, on any thread, when there is another sentence."""
        self._server.told = told

    def close(self) -> None:
        """End the connections."""
        self._server.close()

    def complete(
        self, request: Request, retrieve: Retrieve | None, cancelled: Callable[[], bool] = never
    ) -> Completion:
        """As `Completer.complete`, by whoever can."""
        start = self._clock()
        if not self._server.health.standing.is_well:
            self._server.look()
            return self._here(request, retrieve, cancelled)
        mode = self.mode(request.context)
        try:
            return self._remote.complete(replace(request, context=mode), retrieve, cancelled)
        except ServerError as failure:
            self._server.failed(str(failure))
        left_ms = request.deadline_ms - (self._clock() - start) * 1e3
        return self._here(replace(request, deadline_ms=left_ms), retrieve, cancelled)

    def mode(self, asked: str) -> str:
        """The context mode that the server's model is given."""
        mode = self._remote.mode(asked)
        if self._server.offer.infills:
            return "none"
        return WITHOUT_VECTORS.get(mode, mode) if self._server.offer.no_vectors else mode

    def accepted(self, prefix: str, text: str) -> None:
        self._local.accepted(prefix, text)

    def prepare(self, request: Request, retrieve: Retrieve | None) -> None:
        """No block is read."""

    def foresee(self, request: Request, retrieve: Retrieve) -> None:
        """No block is read."""

    def tend(self, interrupted: Callable[[], bool]) -> bool:
        """As `Completer.tend`; nothing is asked of the server ahead."""
        return self._local.tend(interrupted)

    def shelf(self, folder: Path) -> Shelf | None:
        """None: no block is read."""
        return None

    def pace(self, asked: str) -> Pace:
        """That of the one who stands in."""
        return self._local.pace(asked)

    def _here(self, request: Request, retrieve: Retrieve | None, cancelled: Callable[[], bool]) -> Completion:
        context = "hybrid" if request.context in ("auto", "blocks") else request.context
        request = replace(request, context=context, shelf=None)
        if not self._same_tokens:
            request = replace(request, tokens=None, packages=None)
        return self._local.complete(request, retrieve, cancelled)
