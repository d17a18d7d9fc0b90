"""What the model thread owns once it has loaded: the only door from the server to what computes, opened lazily."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from indexer import Embedder, Hit, Query, Tokenizer
from lsp_server.model_thread import Encoder, ModelThread, ThreadEmbedder
from lsp_server.settings import Settings
from model.repository import RetrievalQuery, Retrieve
from model.request import Completion, Request

if TYPE_CHECKING:  # Loading imports the engine's libraries, and the editor is waiting for its first answer.
    from model.loaded import LoadedModel


class Completes(Protocol):
    """`model.completer.Completer`, or what plays it in tests."""

    def complete(self, request: Request, retrieve: Retrieve | None, cancelled: Cancelled = ...) -> Completion: ...
    def accepted(self, prefix: str, text: str) -> None: ...


class Cancelled(Protocol):
    def __call__(self) -> bool: ...


class Search(Protocol):
    """Finds hits for a query; `Index.search` with the number of hits settled."""

    def __call__(self, query: Query) -> list[Hit]: ...


@dataclass(frozen=True, eq=False)
class Engine:
    """A loaded model. `description` names it in one line, `notes` are sentences for the user."""

    completer: Completes
    encoder: Encoder | None  # None: retrieval by words and symbols only
    description: str
    notes: tuple[str, ...]
    loaded_at: float  # seconds, monotonic
    tokenizer: Tokenizer | None = None  # of what the completer drafts from; None: it does not


def load_engine(settings: Settings) -> Engine:
    """Load what the settings name, which can take seconds. Raises WeightsError, saying what the user can do."""
    from model.completer import Completer
    from model.loading import load_from_settings
    from model.recall.mixer import recalling

    gc.unfreeze()  # an earlier model can go
    model = load_from_settings(settings.model)
    engine = Engine(
        completer=Completer(model, settings.model, mixing=recalling(model, settings.recall), drafts=settings.drafts),
        encoder=model.encoder,
        description=describe(model),
        notes=model.notes,
        loaded_at=time.monotonic(),
        tokenizer=model.vocabulary,
    )
    # What the libraries have made stays: to look through it for garbage takes up to 90 ms, in which no one is answered.
    gc.freeze()
    return engine


def describe(model: LoadedModel) -> str:
    """A loaded model in one line."""
    where = f"{model.engine} on {model.device}"
    if model.threads:
        where += f" with {model.threads} thread{'s' if model.threads > 1 else ''}"
    return f"{model.name} ({model.n_parameters / 1e6:,.0f}M parameters), {model.dtype}, {where}"


def embedder_of(engine: Engine, thread: ModelThread[Engine]) -> Embedder | None:
    """What the indexer embeds with, at low priority. None: only words and names are indexed."""
    return ThreadEmbedder(thread, engine.encoder) if engine.encoder else None


def retriever(search: Search) -> Retrieve:
    """`search` as the completer asks for it."""

    def retrieve(query: RetrievalQuery) -> Sequence[Hit]:
        return search(Query(query.path, query.before, query.after, query.key))

    return retrieve
