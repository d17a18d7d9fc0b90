"""`python -m model.evaluation`: exact match, edit similarity and latency of every context mode on real code."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from model.checkpoint import WeightsError
from model.evaluation.metrics import MAX_TOKENS
from model.evaluation.modes import MODES, NEED_ADAPTER, Mode
from model.evaluation.options import Options, override
from model.evaluation.report import Score, summarize, table
from model.evaluation.repository import extract
from model.evaluation.run import Progress, evaluate
from model.evaluation.tasks import KINDS, EvaluationError, Task, read_tasks, select
from model.weights import LoadedModel, load_from_settings

DONE, USER_MUST_ACT, WRONG_USAGE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 the user must act (no usable model), 2 wrong usage or bad input."""
    arguments = _parser().parse_args(argv)
    try:
        _run(arguments)
    except EvaluationError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return WRONG_USAGE
    except WeightsError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return USER_MUST_ACT
    return DONE


def _run(arguments: argparse.Namespace) -> None:
    options = _options(arguments)
    tasks = select(read_tasks(arguments.tasks), _kinds(arguments.kind), arguments.limit)
    if not tasks:
        raise EvaluationError(f"{arguments.tasks} holds no task of the kinds asked for")
    asked = _modes(arguments.context)
    with ExitStack() as stack:
        snapshots = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hef-evaluation-")))
        extract(arguments.repos, {task.repo for task in tasks}, snapshots)
        predictions = stack.enter_context(_writable(arguments.predictions)) if arguments.predictions else None
        model = load_from_settings(options.model)
        modes = _possible(asked, model)
        scores = list(_written(evaluate(tasks, snapshots, model, options, modes, _show_progress), predictions))
    _print_report(scores, tasks, model, as_json=arguments.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model.evaluation",
        description="Measure completions on repository-level tasks. EM and ES are percentages; milliseconds are those "
        "of one completion from an empty cache (retrieve, prefill, decode). The repository is indexed without the "
        "answer. Longest answers, in tokens: " + ", ".join(f"{kind} {n}" for kind, n in MAX_TOKENS.items()) + ".",
    )
    parser.add_argument("--tasks", type=Path, required=True, help="tasks, JSONL or JSONL.xz")
    parser.add_argument("--repos", type=Path, required=True, help="repository snapshots, tar or tar.xz")
    parser.add_argument("--context", metavar="MODE,...", help=f"of {', '.join(MODES)}; all that the model has if unset")
    parser.add_argument("--kind", metavar="K,...", help=f"of {', '.join(KINDS)}; all if unset")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N tasks, drawn evenly over repositories")
    parser.add_argument("--json", action="store_true", help="one JSON line per kind, source and mode")
    parser.add_argument("--predictions", type=Path, metavar="FILE", help="write one JSON line per task and mode")
    parser.add_argument("--model", metavar="NAME", help="'embedded', a folder or a hub id")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="override one setting")
    return parser


def _options(arguments: argparse.Namespace) -> Options:
    if arguments.limit is not None and arguments.limit < 1:
        raise EvaluationError(f"--limit is at least 1, not {arguments.limit}")
    options = override(Options(), arguments.set)
    # The decoder makes room for the longest answer beside a whole prompt: all kinds see the same context.
    longest = max(MAX_TOKENS.values())
    name = arguments.model or options.model.name
    return replace(options, model=replace(options.model, name=name, max_tokens=longest))


def _kinds(names: str | None) -> tuple[str, ...]:
    return _known(names.split(","), KINDS, "kind") if names else KINDS


def _modes(names: str | None) -> tuple[str, ...] | None:
    return _known(names.split(","), tuple(MODES), "context mode") if names else None


def _known(names: Iterable[str], known: Sequence[str], what: str) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(name.strip() for name in names))
    for name in wanted:
        if name not in known:
            raise EvaluationError(f"no {what} {name!r}: known are {', '.join(known)}")
    return wanted


def _possible(asked: tuple[str, ...] | None, model: LoadedModel) -> Mapping[str, Mode]:
    """The modes asked for, or all but "auto" (it is one of the others). Raises WeightsError where one needs an adapter:
    the completer would silently read text instead, and the figures would be called by a wrong name."""
    lacking = NEED_ADAPTER if model.pseudo is None else frozenset()
    if refused := sorted(lacking.intersection(asked or ())):
        raise WeightsError(f"{model.name} has no adapter for the context modes {', '.join(refused)}")
    names = asked or tuple(name for name in MODES if name not in lacking and name != "auto")
    return {name: MODES[name] for name in names}


def _writable(file: Path) -> TextIO:
    try:
        return file.open("w", encoding="utf-8")
    except OSError as problem:
        raise EvaluationError(f"{file} cannot be written: {problem}") from problem


def _written(scores: Iterable[Score], predictions: TextIO | None) -> Iterator[Score]:
    """The scores as they pass, each written down at once: a run that is stopped leaves what it has."""
    for score in scores:
        if predictions:
            print(json.dumps(score.prediction()), file=predictions, flush=True)
        yield score


def _show_progress(progress: Progress) -> None:
    if sys.stderr.isatty():
        line = f"{progress.done}/{progress.total}  {progress.repository}"
        print(f"\r\x1b[K{line[:100]}", end="", file=sys.stderr, flush=True)


def _print_report(scores: Sequence[Score], tasks: Sequence[Task], model: LoadedModel, *, as_json: bool) -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    summaries = summarize(scores)
    if as_json:
        print("\n".join(json.dumps(summary.json()) for summary in summaries))
        return
    n_repositories = len({task.repo for task in tasks})
    print(f"{model.name} ({model.fingerprint}, {model.dtype} on {model.device}): ", end="")
    print(f"{len(tasks)} tasks of {n_repositories} repositories, cold cache, greedy\n")
    print(table(summaries))
