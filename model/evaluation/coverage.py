"""`python -m model.evaluation.coverage`: how many of the names that an answer needs a retrieval brings into reach.

What a coder makes of a context depends on the coder; whether the wanted names are in it does not. Counted are the
identifiers of the target that stand nowhere in the text around the cursor that a prompt shows; a retrieval is scored
by the part of them in as much of its text as `model.snippetTokens` lets a coder read.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.query import DENSE, RANKINGS, SHOWN_AFTER, SHOWN_BEFORE, SYMBOLS, WORDS
from model.checkpoint.files import WeightsError
from model.evaluation.baselines import bm25, definitions, jaccard
from model.evaluation.metrics import identifiers
from model.evaluation.modes import BASELINES, Mode, plain
from model.evaluation.options import Options, override
from model.evaluation.repository import View, extract
from model.evaluation.run import Contestant, TaskFolders, contestants, punched, request_for
from model.evaluation.sampling import interval
from model.evaluation.sources import Sources
from model.evaluation.tasks import KINDS, EvaluationError, Task, read_tasks, select
from model.loading import load_from_settings
from model.prompt import fit_documents
from model.repository import ContextItem, RetrievalQuery
from model.request import Request
from model.vocabulary import Vocabulary

_N_HITS = 16
_NAME = re.compile(r"[^\W\d]\w*")

Find = Callable[[Contestant, Request, View], Sequence[ContextItem]]


@dataclass(frozen=True)
class Finder:
    """A way to retrieve, as `mode` of the evaluation does it: its index, its settings, what it prepares."""

    find: Find
    mode: Mode


@dataclass(frozen=True)
class Coverage:
    """What one finder brought for one task: of the wanted names the part found, 0 to 1, and how long it took."""

    task: Task
    finder: str
    found: float
    ms: float


def ours(*rankings: str, embedder: str = "fuser") -> Finder:
    """Chunks by these rankings, fused; files and directories stand for no text of their own."""

    def find(one: Contestant, request: Request, view: View) -> Sequence[ContextItem]:
        encoder = one.model.encoder if DENSE in rankings else None
        key = encoder.query(request.prefix, request.suffix) if encoder else None
        return view.retrieve(
            RetrievalQuery(request.path, request.prefix, request.suffix, key), _N_HITS, rankings
        )

    chunks = ("retrieval.files=0", "retrieval.directories=0")
    return Finder(find, plain("snippets", *chunks, rankings=rankings, embedder=embedder))


def baseline(name: str, rank: Callable[[Sources, Request], Sequence[ContextItem]]) -> Finder:
    return Finder(lambda one, request, view: rank(view.sources, request), BASELINES[name])


FINDERS: Mapping[str, Finder] = {
    "fused": ours(*RANKINGS),
    "dense": ours(DENSE),
    "dense-minilm": ours(DENSE, embedder="minilm"),
    "words": ours(WORDS),
    "symbols": ours(SYMBOLS),
    "jaccard": baseline("jaccard", jaccard),
    "bm25": baseline("bm25", bm25),
    "imports": baseline("imports", definitions),
}


def wanted_names(task: Task) -> set[str]:
    """Names of the answer that the text around the cursor does not show."""
    shown = set(_NAME.findall(task.prefix[-SHOWN_BEFORE:])) | set(_NAME.findall(task.suffix[:SHOWN_AFTER]))
    return set(identifiers(task.target, task.language)) - shown


def covered(vocabulary: Vocabulary, items: Sequence[ContextItem], names: set[str], budget: int) -> float:
    """The part of `names` in the first `budget` tokens of these texts, cut as a prompt cuts them."""
    documents = fit_documents(vocabulary, [(item.path, item.text) for item in items if item.text], budget)
    text = "\n".join(
        b"".join(map(vocabulary.token_bytes, ids)).decode("utf-8", "ignore") for ids in documents
    )
    return len(names & set(_NAME.findall(text))) / len(names)


def measure(
    tasks: Sequence[Task], folders: TaskFolders, finders: Mapping[str, Finder], options: Options
) -> Iterator[Coverage]:
    """One line per finder and task that wants a name. Raises WeightsError without a usable model."""
    model = load_from_settings(options.model)
    budget = model.budgets.fill(options.model).snippet_tokens
    field = contestants({name: finder.mode for name, finder in finders.items()}, model, options, ())
    wanting = [task for task in tasks if wanted_names(task)]
    for task, repository, _ in punched(wanting, [task.repo for task in wanting], folders, field):
        names = wanted_names(task)
        for (name, finder), one in zip(finders.items(), field, strict=True):
            one.mode.prepare(repository.sources)
            view = View(
                repository.sources, repository.indexes.get(one.mode.embedder), None, one.options.retrieval
            )
            start = time.perf_counter()
            items = finder.find(one, request_for(task), view)
            ms = (time.perf_counter() - start) * 1e3
            yield Coverage(task, name, covered(model.vocabulary, items, names, budget), ms)


def table(found: Sequence[Coverage]) -> str:
    """Markdown: per kind and finder the mean part of the names found with its interval, and the median time."""
    groups: dict[tuple[str, str], list[Coverage]] = defaultdict(list)
    for one in found:
        groups[one.task.kind, one.finder].append(one)
    head = "| kind | retrieval | n | names found, % | 95 % | all found, % | p50 ms |"
    order = sorted(groups.items(), key=lambda group: KINDS.index(group[0][0]))
    return "\n".join([head, "| --- | --- " + "| ---: " * 5 + "|", *(_row(*key, ones) for key, ones in order)])


def _row(kind: str, finder: str, ones: Sequence[Coverage]) -> str:
    percents = [100 * one.found for one in ones]
    low, high = interval(percents, [one.task.repo for one in ones])
    whole = 100 * np.mean([one.found == 1 for one in ones])
    ms = np.median([one.ms for one in ones])
    cells = (
        str(len(ones)),
        f"{np.mean(percents):.1f}",
        f"{low:.1f} to {high:.1f}",
        f"{whole:.1f}",
        f"{ms:.0f}",
    )
    return f"| {kind} | {finder} | {' | '.join(cells)} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 the user must act (no usable model), 2 wrong usage or bad input."""
    arguments = _parser().parse_args(argv)
    try:
        print(_report(arguments))
    except EvaluationError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    except WeightsError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model.evaluation.coverage", description=__doc__)
    parser.add_argument("--tasks", type=Path, required=True, help="tasks, JSONL or JSONL.xz")
    parser.add_argument("--repos", type=Path, required=True, help="repository snapshots, tar or tar.xz")
    parser.add_argument("--kind", choices=KINDS, action="append", help="all if unset")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="at most N tasks, drawn evenly over repositories"
    )
    parser.add_argument("--finder", choices=[*FINDERS], action="append", help="all but dense-minilm if unset")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep snapshots and their indexes between runs, of which one at a time may use it",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="override one setting"
    )
    return parser


def _report(arguments: argparse.Namespace) -> str:
    tasks = select(read_tasks(arguments.tasks), arguments.kind or KINDS, arguments.limit)
    names = arguments.finder or [name for name in FINDERS if name != "dense-minilm"]
    with tempfile.TemporaryDirectory(prefix="hef-coverage-") as scratch:
        cache = arguments.cache or Path(scratch)
        folders = TaskFolders(cache / "snapshots", cache / "indexes")
        extract(arguments.repos, {task.repo for task in tasks}, folders.snapshots)
        finders = {name: FINDERS[name] for name in names}
        return table(list(measure(tasks, folders, finders, override(Options(), arguments.set))))


if __name__ == "__main__":
    sys.exit(main())
