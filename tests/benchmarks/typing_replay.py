"""Replayed typing of real code in the real session, without the protocol around it.

Lines that were taken out of real files are typed again, character by character, the way people do: now and then a wrong
character and a backspace, brackets that the editor closes, a pause behind each line, and a jump to another place of the
file and back. After each keystroke a suggestion is asked for; one that says the rest of the line is accepted.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from lsp_server.cli import SWITCH_SECONDS
from lsp_server.coder import LoadedCoder
from lsp_server.loading import load_coder
from lsp_server.offers import Offer
from lsp_server.session import Session
from lsp_server.settings import Settings, override
from lsp_server.snapshot import Buffer, take
from lsp_server.status import FolderStatus, Status
from model.blocks.shelf import Shelf
from model.repository import Retrieve
from model.request import Completion, Request
from tests.benchmarks.measurement import Measurement, percentiles
from tests.benchmarks.subjects import Subject
from tests.typist import position

N_FILES = 6
N_LINES = 5  # typed in each
KEY_SECONDS, PAUSE_SECONDS = 0.1, 0.6
TYPO_EVERY = 17  # characters
MIN_ACCEPTED = 4  # characters; for less nobody reaches for the key
MAX_WAIT = 300.0  # seconds for the first index
CLOSERS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Stroke:
    """What one keystroke cost. `prefilled`: tokens that the model read for it, in all of its runs."""

    ms: float
    n_runs: int
    prefilled: int
    passes: int
    tokens: int


class Client:
    """Nobody looks at the status here."""

    def status(self, status: Status) -> None: ...
    def progress(self, root: Path, folder: FolderStatus) -> None: ...
    def progress_ended(self, root: Path, message: str) -> None: ...
    def warn(self, message: str) -> None: ...


@dataclass(eq=False)
class Recorder:
    """The session's completer, with a list of what it did."""

    engine: LoadedCoder
    done: list[Completion] = field(default_factory=list)

    def complete(
        self, request: Request, retrieve: Retrieve | None, cancelled: Callable[[], bool] = lambda: False
    ) -> Completion:
        completion = self.engine.completer.complete(request, retrieve, cancelled)
        self.done.append(completion)
        return completion

    def accepted(self, prefix: str, text: str) -> None:
        self.engine.completer.accepted(prefix, text)

    def mode(self, asked: str) -> str:
        return self.engine.completer.mode(asked)

    def prepare(self, request: Request, retrieve: Retrieve | None) -> None:
        self.engine.completer.prepare(request, retrieve)

    def foresee(self, request: Request, retrieve: Retrieve) -> None:
        self.engine.completer.foresee(request, retrieve)

    def tend(self, interrupted: Callable[[], bool]) -> bool:
        return self.engine.completer.tend(interrupted)

    def shelf(self, folder: Path) -> Shelf | None:
        return self.engine.completer.shelf(folder)


class Keyboard:
    """A document that is typed in. `offset` is the cursor."""

    def __init__(self, session: Session, recorder: Recorder, path: Path, text: str, offset: int) -> None:
        self._session = session
        self._recorder = recorder
        self._path = path
        self.text = text
        self.offset = offset
        self.strokes: list[Stroke] = []

    def insert(self, text: str, behind: str = "") -> None:
        self.text = self.text[: self.offset] + text + behind + self.text[self.offset :]
        self.offset += len(text)
        self._tell()

    def delete(self) -> None:
        self.text = self.text[: self.offset - 1] + self.text[self.offset :]
        self.offset -= 1
        self._tell()

    def _tell(self) -> None:
        self._session.edited(self._buffer, self._path)

    @property
    def _buffer(self) -> Buffer:
        return Buffer(self._path.as_uri(), None, self._path, "python", self.text)

    async def ask(self) -> Offer | None:
        """The suggestion at the cursor, measured from the keystroke that has just been."""
        n_done, start = len(self._recorder.done), time.perf_counter()
        snapshot = take(self._buffer, position(self.text, self.offset), "utf-16")
        offer = await self._session.suggest(snapshot)
        ms = (time.perf_counter() - start) * 1e3
        if offer:
            self._session.shown(offer)
        await asyncio.sleep(max(0.0, KEY_SECONDS - ms / 1e3))
        runs = self._recorder.done[n_done:]
        self.strokes.append(
            Stroke(
                ms,
                len(runs),
                sum(run.prompt_tokens - run.reused_tokens for run in runs),
                sum(run.forward_passes for run in runs),
                sum(run.tokens for run in runs),
            )
        )
        return offer

    def accept(self, offer: Offer) -> None:
        self._session.accepted(offer.number)
        self.insert(offer.suggestion.text)


def replayed(subject: Subject, model: str) -> Iterator[Measurement]:
    """Keystroke to answer and tokens read per keystroke, with drafts and without."""
    sys.setswitchinterval(SWITCH_SECONDS)  # as the server does
    with patch.dict(os.environ, HEF_CACHE_DIR=str(subject.cache / "typing")):
        for case, assignments in (("drafts", ()), ("no drafts", ("drafts.enabled=false",))):
            settings = override(Settings(), (f"model.name={model}", *assignments))
            strokes, n_accepted = asyncio.run(_session(subject, settings))
            yield _row(subject, case, strokes, n_accepted)


async def _session(subject: Subject, settings: Settings) -> tuple[list[Stroke], int]:
    recorders: list[Recorder] = []

    def load(settings: Settings) -> LoadedCoder:
        engine = load_coder(settings)
        recorders.append(Recorder(engine))
        return replace(engine, completer=recorders[0])

    session = Session(Client(), load)
    await session.start(settings, {subject.root: settings})
    try:
        await settled(session)
        strokes, n_accepted = [], 0
        for path, text, rows in _places(subject):
            done, accepted = await _typed(session, recorders[0], path, text, rows)
            strokes += done
            n_accepted += accepted
        return strokes, n_accepted
    finally:
        await session.stop()


async def settled(session: Session) -> None:
    end = time.monotonic() + MAX_WAIT
    while session.status().state != "ready" and time.monotonic() < end:
        await asyncio.sleep(0.1)


def _places(subject: Subject) -> Iterator[tuple[Path, str, range]]:
    """Files with the rows of some lines in their second half, drawn with a fixed seed."""
    draw, n_found = random.Random(4), 0
    for file in subject.sample(N_FILES * 3):
        text = file.read_text(encoding="utf-8", errors="replace")
        lines = text.splitlines(keepends=True)
        starts = [
            row
            for row in range(len(lines) // 2, len(lines) - N_LINES)
            if all(map(str.strip, lines[row:][:N_LINES]))
        ]
        if starts and len(lines) > 40 and n_found < N_FILES:
            n_found += 1
            first = draw.choice(starts)
            yield file, text, range(first, first + N_LINES)


async def _typed(
    session: Session, recorder: Recorder, path: Path, text: str, rows: range
) -> tuple[list[Stroke], int]:
    """Take the rows out and type them again; halfway, a line far above is typed anew."""
    lines = text.splitlines(keepends=True)
    wanted = [lines[row].rstrip("\n") for row in rows]
    far, kept = rows.start // 2, [line for row, line in enumerate(lines) if row not in rows]
    kept[far : far + 1] = ["\n"]
    offset = len("".join(kept[: rows.start]))
    keyboard = Keyboard(
        session, recorder, path, "".join(kept[: rows.start]) + "\n" + "".join(kept[rows.start :]), offset
    )
    n_accepted = 0
    for number, line in enumerate(wanted):
        if number == len(wanted) // 2:
            back = len(keyboard.text) - keyboard.offset
            keyboard.offset = len("".join(kept[:far]))
            n_accepted += await _line(keyboard, lines[far].rstrip("\n"))
            keyboard.offset = len(keyboard.text) - back
        n_accepted += await _line(keyboard, line)
        if number < len(wanted) - 1:
            indent = wanted[number + 1][: len(wanted[number + 1]) - len(wanted[number + 1].lstrip())]
            keyboard.insert("\n" + indent)  # editors indent by themselves
            await asyncio.sleep(PAUSE_SECONDS)
    session.closed(path.as_uri(), path)
    return keyboard.strokes, n_accepted


async def _line(keyboard: Keyboard, line: str) -> int:
    """Type a line from where the cursor is in it; how many suggestions were accepted."""
    here = keyboard.text[: keyboard.offset].rpartition("\n")[2]
    rest = line[len(here) :] if line.startswith(here) else line
    n_accepted = n_typed = 0
    closing: list[str] = []
    while rest:
        n_typed += 1
        if n_typed % TYPO_EVERY == 0:
            keyboard.insert("q")
            await keyboard.ask()
            keyboard.delete()
            await keyboard.ask()
        character, rest = rest[0], rest[1:]
        if closing and character == closing[-1]:
            keyboard.offset += 1  # typed over
            closing.pop()
        elif character in CLOSERS:
            keyboard.insert(character, behind=CLOSERS[character])
            closing.append(CLOSERS[character])
        else:
            keyboard.insert(character)
        offer = await keyboard.ask()
        text = offer.suggestion.text if offer and not offer.suggestion.replace else ""
        if len(text) >= MIN_ACCEPTED and rest.startswith(text) and not closing and offer:
            keyboard.accept(offer)
            n_accepted, rest = n_accepted + 1, rest[len(text) :]
    return n_accepted


def _row(subject: Subject, case: str, strokes: Sequence[Stroke], n_accepted: int) -> Measurement:
    asked = [stroke for stroke in strokes if stroke.n_runs]
    values = percentiles([stroke.ms for stroke in strokes])
    if asked:
        values |= {
            f"asked_{name}": value for name, value in percentiles([stroke.ms for stroke in asked]).items()
        }
    values |= {
        "without_model_percent": 100 * (1 - len(asked) / max(1, len(strokes))),
        "prefilled_per_keystroke": float(np.mean([stroke.prefilled for stroke in strokes])),
        "prefilled_when_asked_p50": float(np.median([stroke.prefilled for stroke in asked] or [0])),
        "passes_when_asked": float(np.mean([stroke.passes for stroke in asked] or [0])),
        "tokens_when_asked": float(np.mean([stroke.tokens for stroke in asked] or [0])),
        "accepted": n_accepted,
    }
    target, note = "p50 <= 120 ms, p95 <= 300 ms", f"{len(strokes)} keystrokes"
    return Measurement("replayed typing", subject.name, len(subject.files), case, values, target, note)
