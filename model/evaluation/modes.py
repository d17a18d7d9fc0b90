"""The systems that are compared: each answers a request with what it takes from the repository.

A new one is one more entry in one of the tables here: it is handed a completer and what it may read of the repository
around the hole. One that only runs the product under other settings names them in `settings`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from indexer import Hit
from indexer.query import RANKINGS
from model.completer import Completer
from model.evaluation.baselines import (
    bm25,
    copy_match,
    copy_window,
    copying,
    definitions,
    jaccard,
    reading,
    repocoder,
)
from model.evaluation.disturbance import VECTORS, Disturb, replaced, seeded
from model.evaluation.repository import N_HITS, View
from model.evaluation.sources import Sources
from model.evaluation.tasks import EvaluationError
from model.repository import RetrievalQuery, Retrieve
from model.request import Completion, Request
from model.settings import CONTEXT_MODES, DEFAULT_MODEL

WITHOUT_RECALL = ("recall.enabled=false",)


@dataclass(frozen=True)
class Mode:
    """A way to complete. `reads_index` is False for one that takes nothing from the index, and needs no fuser."""

    complete: Callable[[Completer, Request, View], Completion]
    reads_index: bool = True
    needs_adapter: bool = False
    needs_foreign: bool = False  # another repository's index beside this one's
    settings: tuple[str, ...] = ()  # NAME=VALUE
    embedder: str = "fuser"  # one of `model.evaluation.embedding.EMBEDDERS`: whose keys retrieval compares
    prepare: Callable[[Sources], object] = lambda sources: None  # before the request, not timed
    # What the index would have made of the repository long before the request; not timed either.
    make_ahead: Callable[[Completer, Request, View], object] = lambda *_: None
    own_window: bool = False  # whether context comes on top of the file's tokens in any case


def product(
    context: str,
    *settings: str,
    pseudo_tokens: int | None = None,
    rankings: Sequence[str] = RANKINGS,
    embedder: str = "fuser",
) -> Mode:
    """The product in one of its context modes; with a budget of `pseudo_tokens` as many hits as fill it."""

    def retrieving(completer: Completer, view: View) -> Retrieve:
        n_hits = N_HITS
        if pseudo_tokens is not None and completer.model.pseudo:
            n_hits = pseudo_tokens // completer.model.pseudo.per_node
        return lambda query: view.retrieve(query, n_hits, rankings)

    def make_ahead(completer: Completer, request: Request, view: View) -> None:
        completer.prepare(replace(request, context=context), retrieving(completer, view))

    def complete(completer: Completer, request: Request, view: View) -> Completion:
        completion = completer.complete(replace(request, context=context), retrieving(completer, view))
        if context not in ("auto", completion.mode):
            raise EvaluationError(f"{completer.model.name} cannot read {context}: it read {completion.mode}")
        return completion

    if pseudo_tokens is not None:
        settings = (*settings, f"model.pseudoTokens={pseudo_tokens}")
    has_vectors = context in ("pseudo", "hybrid")
    return Mode(
        complete,
        reads_index=context != "none",
        needs_adapter=has_vectors,
        settings=settings,
        embedder=embedder,
        make_ahead=make_ahead,
        own_window=context == "blocks",
    )


def plain(context: str, *settings: str, **changes: Any) -> Mode:
    """The same without recall: the coder and what it reads, as in the papers."""
    return product(context, *WITHOUT_RECALL, *settings, **changes)


def disturbed(context: str, disturb: Disturb) -> Mode:
    """The product without recall, with its hits made worse."""

    def complete(completer: Completer, request: Request, view: View) -> Completion:
        def retrieve(query: RetrievalQuery) -> list[Hit]:
            rng = seeded(query.path + query.before[-200:])
            return disturb(view.retrieve(query), view.retrieve_elsewhere(query), rng)

        return completer.complete(replace(request, context=context), retrieve)

    return Mode(complete, needs_adapter=context != "snippets", needs_foreign=True, settings=WITHOUT_RECALL)


def baseline(complete: Callable[[Completer, Request, Sources], Completion], prepared: str) -> Mode:
    """A baseline over the files alone; `prepared` is the attribute of `Sources` that it makes beforehand."""
    return Mode(
        lambda completer, request, view: complete(completer, request, view.sources),
        reads_index=False,
        settings=WITHOUT_RECALL,
        prepare=attrgetter(prepared),
    )


# As shipped; and the same without recall, which is what other systems are like.
PRODUCT: Mapping[str, Mode] = {context: product(context) for context in CONTEXT_MODES}
PLAIN: Mapping[str, Mode] = {
    f"plain-{context}": plain(context) for context in CONTEXT_MODES if context != "auto"
}

BASELINES: Mapping[str, Mode] = {
    "jaccard": baseline(reading(jaccard), "windows"),
    "bm25": baseline(reading(bm25), "windows"),
    "repocoder": baseline(repocoder, "windows"),
    "imports": baseline(reading(definitions), "graph"),
    "copy-window": baseline(copying(copy_window), "copy_windows"),
    "copy-match": baseline(copying(copy_match), "texts"),
}

# How many pseudo-tokens -> the mode that has them; how much of the retrieval is harmful -> the mode, per context.
BUDGETS: Mapping[int, str] = {n: f"pseudo-{n}" for n in (0, 8, 16, 32, 64)}
HARMFUL_SHARES: Mapping[str, Mapping[float, str]] = {
    context: {share: f"{context}-harmful-{share:.0%}" for share in (0.25, 0.5, 0.75, 1.0)}
    for context in ("snippets", "pseudo", "hybrid")
}
BLOCK_SHARES = (1.0, 0.5, 0.25, 0.125)  # of the rows of the same text
BLOCK_ROWS = (256, 512, 1024)  # most rows of whole blocks
_CHUNKS_ONLY = ("retrieval.files=0", "retrieval.directories=0")

# Experiments of `--ablate`: what is compared with the plain modes, one thing changed at a time.
ABLATIONS: Mapping[str, Mapping[str, Mode]] = {
    "budget": {name: plain("pseudo", pseudo_tokens=n) for n, name in BUDGETS.items()},
    "blocks": {
        **{
            f"blocks-share-{share:g}": plain(
                "blocks",
                f"blocks.share={share}",
                f"model.blockTokens={int(share * DEFAULT_MODEL.block_tokens)}",
            )
            for share in BLOCK_SHARES
        },
        **{f"blocks-rows-{n}": plain("blocks", f"model.blockTokens={n}") for n in BLOCK_ROWS},
        # As many rows as HEF's pseudo-tokens take: an eighth of a text's, which is as far as the curve above goes.
        **{
            f"blocks-kept-{n}": plain("blocks", f"blocks.share={min(BLOCK_SHARES)}", f"model.blockTokens={n}")
            for n in BUDGETS
            if n
        },
        **{name: plain("pseudo", pseudo_tokens=n) for n, name in BUDGETS.items() if n},
    },
    "levels": {
        "pseudo-chunks": plain("pseudo", *_CHUNKS_ONLY),
        "pseudo-chunks-files": plain("pseudo", "retrieval.directories=0"),
        "pseudo-all-levels": plain("pseudo", "retrieval.repository=1"),
    },
    "retrieval": {
        f"{context}-by-{ranking}": plain(context, rankings=(ranking,))
        for context in ("snippets", "pseudo", "hybrid")
        for ranking in RANKINGS
    },
    "embedding": {
        f"{context}-{embedder}-keys": plain(context, *_CHUNKS_ONLY, rankings=("dense",), embedder=embedder)
        for context in ("snippets", "pseudo")
        for embedder in ("fuser", "minilm")
    },
    "robustness": {
        **{f"pseudo-{name}": disturbed("pseudo", disturb) for name, disturb in VECTORS.items()},
        HARMFUL_SHARES["pseudo"][1.0]: disturbed("pseudo", replaced(1.0)),
    },
    "harmful": {
        name: disturbed(context, replaced(share))
        for context, shares in HARMFUL_SHARES.items()
        for share, name in shares.items()
    },
}

MODES: Mapping[str, Mode] = {
    **PRODUCT,
    **PLAIN,
    **BASELINES,
    **{name: mode for modes in ABLATIONS.values() for name, mode in modes.items()},
}
