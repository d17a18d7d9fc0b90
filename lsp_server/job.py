"""One run of the model for a document, and which requests it may answer."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lsp_server.closers import is_only_closers
from lsp_server.offers import typed_since
from lsp_server.presentation import ONE_LINE, StopRule
from lsp_server.silence import Silence
from lsp_server.snapshot import Snapshot
from model.request import Completion


class Run(Protocol):
    """Starts one completion on the model thread."""

    def __call__(self, job: Job) -> Future[Completion | None]: ...


@dataclass(eq=False)
class Job:
    """One run of the model. The loop owns it; the model thread writes `rule` and `text`, and reads the
    rest."""

    snapshot: Snapshot
    waiter: asyncio.Future[bool] | None  # of the newest request, True: done, False: superseded; or unclaimed
    ahead: bool = False  # see `StopRule.ahead`
    created: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)
    rule: StopRule = ONE_LINE
    text: str = ""  # what the model has written so far
    typed: str = ""  # what has come into the document at the cursor since the snapshot
    claimed_at: str = ""  # `typed` when the newest request came
    folder: Path | None = None  # whose index is read
    running: Future[Completion | None] | None = None
    why: Silence | None = None  # nothing came of it, once it is over

    def finished(self, text: str) -> bool:
        """Asked by the generator after each token."""
        self.text = text
        return self.rule.finished(text) or not _may_agree(text, self.typed)

    def joins(self, snapshot: Snapshot) -> str | None:
        """What was typed since this job's snapshot, when it agrees with the text so far."""
        typed = typed_since(self.snapshot, snapshot)
        return typed if typed is not None and _agree(self.text, typed) else None

    def follow(self, text: str) -> bool:
        """The document has this text now; whether it may still become what the model writes."""
        if self.snapshot.selected:
            return True  # the menu item is not in the document: only the next request can tell
        before, after = self.snapshot.prefix, self.snapshot.suffix
        n_typed = len(text) - len(before) - len(after)
        if n_typed < 0 or not text.startswith(before) or not text.endswith(after):
            return False
        self.typed = text[len(before) : len(before) + n_typed]
        return _may_agree(self.text, self.typed)

    def hand_over(self, waiter: asyncio.Future[bool], typed: str) -> None:
        """From now on `waiter` gets the answer; the request that waited is answered empty."""
        self._answer(False)
        self.waiter, self.typed, self.claimed_at = waiter, typed, typed

    @property
    def has_begun(self) -> bool:
        """Whether the model is at it, or was."""
        return self.running is not None and (self.running.running() or self.running.done())

    def done(self) -> None:
        self._answer(True)

    def stop(self) -> None:
        self.cancelled.set()
        if self.running is not None:
            self.running.cancel()
        self._answer(False)

    def _answer(self, done: bool) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(done)


def _agree(text: str, typed: str) -> bool:
    return text.startswith(typed) or typed.startswith(text)


def _may_agree(text: str, typed: str) -> bool:
    """The same of what came into a document: its end may be brackets and quotes that the editor closed by
    itself."""
    if _agree(text, typed):
        return True
    n_common = next(index for index, (a, b) in enumerate(zip(text, typed, strict=False)) if a != b)
    return n_common > 0 and is_only_closers(typed[n_common:]) and not typed[n_common:].isspace()
