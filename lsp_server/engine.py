"""What the model thread owns once it has loaded: the only door from the server to torch, opened lazily."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from indexer import Embedder, Hit, Query
from lsp_server.model_thread import Encoder, ModelThread, ThreadEmbedder
from lsp_server.settings import Settings
from model.completer import Completion, Request, RetrievalQuery, Retrieve


class Completes(Protocol):
    """`model.completer.Completer`, or what plays it in tests."""

    def complete(self, request: Request, retrieve: Retrieve | None, cancelled: Cancelled = ...) -> Completion: ...


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


def load_engine(settings: Settings) -> Engine:
    """Import torch and load what the settings name; takes seconds. Raises WeightsError, saying what the user can do."""
    from model.completer import Completer
    from model.weights import load_from_settings

    model = load_from_settings(settings.model)
    millions = model.n_parameters / 1e6
    return Engine(
        completer=Completer(model, settings.model),
        encoder=model.encoder,
        description=f"{model.name} ({millions:,.0f}M parameters) on {model.device}, {model.dtype}",
        notes=model.notes,
        loaded_at=time.monotonic(),
    )


def embedder_of(engine: Engine, thread: ModelThread[Engine]) -> Embedder | None:
    """What the indexer embeds with, at low priority. None: only words and names are indexed."""
    return ThreadEmbedder(thread, engine.encoder) if engine.encoder else None


def retriever(search: Search) -> Retrieve:
    """`search` as the completer asks for it."""

    def retrieve(query: RetrievalQuery) -> Sequence[Hit]:
        return search(Query(query.path, query.before, query.after, query.key))

    return retrieve
