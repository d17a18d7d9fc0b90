"""The model of a session, from the start of its thread to its end, and what that thread owns once it has
loaded.

The only door from the server to what computes, opened lazily.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from indexer import Embedder, Tokenizer
from lsp_server.aside import aside
from lsp_server.later import ForLater
from lsp_server.model_thread import ModelThread, NodeEncoder, Priority, ThreadEmbedder
from lsp_server.settings import Settings
from model.blocks.shelf import Shelf
from model.repository import Retrieve
from model.request import Completion, Request

if TYPE_CHECKING:  # Loading imports the engine's libraries, and the editor is waiting for its first answer.
    from model.loaded import LoadedModel

Result = TypeVar("Result")


class Completes(Protocol):
    """`model.completer.Completer`, or what plays it in tests."""

    def complete(
        self, request: Request, retrieve: Retrieve | None, cancelled: Cancelled = ...
    ) -> Completion: ...
    def accepted(self, prefix: str, text: str) -> None: ...
    def mode(self, asked: str) -> str: ...
    def prepare(self, request: Request, retrieve: Retrieve | None) -> None: ...
    def tend(self, interrupted: Cancelled) -> bool: ...
    def shelf(self, folder: Path) -> Shelf | None: ...


class Cancelled(Protocol):
    def __call__(self) -> bool: ...


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


LoadCoder = Callable[[Settings], LoadedCoder]


class ServedModel:
    """A session's model. Lives on the event loop; there is at most one thread at a time.

    `load` runs on that thread; `on_loaded` is called on the loop, when it has loaded and when it has failed, `on_later`
    when what it makes for later takes long and no more.
    """

    def __init__(self, load: LoadCoder, on_loaded: Callable[[], None], on_later: Callable[[], None]) -> None:
        self.coder: LoadedCoder | None = None  # once it is loaded
        self.later: ForLater | None = None  # once it was started
        self._on_later = on_later
        self._load = load
        self._on_loaded = on_loaded
        self._thread: ModelThread[LoadedCoder] | None = None

    def start(self, settings: Settings) -> None:
        """Begin loading, unless that has begun."""
        if self._thread is not None:
            return
        loop = asyncio.get_running_loop()
        thread = ModelThread(lambda: self._load(settings))
        self._thread = thread

        def on_loop(call: Callable[..., None], *arguments: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: the session is over
                loop.call_soon_threadsafe(call, *arguments)

        self.later = ForLater(thread, lambda: on_loop(self._on_later))
        thread.loaded.add_done_callback(lambda _: on_loop(self._loaded, thread))
        thread.start()

    async def stop(self) -> None:
        """Let go of the model. What waits for it is canceled; work in hand is waited for a few seconds."""
        thread, self._thread, self.coder, self.later = self._thread, None, None, None
        if thread is not None:
            await aside(thread.stop)

    def submit(self, priority: Priority, work: Callable[[LoadedCoder], Result]) -> Future[Result] | None:
        """Run `work` when the model is loaded and its turn has come. None: it was not started."""
        return self._thread.submit(priority, work) if self._thread is not None else None

    @property
    def embedder(self) -> Embedder | None:
        """What the indexer embeds with; None while it loads, and where only words and names are indexed."""
        return embedder_of(self.coder, self._thread) if self.coder and self._thread else None

    @property
    def error(self) -> Exception | None:
        """Why it could not be loaded."""
        loaded = self._thread.loaded if self._thread else None
        error = loaded.exception() if loaded and loaded.done() else None
        return error if isinstance(error, Exception) else None

    @property
    def is_usable(self) -> bool:
        """Whether it is loaded, or may yet be."""
        return self._thread is not None and self.error is None

    def patience(self, settings: Settings) -> float:
        """Seconds that a request may take; more while the model loads."""
        loading = self._thread is not None and not self._thread.loaded.done()
        wait_ms = settings.completion.load_wait_ms if loading else 0
        return (wait_ms + settings.model.deadline_ms) / 1e3

    def _loaded(self, thread: ModelThread[LoadedCoder]) -> None:
        if thread is not self._thread:
            return  # it was stopped meanwhile
        if thread.loaded.exception() is None:
            self.coder = thread.loaded.result()
        self._on_loaded()


def load_coder(settings: Settings) -> LoadedCoder:
    """Load what the settings name, which can take seconds. Raises WeightsError, saying what the user can
    do."""
    from model.completer import Completer
    from model.loading import load_from_settings
    from model.recall.mixer import recalling

    gc.unfreeze()  # an earlier model can go
    model = load_from_settings(settings.model)
    mixing = recalling(model, settings.recall)
    coder = LoadedCoder(
        completer=Completer(
            model, settings.model, mixing=mixing, drafts=settings.drafts, blocks=settings.blocks
        ),
        encoder=model.encoder,
        description=describe(model),
        notes=model.notes,
        loaded_at=time.monotonic(),
        tokenizer=model.vocabulary,
        fingerprint=model.fingerprint,
    )
    # What the libraries have made stays: to look through it for garbage takes up to 90 ms, in which no one
    # is answered.
    gc.freeze()
    return coder


def describe(model: LoadedModel) -> str:
    """A loaded model in one line."""
    where = f"{model.engine} on {model.device}"
    if model.threads:
        where += f" with {model.threads} thread{'s' if model.threads > 1 else ''}"
    return f"{model.name} ({model.n_parameters / 1e6:,.0f}M parameters), {model.dtype}, {where}"


def embedder_of(coder: LoadedCoder, thread: ModelThread[LoadedCoder]) -> Embedder | None:
    """What the indexer embeds with, at low priority. None: only words and names are indexed."""
    return ThreadEmbedder(thread, coder.encoder) if coder.encoder else None
