"""Which blocks will be wanted: those of places in the open documents where somebody may go next.

A document is looked at once, when it was opened and nobody types, at places spread evenly over it: what retrieval
names at each of them, and the parts of the document around it, are the first things that a jump there asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from lsprotocol import types

from lsp_server.aside import aside
from lsp_server.asking import Inquiry
from lsp_server.later import ForLater
from lsp_server.power import LOOK_SECONDS
from lsp_server.settings import Settings
from lsp_server.snapshot import Buffer, Snapshot, take

UTF_32 = "utf-32"


class Foreseen(Protocol):
    """What a session knows of a place (`lsp_server.session.Session`)."""

    def settings_at(self, path: Path | None) -> Settings: ...
    def inquiry(self, snapshot: Snapshot) -> Inquiry: ...
    async def is_read(self, document: Buffer) -> bool: ...


class Foresight:
    """Lives on the event loop."""

    def __init__(
        self,
        session: Foreseen,
        until_quiet: Callable[[], Awaitable[None]],
        later: Callable[[], ForLater | None],
        saves_energy: Callable[[], bool],
    ) -> None:
        """`saves_energy`: asked on a thread of its own; nothing is looked at while it says so."""
        self._session = session
        self._saves_energy = saves_energy
        self._until_quiet = until_quiet
        self._later = later
        self._open: dict[str, Buffer] = {}  # by URI, as each is now
        self._waiting: set[str] = set()  # that no model has looked at
        self._looking: asyncio.Task[None] | None = None

    def edited(self, buffer: Buffer) -> None:
        """A document was opened or changed."""
        if buffer.path is None:
            return
        is_new = buffer.uri not in self._open
        self._open[buffer.uri] = buffer
        if is_new:
            self._waiting.add(buffer.uri)
            self._begin()

    def closed(self, uri: str) -> None:
        self._open.pop(uri, None)
        self._waiting.discard(uri)

    def changed_model(self) -> None:
        """Another model answers from now on, which has blocks of its own."""
        self._waiting = set(self._open)
        self._begin()

    def stop(self) -> None:
        """Look no further."""
        if self._looking is not None:
            self._looking.cancel()

    def _begin(self) -> None:
        if self._waiting and (self._looking is None or self._looking.done()):
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="foresight")

    async def _look(self) -> None:
        while self._waiting:
            await self._until_quiet()
            while await aside(self._saves_energy):
                await asyncio.sleep(LOOK_SECONDS)
            later, uri = self._later(), next(iter(self._waiting), None)
            if later is None or uri is None:
                return  # no model is there: `changed_model` will tell
            self._waiting.discard(uri)
            buffer = self._open[uri]
            if await self._session.is_read(buffer):
                for snapshot in places(buffer, self._session.settings_at(buffer.path).blocks.ahead):
                    later.foresee(self._session.inquiry(snapshot).foresee)


def places(buffer: Buffer, most: int) -> list[Snapshot]:
    """At the ends of `most` lines of a document, or of all it has, spread evenly over it."""
    n_lines = buffer.text.count("\n") + 1
    n = min(most, n_lines)
    rows = [int((i + 0.5) * n_lines / n) for i in range(n)]
    return [take(buffer, types.Position(row, len(buffer.text)), UTF_32) for row in rows]
