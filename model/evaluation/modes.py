"""The systems that are compared: each answers a request with what it takes from the repository.

A baseline that does more than choose what the model reads (several rounds, windows of text, an import graph) is one
more entry here: it is handed the same completer, and the repository as it stands around the hole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from model.completer import Completer, Completion, Request
from model.evaluation.repository import Repository
from model.settings import CONTEXT_MODES


@dataclass(frozen=True)
class Mode:
    """A way to complete. `reads_index` is False for one that needs no index built."""

    complete: Callable[[Completer, Request, Repository], Completion]
    reads_index: bool = True


def _product(context: str) -> Mode:
    """The product itself in one of its context modes."""

    def complete(completer: Completer, request: Request, repository: Repository) -> Completion:
        return completer.complete(replace(request, context=context), repository.retrieve)

    return Mode(complete, reads_index=context != "none")


MODES: Mapping[str, Mode] = {context: _product(context) for context in CONTEXT_MODES}
NEED_ADAPTER = frozenset({"pseudo", "hybrid"})
