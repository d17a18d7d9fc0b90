"""What the product is compared with: other ways to take text from a repository, under the same generator and limits.

Each is what it says in its own paper, as fast as it can be made: what it can prepare of the other files before a
request (windows, word counts, the import graph) is prepared and not timed; its query, its search and what it reads of
the file being edited are timed as `retrieve`. Text goes into the prompt as the product's own snippets do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from indexer.query import SHOWN_BEFORE
from model.completer import Completer
from model.evaluation.matching import continuation
from model.evaluation.scope import imported_definitions
from model.evaluation.sources import COPY_LINES, WINDOW_LINES, WINDOW_STEP, Snippet, Sources
from model.evaluation.windows import Window, Windows
from model.request import Completion, Request

_MOST_SNIPPETS = 10  # RepoCoder's max_examples; the token budget usually ends them sooner
_COPIED_LINES = 64

Complete = Callable[[Completer, Request, Sources], Completion]


def reading(rank: Callable[[Sources, Request], Sequence[Snippet]]) -> Complete:
    """Complete with the text that `rank` finds, best first."""

    def complete(completer: Completer, request: Request, sources: Sources) -> Completion:
        return completer.complete(replace(request, context="snippets"), lambda _: rank(sources, request))

    return complete


def jaccard(sources: Sources, request: Request) -> list[Snippet]:
    """RepoCoder's first round: windows like the last 20 lines, of other files and of what the prompt does not show of
    this one. Shown is what begins a step later, with the lines that follow the match."""
    return _windows(sources, request, _last_lines(request.prefix, WINDOW_LINES), WINDOW_STEP)


def bm25(sources: Sources, request: Request) -> list[Snippet]:
    """The same windows of other files, by BM25: CrossCodeEval's retrieval (arXiv 2310.11248, section 4.1)."""
    query = _last_lines(request.prefix, WINDOW_LINES)
    return [
        _snippet(sources.texts, window, WINDOW_STEP)
        for window in sources.windows.bm25(query, _MOST_SNIPPETS, request.path)
    ]


def definitions(sources: Sources, request: Request) -> list[Snippet]:
    """Definitions of the imported names near the cursor (DraCo, GraphCoder: data flow from imports)."""
    found = imported_definitions(sources.graph, request.path, request.prefix, request.suffix, _MOST_SNIPPETS)
    return [
        Snippet(one.path, one.first_line, one.last_line, one.text, 1.0 / rank, "definition")
        for rank, one in enumerate(found, 1)
    ]


def repocoder(completer: Completer, request: Request, sources: Sources) -> Completion:
    """RepoCoder with two rounds (arXiv 2303.12570): what the first one wrote is part of the second one's query.

    The second query is half before the cursor and half behind it, and finds the lines that are wanted, so its windows
    are shown as they are. Both rounds are timed; the first one's answer is thrown away.
    """
    first = reading(jaccard)(completer, request, sources)
    half = WINDOW_LINES // 2
    written = "\n".join(first.text.split("\n")[:half])
    query = _last_lines(request.prefix, half) + written
    # Another generation: the context held from the first round is of another query.
    again = replace(request, generation=request.generation + 1)
    second = reading(lambda *_: _windows(sources, request, query, 0))(completer, again, sources)
    return replace(
        second,
        timings_ms={stage: first.timings_ms[stage] + ms for stage, ms in second.timings_ms.items()},
        forward_passes=first.forward_passes + second.forward_passes,
        tokens=first.tokens + second.tokens,
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        reused_tokens=first.reused_tokens + second.reused_tokens,
    )


def copy_window(sources: Sources, request: Request) -> str:
    """What follows the window of another file that is most like the last 10 lines; "" when none is like them at all."""
    query = _last_lines(request.prefix, COPY_LINES)
    found = sources.copy_windows.jaccard(query, 1, request.path)
    return sources.lines(found[0].path, found[0].last, found[0].last + _COPIED_LINES) + "\n" if found else ""


def copy_match(sources: Sources, request: Request) -> str:
    """What follows the longest match of the text before the cursor, earlier in this file or in others."""
    others = (text for path, text in sources.texts.items() if path != request.path)
    text = continuation(request.prefix, [request.prefix, *others])
    return "\n".join(text.split("\n")[:_COPIED_LINES]) + "\n"


def copying(copy: Callable[[Sources, Request], str]) -> Complete:
    """Answer without any model."""
    return lambda _, request, sources: _copied(request, sources, copy)


def _copied(request: Request, sources: Sources, copy: Callable[[Sources, Request], str]) -> Completion:
    start = time.perf_counter()
    text = copy(sources, request)
    ms = (time.perf_counter() - start) * 1e3
    return Completion(
        text=text,
        tokens=0,
        drafted=0,
        accepted=0,
        forward_passes=0,
        prompt_tokens=0,
        reused_tokens=0,
        timings_ms={"retrieve": ms, "prefill": 0.0, "decode": 0.0, "total": ms},
        context=(),
        stopped="end",
    )


def _windows(sources: Sources, request: Request, query: str, shift: int) -> list[Snippet]:
    """Windows like `query` of all files, each shown `shift` lines further down."""
    here = {request.path: request.prefix[:-SHOWN_BEFORE]}
    found = sources.windows.jaccard(query, _MOST_SNIPPETS, request.path)
    found += Windows(here, WINDOW_LINES, WINDOW_STEP).jaccard(query, _MOST_SNIPPETS)
    best = sorted(found, key=lambda window: -window.score)[:_MOST_SNIPPETS]
    texts = {**sources.texts, **here}
    return [_snippet(texts, window, shift) for window in best]


def _snippet(texts: dict[str, str], window: Window, shift: int) -> Snippet:
    lines = texts[window.path].split("\n")
    last = min(window.last + shift, len(lines))
    first = max(0, last - WINDOW_LINES)
    return Snippet(window.path, first + 1, last, "\n".join(lines[first:last]), window.score, "window")


def _last_lines(text: str, n: int) -> str:
    """The last n whole lines, and what stands before the cursor in its own."""
    return "\n".join(text.split("\n")[-n - 1 :])
