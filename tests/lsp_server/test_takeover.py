"""One coder takes over from another, in a session."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lsp_server import preparing
from lsp_server.coder import LoadedCoder, StaysError, Successor
from lsp_server.session import Session
from lsp_server.settings import Settings, override
from lsp_server.snapshot import Buffer, take
from lsp_server.status import FolderStatus, Status
from model.checkpoint.files import WeightsError
from model.repository import Retrieve, TokenMatch
from model.request import Completion, Request
from tests.lsp_server.waiting import SECONDS, until
from tests.played_completer import PlayedCompleter
from tests.typist import position

SETTINGS = override(Settings(), ("server.watch=false", "drafts.packages=false", "completion.minConfidence=0"))
Listening = Callable[[Request], None]


class Letters:
    """A tokenizer: every character is a token, `shift` says which."""

    def __init__(self, shift: int) -> None:
        self.fingerprint = f"letters {shift}"
        self.shift = shift

    def encode(self, text: str) -> list[int]:
        return [ord(character) + self.shift for character in text]


class Vectors:
    """Everything is the same vector."""

    def __init__(self, fingerprint: str = "vectors") -> None:
        self.fingerprint = fingerprint

    def embed(self, texts: list[str]) -> Vectors:
        self.keys, self.memories = (
            np.full((len(texts), 1), 1, np.float16),
            np.full((len(texts), 1, 1), 1, np.float16),
        )
        return self

    def fuse(self, groups: list[np.ndarray]) -> Vectors:
        return self.embed([""] * len(groups))


class Writer(PlayedCompleter):
    """A completer that writes its name, and keeps what it was asked."""

    def __init__(self, name: str, tokenizer: Letters, gate: threading.Event | None = None) -> None:
        self.name = name
        self.asked: list[Request] = []
        self.matches: list[TokenMatch | None] = []  # of "area_of(" in the repository, as each request came
        self.threads: set[str] = set()
        self.accepted_texts: list[str] = []
        self._tokenizer = tokenizer
        self._gate = gate

    def complete(
        self, request: Request, retrieve: Retrieve | None, cancelled: Callable[[], bool] = lambda: False
    ) -> Completion:
        self.threads.add(threading.current_thread().name)
        self.asked.append(request)
        wanted = self._tokenizer.encode("area_of(")
        self.matches.append(request.tokens.find(wanted, shortest=8) if request.tokens else None)
        if self._gate:
            self._gate.wait(SECONDS)
        return Completion(self.name, 1, 0, 0, 1, 1, 0, {}, (), "end")

    def accepted(self, prefix: str, text: str) -> None:
        self.accepted_texts.append(text)


def coder(
    name: str, shift: int, encoder: str = "vectors", gate: threading.Event | None = None
) -> LoadedCoder:
    tokenizer = Letters(shift)
    return LoadedCoder(
        Writer(name, tokenizer, gate),
        Vectors(encoder),
        name,
        (),
        time.monotonic(),
        tokenizer,
        f"coder {name}",
    )


def followed_by(first: LoadedCoder, load: Callable[[Settings], LoadedCoder]) -> LoadedCoder:
    return replace(first, successor=Successor("large", lambda settings, told: load(settings)))


class StatusKeeper:
    """A client that keeps what it is told."""

    def __init__(self) -> None:
        self.statuses: list[Status] = []
        self.warnings: list[str] = []

    def status(self, status: Status) -> None:
        self.statuses.append(status)

    def progress(self, root: Path, folder: FolderStatus) -> None: ...
    def progress_ended(self, root: Path, message: str) -> None: ...
    def warn(self, message: str) -> None:
        self.warnings.append(message)


class Typed:
    """An open document with the cursor at its end."""

    def __init__(self, session: Session, path: Path) -> None:
        self._session, self._path = session, path
        self._text = "import sail\n\n"

    async def type(self, text: str) -> str:
        """What is suggested then."""
        buffer = self.buffer(text)
        self._session.edited(buffer, self._path)
        offer = await self._session.suggest(take(buffer, position(self._text, len(self._text)), "utf-16"))
        return offer.suggestion.text if offer else ""

    def buffer(self, text: str) -> Buffer:
        """The document, with this at its end."""
        self._text += text
        return Buffer(self._path.as_uri(), None, self._path, "python", self._text)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(preparing, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(preparing, "LOOK_SECONDS", 0.01)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    root = tmp_path / "shop"
    root.mkdir()
    (root / "sail.py").write_text("mast = area_of(boom)\n", encoding="utf-8")
    return root


@asynccontextmanager
async def serving(
    root: Path, load: Callable[[Settings], LoadedCoder], settings: Settings = SETTINGS
) -> AsyncIterator[tuple[Session, StatusKeeper]]:
    client = StatusKeeper()
    session = Session(client, load)
    await session.start(settings, {root: settings})
    try:
        await until(lambda: session.status().state == "ready")
        yield session, client
    finally:
        await session.stop()


@contextmanager
def no_collection() -> Iterator[None]:
    """What is let go of here goes at once."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def is_over(session: Session) -> bool:
    """Whether nobody is on the way to take over any more."""
    return session._model._takeover is not None and session._model._taking is None


@pytest.mark.asyncio
async def test_the_first_answers_until_the_next_has_all_that_it_reads(root: Path) -> None:
    loads, may_load, tiny, large = (
        threading.Event(),
        threading.Event(),
        coder("tiny", 0),
        coder("large", 1000),
    )

    def load(settings: Settings) -> LoadedCoder:
        loads.set()
        assert may_load.wait(SECONDS)
        return large

    async with serving(root, lambda settings: followed_by(tiny, load)) as (session, _):
        document = Typed(session, root / "open.py")
        assert await document.type("a = ") == "tiny"
        assert session.status().model == "tiny"
        await until(loads.is_set)  # which is once nobody types
        assert "large: loading it" in session.status().message
        may_load.set()
        await until(lambda: session.status().model == "large")
        assert await document.type("\nb = ") == "large"
        assert "loading" not in session.status().message
        assert session.status().notes == ()
    first, second = tiny.completer, large.completer
    assert isinstance(first, Writer)
    assert isinstance(second, Writer)
    # The large one was warmed up at the newest place on its way, then answers on the model's thread.
    assert [request.prefix[-4:] for request in second.asked] == ["a = ", "b = "]
    assert second.threads == {"hef-model-next", "hef-model"}
    assert first.threads == {"hef-model"}
    assert all(second.matches)  # from the first time that it was asked
    assert second.matches[-1] is not None
    assert second.matches[-1].continuations[0][0] == ord("b") + 1000  # by its own tokenizer
    assert first.matches[-1] is None or first.matches[-1].continuations[0][0] == ord("b")


@pytest.mark.asyncio
async def test_no_index_is_built_anew_and_what_changes_later_is_read_by_the_new_one(root: Path) -> None:
    large, opened = coder("large", 1000), []
    async with serving(root, lambda settings: followed_by(coder("tiny", 0), lambda _: large)) as (session, _):
        opened = [session._folders.of(root / "open.py")]
        await until(lambda: session.status().model == "large")
        assert [session._folders.of(root / "open.py")] == opened
        (root / "sail.py").write_text("mast = sum(boom)\n", encoding="utf-8")
        (root / "more.py").write_text("deck = area_of(hull)\n", encoding="utf-8")
        session.reindex()
        writer, document = large.completer, Typed(session, root / "open.py")
        assert isinstance(writer, Writer)

        async def knows() -> bool:
            await document.type("\nc = ")
            match = writer.matches[-1]
            return match is not None and match.continuations[0][0] == ord("h") + 1000

        deadline = time.monotonic() + SECONDS
        while not await knows():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


@pytest.mark.asyncio
async def test_an_answer_under_way_is_not_lost(root: Path) -> None:
    gate, taking = threading.Event(), threading.Event()
    slow = coder("tiny", 0, gate=gate)

    def load(settings: Settings) -> LoadedCoder:
        assert taking.wait(SECONDS)
        return coder("large", 1000)

    settings = override(SETTINGS, ("model.deadlineMs=20000",))
    async with serving(root, lambda _: followed_by(slow, load), settings) as (session, _):
        document = Typed(session, root / "open.py")
        answer = asyncio.ensure_future(document.type("a = "))
        assert isinstance(slow.completer, Writer)
        await until(lambda: slow.completer.asked)  # type: ignore[attr-defined]
        taking.set()
        await asyncio.sleep(0.3)  # the large one stands behind it in the queue
        assert session.status().model == "tiny"
        gate.set()
        assert await answer == "tiny"
        await until(lambda: session.status().model == "large")
        assert await document.type("\nb = ") == "large"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (StaysError("It is too slow.", 1440.0), "It is too slow."),
        (
            WeightsError("model.safetensors was changed"),
            "embedded-tiny answers, because large cannot be loaded: model.safetensors was changed",
        ),
        (
            RuntimeError("odd\x1b[31m"),
            "embedded-tiny answers, because large cannot be loaded: odd[31m",
        ),
    ],
)
async def test_who_cannot_take_over_leaves_all_as_it_was(root: Path, error: Exception, sentence: str) -> None:
    def load(settings: Settings) -> LoadedCoder:
        raise error

    async with serving(root, lambda _: followed_by(coder("tiny", 0), load)) as (session, client):
        await until(lambda: session.status().notes)
        (said,) = session.status().notes
        assert said.replace("\\x1b", "").replace("\x1b", "") == sentence
        assert (session.status().state, session.status().model) == ("ready", "tiny")
        assert client.statuses[-1].notes == (said,)
        assert await Typed(session, root / "open.py").type("a = ") == "tiny"
        assert client.warnings == []


@pytest.mark.asyncio
async def test_one_that_fails_at_its_first_completion_does_not_take_over(root: Path) -> None:
    large, may_load = coder("large", 1000), threading.Event()
    large.completer.complete = lambda *_: 1 / 0  # type: ignore[method-assign, assignment, return-value]

    def load(settings: Settings) -> LoadedCoder:
        assert may_load.wait(SECONDS)
        return large

    async with serving(root, lambda _: followed_by(coder("tiny", 0), load)) as (session, _):
        document = Typed(session, root / "open.py")
        assert await document.type("a = ") == "tiny"
        may_load.set()
        await until(lambda: session.status().notes)
        assert "large cannot be loaded: division by zero" in session.status().notes[0]
        assert await document.type("\nb = ") == "tiny"


@pytest.mark.asyncio
async def test_a_longer_deadline_gives_another_chance_and_other_changes_do_not(root: Path) -> None:
    asked: list[float] = []

    def load(settings: Settings) -> LoadedCoder:
        asked.append(settings.model.deadline_ms)
        if settings.model.deadline_ms < 1440:
            raise StaysError("It is too slow.", 1440.0)
        return coder("large", 1000)

    async with serving(root, lambda _: followed_by(coder("tiny", 0), load)) as (session, _):
        await until(lambda: is_over(session))
        for change in ("model.deadlineMs=1439", "model.maxTokens=40"):
            changed = override(SETTINGS, (change,))
            await session.configure(changed, {root: changed})
        longer = override(SETTINGS, ("model.deadlineMs=1440",))
        await session.configure(longer, {root: longer})
        await until(lambda: session.status().model == "large")
        assert session.status().notes == ()
        await session.configure(SETTINGS, {root: SETTINGS})
        assert session.status().model == "large"
    assert asked == [1000.0, 1440.0]


@pytest.mark.asyncio
async def test_another_model_in_the_settings_ends_what_was_on_its_way(root: Path) -> None:
    begun, may_load, loaded = threading.Event(), threading.Event(), threading.Event()

    def load_large(settings: Settings) -> LoadedCoder:
        begun.set()
        may_load.wait(SECONDS)
        loaded.set()
        return coder("large", 1000)

    def load(settings: Settings) -> LoadedCoder:
        if settings.model.name == "other":
            return coder("other", 2000)
        return followed_by(coder("tiny", 0), load_large)

    async with serving(root, load) as (session, _):
        await until(begun.is_set)
        other = override(SETTINGS, ("model.name=other",))
        await session.configure(other, {root: other})
        await until(lambda: session.status().model == "other")
        may_load.set()
        assert await asyncio.to_thread(loaded.wait, SECONDS)
        await asyncio.sleep(0.2)
        assert session.status().model == "other"
        assert "loading" not in session.status().message
        await until(lambda: session.status().state == "ready")
        assert await Typed(session, root / "open.py").type("a = ") == "other"


@pytest.mark.asyncio
async def test_a_stop_does_not_wait_for_a_load(root: Path) -> None:
    begun, may_load = threading.Event(), threading.Event()

    def load(settings: Settings) -> LoadedCoder:
        begun.set()
        may_load.wait(SECONDS)
        raise WeightsError("nobody hears this")

    try:
        async with serving(root, lambda _: followed_by(coder("tiny", 0), load)) as (session, _):
            await until(begun.is_set)
            began = time.monotonic()
            await session.stop()
            assert time.monotonic() - began < 3
    finally:
        may_load.set()


@pytest.mark.asyncio
async def test_a_folder_that_is_opened_meanwhile_is_read_as_well(root: Path, tmp_path: Path) -> None:
    large, late = coder("large", 1000), tmp_path / "late"
    late.mkdir()
    (late / "sail.py").write_text("mast = area_of(keel)\n", encoding="utf-8")
    prepared, may_go_on = threading.Event(), threading.Event()
    writer = large.completer
    assert isinstance(writer, Writer)

    def load(settings: Settings) -> LoadedCoder:
        prepared.set()
        assert may_go_on.wait(SECONDS)
        return large

    async with serving(root, lambda _: followed_by(coder("tiny", 0), load)) as (session, _):
        assert await asyncio.to_thread(prepared.wait, SECONDS)
        may_go_on.set()
        await session.configure(SETTINGS, {root: SETTINGS, late: SETTINGS})
        await until(lambda: session.status().model == "large" and session.status().state == "ready")
        document = Typed(session, late / "open.py")
        deadline = time.monotonic() + SECONDS
        while True:
            await document.type("\nc = ")
            match = writer.matches[-1]
            if match is not None and match.continuations[0][0] == ord("k") + 1000:
                break
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


@pytest.mark.asyncio
async def test_with_another_encoder_the_folders_are_opened_anew(root: Path) -> None:
    large = coder("large", 1000, encoder="others")
    async with serving(root, lambda _: followed_by(coder("tiny", 0), lambda _: large)) as (session, _):
        await until(lambda: session.status().model == "large" and session.status().state == "ready")
        document, writer = Typed(session, root / "open.py"), large.completer
        assert isinstance(writer, Writer)
        deadline = time.monotonic() + SECONDS
        while not (writer.matches and writer.matches[-1]):
            assert await document.type("\nc = ") in ("large", "")
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


@pytest.mark.asyncio
async def test_the_first_coder_is_let_go_of_without_garbage_collection(root: Path) -> None:
    alive: list[weakref.ref[object]] = []

    def load(settings: Settings) -> LoadedCoder:
        tiny = coder("tiny", 0)
        alive.append(weakref.ref(tiny.completer))
        return followed_by(tiny, lambda _: coder("large", 1000))

    with no_collection():
        async with serving(root, load) as (session, _):
            assert await Typed(session, root / "open.py").type("a = ") in ("tiny", "large")
            await until(lambda: session.status().model == "large")
            await until(lambda: alive[0]() is None)


@pytest.mark.asyncio
async def test_one_that_was_refused_is_let_go_of(root: Path) -> None:
    alive: list[weakref.ref[object]] = []

    def load(settings: Settings) -> LoadedCoder:
        large = coder("large", 1000)
        alive.append(weakref.ref(large.completer))
        raise StaysError("It is too slow.", 1440.0)

    with no_collection():
        async with serving(root, lambda _: followed_by(coder("tiny", 0), load)) as (session, _):
            await until(lambda: is_over(session))
            await until(lambda: alive[0]() is None)
            assert session.status().notes == ("It is too slow.",)
