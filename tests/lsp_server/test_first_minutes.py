"""The first minutes with a model of the hub, in a session with real models of a few hundred kilobytes.

What is said while it comes, who answers meanwhile, and how each way in which it does not come ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from lsp_server import preparing
from lsp_server.loading import load_first
from lsp_server.session import Session
from lsp_server.settings import Settings, override
from model.checkpoint import transfer
from model.checkpoint.hub_cache import HubFolder
from model.completer import Completer
from model.pace import Pace
from tests.lsp_server.test_takeover import StatusKeeper, Typed
from tests.lsp_server.test_takeover import serving as ready_session
from tests.lsp_server.waiting import until
from tests.servers.fake_hub import FakeHub, files_of, nobody_listens, serving
from tests.tiny_checkpoint import write_tiny_checkpoint

NAME = "org/tiny"
SECONDS = 1  # that the hub may be silent
SETTINGS = override(
    Settings(),
    (
        f"model.name={NAME}",
        "model.offline=false",
        "server.watch=false",
        "drafts.packages=false",
        "completion.minConfidence=0",
    ),
)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("embedded"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return files_of(write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"), adapter=False, seed=7))


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(preparing, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(preparing, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(preparing, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(Completer, "pace", lambda self, asked: Pace(448, 300.0, 20.0))
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


@pytest.fixture
def served(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving(FakeHub(NAME, dict(files))) as served:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", served.endpoint)
        yield served


def session_of(
    root: Path, embedded: Path, settings: Settings = SETTINGS
) -> AbstractAsyncContextManager[tuple[Session, StatusKeeper]]:
    return ready_session(root, partial(load_first, embedded=embedded), settings)


def answering(session: Session) -> str:
    return session.status().model.split(" (")[0]


def said(client: StatusKeeper) -> list[str]:
    """What was said of the model that comes, in order."""
    lines = [status.coming.message for status in client.statuses if status.coming]
    return list(dict.fromkeys(lines))


@pytest.mark.asyncio
async def test_the_tiny_one_answers_while_bytes_come_and_the_graph_is_prepared(
    root: Path, embedded: Path, served: FakeHub
) -> None:
    served.bytes_per_second = len(served.files["model.safetensors"]) / 2.5
    async with session_of(root, embedded) as (session, client):
        document = Typed(session, root / "open.py")
        n_asked = 0
        while answering(session) != NAME:
            is_fetching = "fetching" in session.status().message
            assert await document.type("x") is not None
            if is_fetching:
                n_asked += 1
                assert answering(session) == "embedded-tiny"
            await asyncio.sleep(0.05)
        assert n_asked > 5
        assert session.status().coming is None
    lines = said(client)
    fetching = [line for line in lines if line.startswith("fetching ") and "MB/s" in line]
    assert len(fetching) >= 2
    assert all(" of " in line for line in fetching)
    assert "preparing it for this machine, the first time only" in lines
    last = [status.coming.message for status in client.statuses if status.coming][-1]
    assert last == "loading it; it answers once it meets the deadline"
    shares = [status.coming.percentage for status in client.statuses if status.coming]
    assert [share for share in shares if share] == sorted(share for share in shares if share)


@pytest.mark.asyncio
async def test_the_second_start_asks_nobody_and_prepares_nothing(
    root: Path, embedded: Path, served: FakeHub, tmp_path: Path
) -> None:
    async with session_of(root, embedded) as (session, _):
        await until(lambda: answering(session) == NAME)
    served.asked.clear()
    async with session_of(root, embedded) as (session, client):
        await until(lambda: answering(session) == NAME)
    assert served.asked == []
    assert not any("preparing" in line for line in said(client))
    graphs = set((tmp_path / "cache" / "graphs").glob("decoder-*"))
    folder = HubFolder(NAME).found("main")
    assert folder is not None
    copy = tmp_path / "by folder"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    by_folder = override(SETTINGS, (f"model.name={copy}",))
    async with session_of(root, embedded, by_folder) as (session, client):
        await until(lambda: answering(session) == str(copy))
    assert set((tmp_path / "cache" / "graphs").glob("decoder-*")) == graphs  # one for the same weights
    assert not any("preparing" in line for line in said(client))


def silent(hub: FakeHub) -> None:
    hub.silent = True


def silent_in_the_middle(hub: FakeHub) -> None:
    hub.silent_after = len(hub.files["model.safetensors"]) // 2


def gated(hub: FakeHub) -> None:
    hub.gated = True


def wrong_sum(hub: FakeHub) -> None:
    hub.wrong_byte = True


def broken(hub: FakeHub) -> None:
    hub.status = 500


def absent(hub: FakeHub) -> None:
    hub.name = "org/other"


WRONGS: dict[Callable[[FakeHub], None], str] = {
    silent: "nothing came for 1 s",
    silent_in_the_middle: "MB are kept: see the network, then `hef-lsp --models pull org/tiny`",
    gated: "accept its terms at ",
    wrong_sum: "came with a wrong checksum",
    broken: "the hub answers 500",
    absent: "the hub has no org/tiny",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("wrong", WRONGS, ids=lambda wrong: wrong.__name__)
async def test_what_does_not_come_ends_soon_in_a_sentence_and_the_tiny_one_stays(
    root: Path,
    embedded: Path,
    served: FakeHub,
    wrong: Callable[[FakeHub], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong(served)
    if wrong in (silent, silent_in_the_middle):
        monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", str(SECONDS))
    began = time.monotonic()
    async with session_of(root, embedded) as (session, client):
        document = Typed(session, root / "open.py")
        assert await document.type("x") is not None
        await until(lambda: session.status().notes)
        assert time.monotonic() - began < 15  # on a busy machine, loading the tiny one among them
        (note,) = session.status().notes
        assert note.startswith("embedded-tiny answers, because ")
        assert WRONGS[wrong] in note
        assert answering(session) == "embedded-tiny"
        assert await document.type("y") is not None
        assert session.status().coming is None
    assert "asking the hub" in said(client)


@pytest.mark.asyncio
async def test_a_connection_that_breaks_is_taken_up_again(
    root: Path, embedded: Path, served: FakeHub
) -> None:
    served.cut_after = len(served.files["model.safetensors"]) // 3
    async with session_of(root, embedded) as (session, _):
        await until(lambda: answering(session) == NAME)


@pytest.mark.asyncio
async def test_nobody_there(root: Path, embedded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nobody_listens() as endpoint:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        async with session_of(root, embedded) as (session, _):
            await until(lambda: session.status().notes)
            assert "org/tiny cannot be fetched from 127.0.0.1" in session.status().notes[0]


@pytest.mark.asyncio
async def test_without_leave_nobody_is_asked(root: Path, embedded: Path, served: FakeHub) -> None:
    async with session_of(root, embedded, override(SETTINGS, ("model.offline=true",))) as (session, _):
        await until(lambda: session.status().notes)
        (note,) = session.status().notes
        assert (
            "org/tiny (revision main) is not on this machine: `hef-lsp --models pull org/tiny` fetches it"
            in note
        )
        assert note.endswith(", and so does an editor once model.offline is false")
    assert served.asked == []


@pytest.mark.asyncio
async def test_a_session_that_ends_ends_the_fetching(root: Path, embedded: Path, served: FakeHub) -> None:
    served.bytes_per_second = 50_000
    async with session_of(root, embedded) as (session, _):
        await until(lambda: "MB" in session.status().message)
        began = time.monotonic()
    assert time.monotonic() - began < 3
    await asyncio.sleep(0.5)
    kept = HubFolder(NAME).partial_bytes()
    await asyncio.sleep(0.5)
    assert HubFolder(NAME).partial_bytes() == kept
