"""A coder's memory is given back while nobody types, and the next key brings it again; the tiny one answers then."""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lsp_server import served_model
from lsp_server.coder import LoadedCoder, Successor
from lsp_server.idleness import Idleness
from lsp_server.loading import let_go, load_first
from lsp_server.session import Session
from lsp_server.settings import Settings, override
from model.checkpoint.files import NoRoomError
from model.completer import Completer
from model.news import to_nobody
from model.pace import Pace
from tests.lsp_server.test_takeover import SETTINGS, Typed, coder, no_collection, quick, root, serving
from tests.lsp_server.waiting import SECONDS, until
from tests.two_checkpoints import write_two_checkpoints

__all__ = ["quick", "root"]

IDLE = override(SETTINGS, ("model.idleMinutes=0.3",))


@pytest.fixture(autouse=True)
def short_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_model, "MINUTE", 1.0)


@dataclass
class Turns:
    """A tiny coder and a large one that take turns; how often each was loaded, and what is left of the large ones."""

    may_come: threading.Event = field(
        default_factory=threading.Event
    )  # the large one, from the second time on
    loaded: list[str] = field(default_factory=list)
    large: list[weakref.ref[object]] = field(default_factory=list)
    trouble: Callable[[str], None] = lambda name: None

    def load(self, settings: Settings) -> LoadedCoder:
        return self._load_tiny()

    def _load_tiny(self) -> LoadedCoder:
        self.trouble("tiny")
        self.loaded.append("tiny")
        return replace(coder("tiny", 0), successor=Successor("large", lambda *_: self._load_large()))

    def _load_large(self) -> LoadedCoder:
        self.trouble("large")
        if self.large:
            assert self.may_come.wait(SECONDS)
        self.loaded.append("large")
        large = coder("large", 1000)
        self.large.append(weakref.ref(large.completer))
        return replace(large, stand_in=Successor("tiny", lambda *_: self._load_tiny()))


def model_of(session: Session) -> str:
    return session.status().model


async def rests(session: Session) -> None:
    await until(lambda: any("large rests" in note for note in session.status().notes))


@pytest.mark.asyncio
async def test_the_memory_goes_while_nobody_types_and_no_key_waits_for_it(root: Path) -> None:
    turns = Turns()
    with no_collection():
        async with serving(root, turns.load, IDLE) as (session, client):
            await until(lambda: model_of(session) == "large")
            document = Typed(session, root / "open.py")
            assert await document.type("a = ") == "large"
            await rests(session)
            assert (model_of(session), session.status().state) == ("tiny", "ready")
            assert "nobody has typed for 0.3 minutes" in client.statuses[-1].notes[0]
            await until(lambda: turns.large[0]() is None)
            for key in ("\nb", "b", " ", "= "):
                assert await document.type(key) == "tiny"  # the large one is on its way, and held up
            await until(lambda: "loading" in session.status().message)
            assert session.status().notes == ()
            turns.may_come.set()
            await until(lambda: model_of(session) == "large")
            assert await document.type("\nc = ") == "large"
    assert turns.loaded == ["tiny", "large", "tiny", "large"]


@pytest.mark.asyncio
async def test_an_edit_alone_brings_it_and_time_alone_does_not(root: Path) -> None:
    turns = Turns()
    turns.may_come.set()
    async with serving(root, turns.load, IDLE) as (session, _):
        await rests(session)
        await asyncio.sleep(0.4)
        assert turns.loaded == ["tiny", "large", "tiny"]
        document = Typed(session, root / "open.py")
        session.edited(document.buffer("x"), root / "open.py")
        await until(lambda: model_of(session) == "large")


@pytest.mark.asyncio
@pytest.mark.parametrize("assignment", ["model.idleMinutes=0", "model.idleMinutes=30"])
async def test_it_stays_where_it_is_to_stay_or_somebody_is_there(root: Path, assignment: str) -> None:
    turns, settings = Turns(), override(SETTINGS, (assignment,))
    async with serving(root, turns.load, settings) as (session, _):
        await until(lambda: model_of(session) == "large")
        await asyncio.sleep(0.5)
        assert turns.loaded == ["tiny", "large"]
        await session.configure(IDLE, {root: IDLE})  # loads nothing anew
        await rests(session)
        assert turns.loaded == ["tiny", "large", "tiny"]
        turns.may_come.set()
        always = override(SETTINGS, ("model.idleMinutes=0",))
        await session.configure(always, {root: always})
        await until(lambda: model_of(session) == "large")


@pytest.mark.asyncio
async def test_who_types_while_it_goes_gets_it_back_at_once(root: Path) -> None:
    turns, goes, may_go = Turns(), threading.Event(), threading.Event()
    turns.may_come.set()

    def trouble(name: str) -> None:
        if name == "tiny" and turns.large:
            goes.set()
            assert may_go.wait(SECONDS)

    turns.trouble = trouble
    async with serving(root, turns.load, IDLE) as (session, _):
        assert await asyncio.to_thread(goes.wait, SECONDS)
        document = Typed(session, root / "open.py")
        assert await document.type("a = ") == "large"
        may_go.set()
        await until(lambda: turns.loaded == ["tiny", "large", "tiny", "large"])
        await until(lambda: model_of(session) == "large")
        assert await document.type("\nb = ") == "large"


@pytest.mark.asyncio
async def test_without_a_stand_in_it_stays(root: Path) -> None:
    turns = Turns()

    def trouble(name: str) -> None:
        if name == "tiny" and turns.large:
            turns.loaded.append("failed")
            raise OSError("the disk has gone")

    turns.trouble = trouble
    async with serving(root, turns.load, IDLE) as (session, _):
        await until(lambda: "failed" in turns.loaded)
        assert await Typed(session, root / "open.py").type("a = ") == "large"
        assert session.status().notes == ()


@pytest.mark.asyncio
async def test_one_that_finds_no_room_is_tried_again_after_the_next_rest(root: Path) -> None:
    turns = Turns()
    turns.may_come.set()
    room = True

    def trouble(name: str) -> None:
        if name == "large" and not room:
            turns.loaded.append("no room")
            raise NoRoomError(4_000_000_000, 1_000_000_000, "too large")

    turns.trouble = trouble
    async with serving(root, turns.load, IDLE) as (session, _):
        await rests(session)
        room = False
        document = Typed(session, root / "open.py")
        assert await document.type("a = ") == "tiny"
        await until(lambda: any("needs 4.0 GB" in note for note in session.status().notes))
        assert await document.type("\nb = ") == "tiny"
        await rests(session)
        room = True
        await document.type("\nc = ")
        await until(lambda: model_of(session) == "large")
        assert turns.loaded == ["tiny", "large", "tiny", "no room", "large"]


def test_the_real_ones_take_turns_and_share_one_fuser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(Completer, "pace", lambda self, asked: Pace(448, 300.0, 20.0))
    tiny = load_first(Settings(), write_two_checkpoints(tmp_path / "pretrained"))
    assert (tiny.stand_in, tiny.successor is not None) == (None, True)
    encoder, names = tiny.encoder, []
    for _ in range(2):
        assert tiny.successor is not None
        large = tiny.successor.load(Settings(), to_nobody)
        assert large.stand_in is not None
        tiny = large.stand_in.load(Settings(), to_nobody)
        names += [made.description.split(" (")[0] for made in (large, tiny)]
        assert large.encoder is encoder
        assert tiny.encoder is encoder
    assert names == ["embedded-large", "embedded-tiny"] * 2


@pytest.mark.parametrize("initialized", [False, True])
def test_memory_of_a_gpu_goes_back_where_torch_has_one(
    monkeypatch: pytest.MonkeyPatch, initialized: bool
) -> None:
    emptied: list[bool] = []
    cuda = SimpleNamespace(is_initialized=lambda: initialized, empty_cache=lambda: emptied.append(True))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    let_go()
    assert emptied == [True] * initialized
    monkeypatch.delitem(sys.modules, "torch")
    let_go()
    assert "torch" not in sys.modules


@pytest.mark.asyncio
async def test_idleness_tells_once_and_again_after_another_use() -> None:
    told: list[float] = []
    idleness = Idleness(lambda: told.append(1.0))
    idleness.used()
    assert not idleness.is_used  # nobody is to be told
    idleness.tell_after(0.1)
    for _ in range(5):
        await asyncio.sleep(0.04)
        idleness.used()
    assert (told, idleness.is_used) == ([], True)
    await until(lambda: told)
    assert not idleness.is_used
    idleness.used()
    await until(lambda: len(told) == 2)
    idleness.used()
    idleness.tell_after(0)
    await asyncio.sleep(0.15)
    assert len(told) == 2
