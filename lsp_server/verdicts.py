"""What only the disk can say about open documents, asked off the event loop, which waits for nothing but a
short while.

A drive that has gone away stops whoever looks at it, and a long text takes time to be searched for secrets.
So each folder has a thread that looks and one answer per document that is remembered. A keystroke is answered
from memory; the thread looks again meanwhile, so that an edited ignore file counts a keystroke later. Where
nothing is known, or what is known is old, or much text has come since, the answer is waited for, and after
that while there is none.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from indexer import SECRET, Gate, IndexSettings, kind_of_secret, relative_path
from lsp_server.silence import UNKNOWN_FILE, Silence, ignored_by, secret_by_name, secret_by_text

log = logging.getLogger(__name__)

FRESH_SECONDS = 0.1  # a verdict this young needs no second look ...
OLD_SECONDS = 2.0  # ... and one this old does not count
SOME_TEXT = 20  # characters that may have come or gone since; no key is as short

Look = Callable[["Question"], Silence | None]  # may wait for the disk
Tell = Callable[[Silence | None], None]  # hears what was found: see `Verdict.why`


@dataclass(frozen=True)
class Question:
    """May completion run in a document? `parts` are its text; `root` is the folder around it, None outside of
    all."""

    uri: str
    path: Path
    root: Path | None
    settings: IndexSettings
    parts: tuple[str, ...]

    @property
    def place(self) -> tuple[Path, Path | None, IndexSettings]:
        return self.path, self.root, self.settings

    @property
    def length(self) -> int:
        return sum(map(len, self.parts))


@dataclass(frozen=True)
class Verdict:
    """`why` not, UNKNOWN_FILE when looking failed; None: it may."""

    place: tuple[Path, Path | None, IndexSettings]
    length: int
    asked: float
    why: Silence | None

    def fits(self, question: Question, since: float) -> bool:
        """Whether it is about the same document with about the same text, asked for at `since` or later."""
        about_same = self.place == question.place and abs(self.length - question.length) < SOME_TEXT
        return about_same and self.asked >= since


class Verdicts:
    """Lives on the event loop. `judge` makes what a folder's thread asks, once per thread."""

    def __init__(self, judge: Callable[[], Look] | None = None) -> None:
        self._make_judge = judge or Judge
        self._known: dict[str, Verdict] = {}
        self._asked: dict[str, asyncio.Future[Verdict]] = {}
        self._threads: dict[Path | None, _Thread] = {}

    def known(self, question: Question) -> Verdict | None:
        """What is known and counts; never waits. Has it looked at again when it is not quite fresh."""
        now = time.monotonic()
        verdict = self._known.get(question.uri)
        if verdict is None or not verdict.fits(question, now - OLD_SECONDS):
            return None
        if verdict.asked < now - FRESH_SECONDS:
            self._look(question)
        return verdict

    async def ask(self, question: Question, seconds: float, *, newest: bool = False) -> Verdict | None:
        """What is known, else what is found out within so many seconds, else None. `newest`: look in any
        case."""
        verdict = None if newest else self.known(question)
        if verdict is not None:
            return verdict
        since = time.monotonic() - (0 if newest else OLD_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while verdict is None or not verdict.fits(question, since):
                    verdict = await asyncio.shield(self._look(question))
                return verdict
        return None

    def forget(self, uri: str) -> None:
        """The document was closed."""
        self._known.pop(uri, None)
        self._asked.pop(uri, None)

    def keep(self, roots: Collection[Path]) -> None:
        """Only these folders are open: the threads of others end when they can."""
        for root in [root for root in self._threads if root not in roots]:
            self._threads.pop(root).stop()

    def _look(self, question: Question) -> asyncio.Future[Verdict]:
        """The one look at a document that is under way."""
        running = self._asked.get(question.uri)
        if running is not None:
            return running
        loop, asked = asyncio.get_running_loop(), time.monotonic()
        answer: asyncio.Future[Verdict] = loop.create_future()
        uri, place, length = question.uri, question.place, question.length

        def done(why: Silence | None) -> None:
            verdict = Verdict(place, length, asked, why)
            if self._asked.get(uri) is answer:  # otherwise the document was closed meanwhile
                del self._asked[uri]
                self._known[uri] = verdict
            answer.set_result(verdict)

        def tell(why: Silence | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: the session is over
                loop.call_soon_threadsafe(done, why)

        self._asked[question.uri] = answer
        if question.root not in self._threads:
            self._threads[question.root] = _Thread(self._make_judge)
        self._threads[question.root].ask(question, tell)
        return answer


class Judge:
    """Asks the disk, and reads the text where its name allows it. Belongs to one thread."""

    def __init__(self) -> None:
        self._gate = Gate()

    def __call__(self, question: Question) -> Silence | None:
        root = question.root or question.path.parent
        why = self._gate.refusal(root, question.path, question.settings)
        if why is not None:
            rule = self._gate.rule(root, question.path, question.settings)
            return secret_by_name(rule) if why == SECRET else ignored_by(rule)
        name = relative_path(root, question.path) or question.path.name
        text = "".join(question.parts).encode("utf-8", "replace")
        kind = kind_of_secret(name, text, question.settings)
        return secret_by_text(kind) if kind else None


class _Thread:
    """Answers one question after the other. A daemon: one that hangs in the system keeps no process alive."""

    def __init__(self, judge: Callable[[], Look]) -> None:
        self._questions: queue.SimpleQueue[tuple[Question, Tell] | None] = queue.SimpleQueue()
        self._judge = judge()
        threading.Thread(target=self._run, name="verdicts", daemon=True).start()

    def ask(self, question: Question, tell: Tell) -> None:
        self._questions.put((question, tell))

    def stop(self) -> None:
        self._questions.put(None)

    def _run(self) -> None:
        while (asked := self._questions.get()) is not None:
            question, tell = asked
            try:
                why = self._judge(question)
            except Exception as error:
                log.error("Looking at a document failed: %s", type(error).__name__)
                why = UNKNOWN_FILE
            tell(why)
            del asked, question, tell  # not kept while it waits
