"""What the model thread owns once a model has loaded, who takes over from it, and who stands in for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from indexer import Embedder, Tokenizer
from lsp_server.model_thread import ModelThread, NodeEncoder, ThreadEmbedder
from lsp_server.settings import Settings
from model.blocks.shelf import Shelf
from model.news import Told
from model.pace import Pace
from model.repository import Retrieve
from model.request import Completion, Request


class Completes(Protocol):
    """`model.completer.Completer`, or what plays it in tests."""

    def complete(
        self, request: Request, retrieve: Retrieve | None, cancelled: Cancelled = ...
    ) -> Completion: ...
    def accepted(self, prefix: str, text: str) -> None: ...
    def mode(self, asked: str) -> str: ...
    def prepare(self, request: Request, retrieve: Retrieve | None) -> None: ...
    def foresee(self, request: Request, retrieve: Retrieve) -> None: ...
    def tend(self, interrupted: Cancelled) -> bool: ...
    def shelf(self, folder: Path) -> Shelf | None: ...
    def pace(self, asked: str) -> Pace: ...


class Cancelled(Protocol):
    def __call__(self) -> bool: ...


class Speaks(Protocol):
    """A coder that is not on this machine only: what users read of it changes. Any thread's."""

    @property
    def sentence(self) -> str: ...
    def listen(self, told: Callable[[], None]) -> None:
        """Have `told` called, on any thread, when there is another sentence."""

    def close(self) -> None: ...


@dataclass(frozen=True, eq=False)
class LoadedCoder:
    """What the model thread owns. `description` names the model in one line, `notes` are sentences for the
    user."""

    completer: Completes
    encoder: NodeEncoder | None  # None: retrieval by words and symbols only
    description: str
    notes: tuple[str, ...]
    loaded_at: float  # seconds, monotonic
    tokenizer: Tokenizer | None = None  # of what the completer drafts from; None: it does not
    fingerprint: str = ""  # of the checkpoint
    pace: Pace | None = None  # None: it was not asked for
    successor: Successor | None = None  # who answers once it can; None: this one stays
    stand_in: Successor | None = None  # who answers while this one's memory is given back; None: it is kept
    passed_over: StaysError | None = None  # why the one that the settings name does not answer in its place

    elsewhere: Speaks | None = None  # None: it is on this machine

    @property
    def said(self) -> tuple[str, ...]:
        """`notes` and what is to be said right now."""
        return (*self.notes, self.elsewhere.sentence) if self.elsewhere else self.notes

    @property
    def index_key(self) -> str:
        """Coders of which it is the same read the same vectors."""
        return self.encoder.fingerprint if self.encoder else ""


LoadCoder = Callable[[Settings], LoadedCoder]


@dataclass(frozen=True)
class Successor:
    """`load` may take long, says meanwhile what it does, and is called on another thread than the model's: raises
    StaysError, WeightsError, what it is told by, or whatever else goes wrong."""

    name: str
    load: Callable[[Settings, Told], LoadedCoder]


class StaysError(Exception):
    """Why a coder does not take over, in one sentence. `needs_ms`: the deadline with which it would, infinite where it
    cannot be loaded."""

    def __init__(self, sentence: str, needs_ms: float) -> None:
        super().__init__(sentence)
        self.needs_ms = needs_ms


def embedder_of(coder: LoadedCoder, thread: ModelThread[LoadedCoder]) -> Embedder | None:
    """What the indexer embeds with, at low priority. None: only words and names are indexed."""
    return ThreadEmbedder(thread, coder.encoder) if coder.encoder else None
