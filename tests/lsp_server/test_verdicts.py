"""What the disk says about documents, asked by an event loop that must not wait for it."""

from __future__ import annotations

import asyncio
import random
import string
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer import IndexSettings
from lsp_server.coder import LoadedCoder
from lsp_server.session import Session
from lsp_server.settings import CompletionSettings, Settings
from lsp_server.silence import UNKNOWN_FILE, Silence, ignored_by, secret_by_text
from lsp_server.snapshot import Buffer
from lsp_server.switches import Switches
from lsp_server.verdicts import Question, Verdicts

pytestmark = pytest.mark.asyncio
LONG = 20.0  # seconds that a busy machine may take for what takes a millisecond
TOKEN = "ghp_" + "".join(random.Random(3).choices(string.ascii_letters, k=36))
SECRET_TEXT = secret_by_text("GitHub")
A_PY = ignored_by("`a.py` in .gitignore")


def about(path: Path, *parts: str, root: Path | None = None) -> Question:
    return Question(path.as_uri(), path, root, IndexSettings(), parts)


class Disk:
    """A judge that counts, and hangs where it is told to."""

    def __init__(self, why: Callable[[Question], Silence | None] = lambda question: None) -> None:
        self.asked: list[Question] = []
        self.hangs: set[Path | None] = set()
        self.goes_on = threading.Event()
        self._why = why

    def __call__(self) -> Callable[[Question], Silence | None]:
        def judge(question: Question) -> Silence | None:
            self.asked.append(question)
            if question.root in self.hangs:
                self.goes_on.wait(60)
            return self._why(question)

        return judge


async def test_a_disk_that_hangs_stops_nobody(tmp_path: Path) -> None:
    """Before: everything waited for it, shutdown too."""
    disk = Disk()
    disk.hangs.add(tmp_path)
    verdicts = Verdicts(disk)
    began = time.monotonic()
    assert await verdicts.ask(about(tmp_path / "a.py", root=tmp_path), 0.1) is None
    assert await verdicts.ask(about(tmp_path / "b.py", root=tmp_path), 0.1) is None
    elsewhere = await verdicts.ask(about(Path("/elsewhere/c.py"), root=Path("/elsewhere")), LONG)
    assert elsewhere is not None
    assert elsewhere.why is None
    assert time.monotonic() - began < LONG
    disk.goes_on.set()
    answer = await verdicts.ask(about(tmp_path / "a.py", root=tmp_path), LONG)
    assert answer is not None


async def test_typing_is_answered_from_memory(tmp_path: Path) -> None:
    disk = Disk()
    verdicts = Verdicts(disk)
    question = about(tmp_path / "a.py", "x = ")
    assert await verdicts.ask(question, LONG) is not None
    disk.hangs.add(None)
    for typed in ("1", "12", "123"):
        assert verdicts.known(about(tmp_path / "a.py", "x = " + typed)) is not None
    disk.goes_on.set()
    verdicts.forget(question.uri)
    assert verdicts.known(question) is None


async def test_much_new_text_is_looked_at_first(tmp_path: Path) -> None:
    disk = Disk(lambda question: SECRET_TEXT if TOKEN in "".join(question.parts) else None)
    verdicts = Verdicts(disk)
    clean, pasted = about(tmp_path / "a.py", "x = ", ""), about(tmp_path / "a.py", "x = " + TOKEN, "")
    first = await verdicts.ask(clean, LONG)
    second = await verdicts.ask(pasted, LONG)
    assert first is not None
    assert second is not None
    assert (first.why, second.why) == (None, SECRET_TEXT)


async def test_the_newest_text_counts_while_an_older_one_is_looked_at(tmp_path: Path) -> None:
    disk = Disk(lambda question: SECRET_TEXT if TOKEN in "".join(question.parts) else None)
    disk.hangs.add(None)
    verdicts = Verdicts(disk)
    asked = [
        asyncio.create_task(verdicts.ask(about(tmp_path / "a.py", text), LONG)) for text in ("x", "x" + TOKEN)
    ]
    await asyncio.sleep(0)
    disk.goes_on.set()
    answers = [answer.why for answer in await asyncio.gather(*asked) if answer]
    assert answers == [None, SECRET_TEXT]


async def test_an_error_refuses_and_is_logged_without_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(question: Question) -> Silence | None:
        raise ValueError("".join(question.parts))

    answer = await Verdicts(Disk(fail)).ask(about(tmp_path / "a.py", "my text"), LONG)
    assert answer is not None
    assert answer.why is UNKNOWN_FILE
    assert "ValueError" in caplog.text
    assert "my text" not in caplog.text


async def test_threads_of_closed_folders_end(tmp_path: Path) -> None:
    verdicts = Verdicts(Disk())
    before = threading.active_count()
    for name in ("one", "two"):
        assert await verdicts.ask(about(tmp_path / name / "a.py", root=tmp_path / name), LONG) is not None
    assert threading.active_count() == before + 2
    verdicts.keep([])
    until = time.monotonic() + LONG
    while threading.active_count() > before and time.monotonic() < until:
        await asyncio.sleep(0.01)
    assert threading.active_count() == before


async def test_a_hanging_thread_keeps_no_process_alive() -> None:
    program = (
        "import asyncio, time\nfrom pathlib import Path\nfrom indexer import IndexSettings\n"
        "from lsp_server.verdicts import Question, Verdicts\n"
        "question = Question('file:///a', Path('/a'), None, IndexSettings(), ())\n"
        "hang = lambda: lambda question: time.sleep(600)\n"
        "print(asyncio.run(Verdicts(hang).ask(question, 0.1)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "None\n"


def buffer(path: Path, text: str = "x = 1\n") -> Buffer:
    return Buffer(path.as_uri(), 1, path, "python", text)


async def test_what_the_switches_say(tmp_path: Path) -> None:
    switches, settings = Switches(), Settings()
    (tmp_path / ".gitignore").write_text("build/\n")
    assert await switches.refusal(settings, tmp_path, buffer(tmp_path / "a.py"), newest=True) is None
    assert switches.known_refusal(settings, tmp_path, buffer(tmp_path / "a.py")) is None
    assert switches.known_refusal(settings, tmp_path, buffer(tmp_path / "b.py")) is UNKNOWN_FILE
    assert await switches.refusal(settings, tmp_path, buffer(tmp_path / "build" / "a.py")) == ignored_by(
        "`build/` in .gitignore"
    )
    secret = buffer(tmp_path / "a.py", f'TOKEN = "{TOKEN}"\n')
    assert await switches.refusal(settings, tmp_path, secret) == SECRET_TEXT
    (tmp_path / ".gitignore").write_text("a.py\n")
    assert await switches.refusal(settings, tmp_path, buffer(tmp_path / "a.py"), newest=True) == A_PY


async def test_an_edited_ignore_file_counts_while_typing_goes_on(tmp_path: Path) -> None:
    switches, settings, document = Switches(), Settings(), buffer(tmp_path / "a.py")
    assert await switches.refusal(settings, tmp_path, document) is None
    (tmp_path / ".gitignore").write_text("a.py\n")
    until = time.monotonic() + LONG
    while await switches.refusal(settings, tmp_path, document) is None:
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    assert await switches.refusal(settings, tmp_path, document) == A_PY


async def test_patterns_of_the_user_take_no_time(tmp_path: Path) -> None:
    settings = Settings(
        completion=CompletionSettings(disabled_files=("*a" * 100 + "b", "**/" * 50 + "*a" * 50 + "/c"))
    )
    began = time.perf_counter()
    assert await Switches().refusal(settings, tmp_path, buffer(tmp_path / ("a" * 200))) is None
    assert time.perf_counter() - began < LONG


class Client:
    """Nobody listens."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


async def test_a_session_ends_while_the_disk_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    disk.hangs = {tmp_path, None}
    monkeypatch.setattr("lsp_server.verdicts.Judge", disk)

    def load(settings: Settings) -> LoadedCoder:
        raise NotImplementedError

    session = Session(Client(), load)
    await session.start(Settings(), {tmp_path: Settings()})
    assert await session.refusal(buffer(tmp_path / "a.py")) is UNKNOWN_FILE
    await asyncio.wait_for(session.stop(), LONG)
    disk.goes_on.set()
