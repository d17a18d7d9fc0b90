"""The one place where a document at a cursor becomes a request to the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from indexer import Hit, LineIndex, Query
from lsp_server.holdings import NOTHING, Holding
from lsp_server.settings import Settings
from lsp_server.snapshot import Snapshot
from model.repository import RetrievalQuery, Retrieve
from model.request import NOT_LATELY, Lately, Request


class Indexed(Protocol):
    """What a request takes of a folder's index: a `Workspace`, which may not have opened it yet, or an
    `Index`."""

    @property
    def root(self) -> Path: ...
    @property
    def lines(self) -> LineIndex | None: ...
    def search(self, query: Query) -> list[Hit]: ...


def request_for(
    snapshot: Snapshot,
    settings: Settings,
    indexed: Indexed | None,
    *,
    deadline_ms: float,
    finished: Callable[[str], bool],
    generation: int = 0,
    holding: Holding = NOTHING,
    lately: Lately = NOT_LATELY,
) -> Request:
    """What the completer is asked. `indexed`: of the folder that the document lies in, None outside of all.

    `finished` is the stop rule, asked with the text so far; `generation`: see `Workspace.generation`;
    `holding`: what the coder has of the folder. What is no file leaves no blocks on the disk.
    """
    return Request(
        path=name_in(indexed.root if indexed else None, snapshot.path),
        prefix=snapshot.prefix,
        suffix=snapshot.suffix,
        context=settings.model.context,
        max_tokens=settings.model.max_tokens,
        deadline_ms=deadline_ms,
        finished=finished,
        generation=generation,
        tokens=holding.tokens,
        packages=holding.packages,
        lines=indexed.lines if indexed else None,
        repository=indexed.root.name if indexed else "",
        lately=lately,
        language=snapshot.language,
        shelf=holding.blocks.shelf if holding.blocks and snapshot.path else None,
    )


def retriever(indexed: Indexed) -> Retrieve:
    """The index's search, as the completer asks for it."""

    def retrieve(query: RetrievalQuery) -> Sequence[Hit]:
        return indexed.search(Query(query.path, query.before, query.after, query.key))

    return retrieve


def name_in(root: Path | None, path: Path | None) -> str:
    """The document's name for the model: repository-relative where there is one."""
    if path is None:
        return "untitled"
    return path.relative_to(root).as_posix() if root else path.name
