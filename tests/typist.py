"""Someone who types and looks at the clock: the tests' editor with cursors as offsets, for the demo and benchmarks."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from lsprotocol import types

from tests.e2e.editor import ROOT, Editor

SERVER = (sys.executable, "-m", "lsp_server.cli")
SHOW_ALL = ("--set", "completion.minConfidence=0")  # what is looked at is the answer, sure or not


class Typist(Editor):
    """One client of the real server, which runs as users run it: its own number of threads, a cache of its choice."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[str, str] = {}

    async def serve(self, folder: Path, cache: Path, *arguments: str) -> None:
        """Start the server with these arguments and this cache directory, and open a folder."""
        await self.start_io(
            *SERVER, *SHOW_ALL, *arguments, env={**os.environ, "HEF_CACHE_DIR": str(cache)}, cwd=ROOT
        )
        await self.hello(folder, options=None)

    @property
    def server_pid(self) -> int:
        assert self._server is not None, "the server was not started"
        return self._server.pid

    @property
    def state(self) -> str:
        """The server's last word on how it is: loading, indexing, ready, error, ..."""
        return str(self.statuses[-1]["state"]) if self.statuses else "starting"

    def open_document(self, path: Path, text: str) -> str:
        """Open a document with this text, saved or not; its URI."""
        uri = path.as_uri()
        self._texts[uri] = text
        self.open(uri, text)
        return uri

    def type_at(self, uri: str, offset: int, text: str) -> int:
        """Put `text` in at an offset; the offset behind it."""
        place = position(self._texts[uri], offset)
        self._texts[uri] = self._texts[uri][:offset] + text + self._texts[uri][offset:]
        self.type(uri, place.line, place.character, text)
        return offset + len(text)

    async def suggestion_at(self, uri: str, offset: int) -> tuple[str, float]:
        """What the server suggests at an offset ("" for nothing), and the milliseconds until its answer."""
        place = position(self._texts[uri], offset)
        start = time.perf_counter()
        suggestions = await self.suggestions(uri, place.line, place.character)
        return "".join(suggestions[:1]), (time.perf_counter() - start) * 1e3


def position(text: str, offset: int) -> types.Position:
    """The LSP position of a character offset, in UTF-16 units."""
    line_start = text.rfind("\n", 0, offset) + 1
    column = len(text[line_start:offset].encode("utf-16-le")) // 2
    return types.Position(line=text.count("\n", 0, offset), character=column)
