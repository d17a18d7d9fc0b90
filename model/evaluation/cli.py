"""`python -m model.evaluation`: exact match, edit similarity and latency of every context mode on real code."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from model.checkpoint.files import WeightsError
from model.evaluation.metrics import MAX_TOKENS
from model.evaluation.modes import ABLATIONS, BASELINES, MODES, PLAIN, PRODUCT, Mode
from model.evaluation.nats import MOST_TOKENS
from model.evaluation.options import Options, check_fits, on_top, override
from model.evaluation.predictions import Prediction, latest, resume
from model.evaluation.repository import extract
from model.evaluation.run import RunProgress, TaskFolders, contestants, evaluate
from model.evaluation.summary import summarize, table
from model.evaluation.tasks import KINDS, EvaluationError, Task, read_tasks, select
from model.loaded import LoadedModel
from model.loading import load_from_settings
from model.settings import ModelSettings

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
    asked = _modes(arguments.context, arguments.ablate)
    with ExitStack() as stack:
        cache = arguments.cache or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="hef-evaluation-"))
        )
        folders = TaskFolders(cache / "snapshots", cache / "indexes")
        extract(arguments.repos, {task.repo for task in tasks}, folders.snapshots)
        before = _resumed(arguments)
        predictions = stack.enter_context(_opened(arguments.predictions, arguments.resume))
        model = load_from_settings(_with_room(options.model, asked))
        if arguments.window is not None:
            check_fits(options.model, model)
        field = contestants(
            _possible(asked, model), model, options, arguments.set, arguments.window, weighed=arguments.nats
        )
        done = {
            (one.task_id, one.system) for one in before if one.nats_tokens is not None or not arguments.nats
        }
        new = list(_written(evaluate(tasks, folders, field, done, _show_progress), predictions))
    systems, ids = {one.system for one in field}, {task.task_id for task in tasks}
    answers = [one for one in latest([*before, *new]) if one.system in systems and one.task_id in ids]
    _print_report(answers, tasks, model, as_json=arguments.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model.evaluation",
        description="Measure completions on repository-level tasks. EM and ES are percentages; milliseconds are those "
        "of one completion from an empty cache (retrieve, prefill, decode). The repository is indexed without the "
        "answer. Longest answers, in tokens: "
        + ", ".join(f"{kind} {n}" for kind, n in MAX_TOKENS.items())
        + ".",
    )
    parser.add_argument("--tasks", type=Path, required=True, help="tasks, JSONL or JSONL.xz")
    parser.add_argument("--repos", type=Path, required=True, help="repository snapshots, tar or tar.xz")
    _add_what_is_measured(parser)
    parser.add_argument("--json", action="store_true", help="one JSON line per kind, source and mode")
    parser.add_argument(
        "--predictions", type=Path, metavar="FILE", help="write one JSON line per task and mode"
    )
    parser.add_argument("--resume", action="store_true", help="add to --predictions what is not there yet")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep snapshots and their indexes between runs, of which one at a time may use it",
    )
    parser.add_argument("--model", metavar="NAME", help="'embedded', a folder or a hub id")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="override one setting"
    )
    return parser


def _add_what_is_measured(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--context",
        metavar="MODE,...",
        help=f"of {', '.join(PRODUCT)} (the product; all that the model has if neither this nor --ablate is given), "
        f"{', '.join(PLAIN)} (without recall), {', '.join(BASELINES)} (what it is compared with), or any of --ablate",
    )
    parser.add_argument(
        "--ablate", metavar="NAME,...", help=f"all modes of these experiments: {', '.join(ABLATIONS)}"
    )
    parser.add_argument("--kind", metavar="K,...", help=f"of {', '.join(KINDS)}; all if unset")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="at most N tasks, drawn evenly over repositories"
    )
    parser.add_argument(
        "--window",
        type=int,
        metavar="N",
        help="N tokens of the file in every prompt and a mode's context on top of them, as papers compare; without it "
        "model.contextTokens are the longest prompt, of which context takes its part",
    )
    parser.add_argument(
        "--nats",
        action="store_true",
        help=f"weigh the answers as well: nats per token of the first {MOST_TOKENS} tokens of the target, by the coder "
        "alone behind the prompt that a mode built",
    )


def _options(arguments: argparse.Namespace) -> Options:
    if arguments.limit is not None and arguments.limit < 1:
        raise EvaluationError(f"--limit is at least 1, not {arguments.limit}")
    if arguments.resume and not arguments.predictions:
        raise EvaluationError("--resume goes on with the file of --predictions, which is missing")
    options = override(Options(), arguments.set)
    # The decoder makes room for the longest answer beside a whole prompt: all kinds see the same context.
    longest = max(MAX_TOKENS.values())
    name = arguments.model or options.model.name
    options = replace(options, model=replace(options.model, name=name, max_tokens=longest))
    return options if arguments.window is None else on_top(options, arguments.window)


def _with_room(settings: ModelSettings, asked: tuple[str, ...]) -> ModelSettings:
    """What the model is loaded with: all modes share one, which has room for blocks where one of them places some,
    unless a setting says otherwise."""
    places_blocks = any(MODES[name].own_window for name in asked or PRODUCT)
    return replace(settings, context="blocks") if places_blocks and settings.context == "auto" else settings


def _resumed(arguments: argparse.Namespace) -> list[Prediction]:
    return resume(arguments.predictions) if arguments.resume else []


def _kinds(names: str | None) -> tuple[str, ...]:
    return _known(names.split(","), KINDS, "kind") if names else KINDS


def _modes(names: str | None, experiments: str | None) -> tuple[str, ...]:
    """() for those that the model has."""
    chosen = _known(names.split(","), tuple(MODES), "context mode") if names else ()
    ablated = _known(experiments.split(","), tuple(ABLATIONS), "experiment") if experiments else ()
    return tuple(dict.fromkeys([*chosen, *(mode for name in ablated for mode in ABLATIONS[name])]))


def _known(names: Iterable[str], known: Sequence[str], what: str) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(name.strip() for name in names))
    for name in wanted:
        if name not in known:
            raise EvaluationError(f"no {what} {name!r}: known are {', '.join(known)}")
    return wanted


def _possible(asked: tuple[str, ...], model: LoadedModel) -> Mapping[str, Mode]:
    """The modes asked for, or all but "auto" (it is one of the others). Raises WeightsError where one needs an adapter:
    the completer would silently read text instead, and the figures would be called by a wrong name."""
    lacking = {name for name, mode in MODES.items() if mode.needs_adapter and model.pseudo is None}
    if refused := sorted(lacking.intersection(asked)):
        raise WeightsError(f"{model.name} has no adapter for the context modes {', '.join(refused)}")
    names = asked or tuple(name for name in PRODUCT if name not in lacking and name != "auto")
    return {name: MODES[name] for name in names}


def _opened(file: Path | None, resumed: bool) -> TextIO:
    """Where predictions go; nowhere when no file was named."""
    name = file or Path(os.devnull)
    try:
        return name.open("a" if resumed else "w", encoding="utf-8")
    except OSError as problem:
        raise EvaluationError(f"{name} cannot be written: {problem}") from problem


def _written(answers: Iterable[Prediction], file: TextIO) -> Iterator[Prediction]:
    """The answers as they pass, each written down at once: a run that is stopped leaves what it has."""
    for one in answers:
        print(one.line(), file=file, flush=True)
        yield one


def _show_progress(progress: RunProgress) -> None:
    if sys.stderr.isatty():
        line = f"{progress.done}/{progress.total}  {progress.repository}"
        print(f"\r\x1b[K{line[:100]}", end="", file=sys.stderr, flush=True)


def _print_report(
    answers: Sequence[Prediction], tasks: Sequence[Task], model: LoadedModel, *, as_json: bool
) -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    summaries = summarize(answers)
    if as_json:
        print("\n".join(json.dumps(summary.json()) for summary in summaries))
        return
    n_repositories = len({task.repo for task in tasks})
    print(f"{model.name} ({model.fingerprint}, {model.dtype} on {model.device}): ", end="")
    print(f"{len(tasks)} tasks of {n_repositories} repositories, cold cache, greedy\n")
    print(table(summaries))
