"""Blocks in the server, with the tiny embedded coder: made while nobody types, kept, and gone with their text."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from lsp_server.coder import LoadedCoder
from lsp_server.kept_blocks import KeptBlocks
from lsp_server.loading import load_coder
from lsp_server.power import Power
from lsp_server.session import Session
from lsp_server.settings import Settings, override
from lsp_server.snapshot import Buffer, take
from model.blocks.block import Block
from model.blocks.packing import Packing
from model.blocks.shelf import Shelf
from model.settings import DEFAULT_BLOCKS
from tests import tiny_coder
from tests.benchmarks.typing_replay import Client, Recorder
from tests.lsp_server import waiting
from tests.typist import position

SECONDS = 60.0
until = partial(waiting.until, seconds=SECONDS)

AHEAD = override(
    Settings(),
    (tiny_coder.ASSIGNMENT, "model.context=blocks", "server.watch=false", "drafts.packages=false"),
)
BLOCKS = override(AHEAD, ("blocks.ahead=0",))
KNOWN = "known.py"
TYPED = "value = area_of_sail("


def functions(name: str, n: int) -> str:
    parts = [
        f"def {name}_{number}(width, height):\n    wide = width * {number}\n    return wide * height\n"
        for number in range(n)
    ]
    return "\n\n".join(parts)


@dataclass(eq=False)
class Stepping(Recorder):
    """Notes too, after each step of making, whether there was more; what is accepted is not learned."""

    steps: list[bool] = field(default_factory=list)

    def accepted(self, prefix: str, text: str) -> None: ...

    def tend(self, interrupted: Callable[[], bool]) -> bool:
        self.steps.append(super().tend(interrupted))
        return self.steps[-1]


class Document:
    """An open document with the cursor at its end."""

    def __init__(self, session: Session, path: Path) -> None:
        self._session, self._path = session, path
        self._text = path.read_text(encoding="utf-8")

    def open(self) -> Buffer:
        buffer = Buffer(self._path.as_uri(), None, self._path, "python", self._text)
        self._session.edited(buffer, self._path)
        return buffer

    async def type(self, text: str) -> None:
        self._text += text
        await self._session.suggest(take(self.open(), position(self._text, len(self._text)), "utf-16"))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    root = tmp_path / "shop"
    root.mkdir()
    (root / KNOWN).write_text(functions("area_of_sail", 6), encoding="utf-8")
    (root / "open.py").write_text(functions("length", 30) + "\n\n", encoding="utf-8")
    return root


@asynccontextmanager
async def served(
    root: Path, settings: Settings = BLOCKS, power: Power | None = None
) -> AsyncIterator[tuple[Session, Stepping]]:
    recorders: list[Stepping] = []

    def load(settings: Settings) -> LoadedCoder:
        engine = load_coder(settings)
        recorders.append(Stepping(engine))
        return replace(engine, completer=recorders[0])

    session = Session(Client(), load, power)
    await session.start(settings, {root: settings})
    try:
        await until(lambda: session.status().state == "ready")
        yield session, recorders[0]
    finally:
        await session.stop()


async def idle(session: Session) -> None:
    """All is made and written."""
    later = session._model.later
    assert later is not None
    await until(lambda: not later._runs)


def owners(cache: Path) -> set[bytes]:
    """Of the blocks that lie in the files of blocks."""
    found = set[bytes]()
    for file in cache.rglob("blocks-*.sqlite3"):
        with closing(sqlite3.connect(file)) as connection:
            found |= {
                owner for (owner,) in connection.execute("SELECT owner FROM blocks JOIN rows USING (id)")
            }
    return found


def owner(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:16]


@pytest.mark.asyncio
async def test_blocks_are_made_between_answers_and_read_by_later_ones(root: Path, tmp_path: Path) -> None:
    async with served(root) as (session, recorder):
        document = Document(session, root / "open.py")
        await document.type(TYPED)
        first = recorder.done[-1]
        while recorder.steps[-1:] != [False] or len(recorder.done) < 3:  # answered while blocks are made
            began = time.monotonic()
            await document.type("\nwidth = zz")
            assert time.monotonic() - began < 2
            await asyncio.sleep(0.02)
        await idle(session)
        await document.type("\nother = ")
        last = recorder.done[-1]
        await document.type("1\nother = ")
        await idle(session)
        assert owners(tmp_path / "cache") == {owner(KNOWN)}  # of what is open nothing, it may never be saved
    assert first.mode == "blocks"
    assert True in recorder.steps
    assert last.prompt_tokens > first.prompt_tokens + 100
    assert recorder.done[-1].reused_tokens > first.prompt_tokens  # what was placed stays

    async with served(root) as (session, recorder):  # the next session has them from the disk
        await Document(session, root / "open.py").type(TYPED)
        assert recorder.done[0].prompt_tokens > first.prompt_tokens + 100


@pytest.mark.asyncio
async def test_what_is_deleted_or_edited_has_no_blocks(root: Path, tmp_path: Path) -> None:
    async with served(root) as (session, _):
        await Document(session, root / "open.py").type(TYPED)
        await idle(session)
    assert owner(KNOWN) in owners(tmp_path / "cache")
    text = (root / KNOWN).read_text(encoding="utf-8")
    (root / KNOWN).write_text(text.replace("wide", "broad"), encoding="utf-8")
    async with served(root, override(BLOCKS, ("model.context=none",))):
        pass  # the index takes it up while no blocks are open
    async with served(root) as (session, _):
        assert owners(tmp_path / "cache") == set()
        await Document(session, root / "open.py").type(TYPED)
        await idle(session)
        assert owner(KNOWN) in owners(tmp_path / "cache")
        (root / KNOWN).unlink()
        session.reindex()
        await until(lambda: owner(KNOWN) not in owners(tmp_path / "cache"))


@pytest.mark.asyncio
async def test_no_block_of_a_text_that_may_never_be_saved_is_written(root: Path, tmp_path: Path) -> None:
    async with served(root) as (session, recorder):
        await Document(session, root / KNOWN).type("\n\ndef area_of_sail_unsaved(width):\n    return width\n")
        await asyncio.sleep(1)  # it can be found now
        await Document(session, root / "open.py").type(TYPED)
        await idle(session)
        assert KNOWN in {item.path for item in recorder.done[-1].context}
        assert owner(KNOWN) not in owners(tmp_path / "cache")


@pytest.mark.asyncio
async def test_what_an_open_document_may_want_is_made_before_it_is_asked_for(
    root: Path, tmp_path: Path
) -> None:
    async with served(root) as (session, recorder):
        await Document(session, root / "open.py").type(TYPED)
        unforeseen = recorder.done[0]
    for file in (tmp_path / "cache").rglob("blocks-*.sqlite3"):
        file.unlink()
    async with served(root, AHEAD) as (session, recorder):
        document = Document(session, root / "open.py")
        document.open()
        await until(lambda: owner(KNOWN) in owners(tmp_path / "cache"))
        assert not recorder.done
        await idle(session)
        await document.type(TYPED)
        assert recorder.done[0].prompt_tokens > unforeseen.prompt_tokens + 300


@pytest.mark.asyncio
async def test_where_nothing_is_suggested_nothing_is_made_ahead(root: Path) -> None:
    hidden = root / ".env"
    hidden.write_text("KEY = 1\n" * 40, encoding="utf-8")
    async with served(root, AHEAD) as (session, recorder):
        Document(session, hidden).open()
        await asyncio.sleep(4)  # longer than until nobody types
        assert not recorder.steps


@pytest.mark.asyncio
async def test_a_stop_waits_for_one_step_only(root: Path) -> None:
    async with served(root) as (session, recorder):
        await Document(session, root / "open.py").type(TYPED)
        await until(lambda: recorder.steps)
        assert recorder.steps[-1]
        began = time.monotonic()
        await session.stop()
        assert time.monotonic() - began < 3
        assert recorder.steps[-1]  # in the middle


@pytest.mark.asyncio
@pytest.mark.parametrize("setting", ["model.context=snippets", "blocks.diskBytes=0"])
async def test_without_blocks_to_keep_no_file_is_opened(root: Path, tmp_path: Path, setting: str) -> None:
    async with served(root, override(BLOCKS, (setting,))) as (session, _):
        await Document(session, root / "open.py").type(TYPED)
    assert not list((tmp_path / "cache").rglob("blocks-*"))


PACKING = Packing(1, 1, 4)
FILLED = """
import sys
from pathlib import Path
import numpy as np
from lsp_server.kept_blocks import KeptBlocks
from model.blocks.block import Block
from model.blocks.packing import Packing
from model.blocks.shelf import Shelf
from model.blocks.store import BlockStore
from model.engines.decoder import Rows
from model.settings import DEFAULT_BLOCKS
folder, packing = Path(sys.argv[1]), Packing(1, 1, 4)
kept = KeptBlocks(Shelf(packing, DEFAULT_BLOCKS, BlockStore(folder, "coder", packing)), folder, {"a": b"1", "b": b"2"})
number = 0
while True:
    numbers = np.ones((1, 1, 3, 4), np.float32)
    for path in "ab":
        kept.shelf.add(path, Block(b"%08d%8s" % (number, path.encode()), Rows(numbers, numbers, np.arange(3))))
    number += 1
    while kept.save():
        pass
    print(number, flush=True)
"""


def test_a_kill_while_blocks_are_written_leaves_those_whose_text_is_still_there(tmp_path: Path) -> None:
    from model.blocks.store import BlockStore

    process = subprocess.Popen(
        [sys.executable, "-c", FILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(20):
        assert process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.wait(SECONDS)
    process.stdout.close()

    shelf = Shelf(PACKING, DEFAULT_BLOCKS, BlockStore(tmp_path, "coder", PACKING))
    kept = KeptBlocks(shelf, tmp_path, {"a": b"1", "b": b"changed meanwhile"})
    found = shelf.find([b"%08d%8s" % (number, path) for number in range(20) for path in (b"a", b"b")])
    assert len(found) == 20
    assert all(isinstance(block, Block) and digest.endswith(b"a") for digest, block in found.items())
    kept.close()
