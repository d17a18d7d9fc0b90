"""The evaluation itself: repository by repository, task by task, mode by mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from indexer import Index
from model.completer import Completer, Completion, Request
from model.evaluation.metrics import MAX_TOKENS, answer, answer_end, edit_similarity, exact_match, first_line_match
from model.evaluation.modes import Mode
from model.evaluation.options import Options
from model.evaluation.report import Score
from model.evaluation.repository import FuserEmbedder, Repository
from model.evaluation.tasks import Task
from model.weights import LoadedModel


@dataclass(frozen=True)
class Progress:
    """Before each task."""

    done: int
    total: int
    repository: str


def evaluate(
    tasks: Sequence[Task],
    snapshots: Path,
    model: LoadedModel,
    options: Options,
    modes: Mapping[str, Mode],
    progress: Callable[[Progress], None] = lambda _: None,
) -> Iterator[Score]:
    """Scores as they come: all modes of a task, one after the other, see the same machine in the same state.

    `tasks` are grouped by repository, whose snapshots lie in `snapshots`; caches go beside them.
    """
    done = 0
    for name, group in groupby(tasks, key=lambda task: task.repo):
        with ExitStack() as stack:
            index = None
            if any(mode.reads_index for mode in modes.values()):
                index = stack.enter_context(closing(_open_index(snapshots, name, model, options)))
            repository = Repository(snapshots / name, index)
            for task in group:
                progress(Progress(done, len(tasks), name))
                repository.punch(task)
                for mode_name, mode in modes.items():
                    # A new completer each: nothing of another mode or task is in its cache, latencies are cold ones.
                    completion = mode.complete(Completer(model, options.model), request_for(task), repository)
                    yield score(task, mode_name, completion)
                done += 1


def _open_index(snapshots: Path, name: str, model: LoadedModel, options: Options) -> Index:
    embedder = FuserEmbedder(model.encoder) if model.encoder else None
    return Index.open(snapshots / name, embedder, snapshots / ".index" / name, options.index, options.retrieval)


def score(task: Task, mode: str, completion: Completion) -> Score:
    """Judge an answer by what is left of it after its kind's cut."""
    text = answer(task, completion.text)
    return Score(
        task_id=task.task_id,
        repo=task.repo,
        kind=task.kind,
        source=task.source,
        origin=task.origin,
        mode=mode,
        text=text,
        em=100.0 * exact_match(text, task.target),
        es=100.0 * edit_similarity(text, task.target),
        first_line_em=100.0 * first_line_match(text, task.target),
        ms=completion.timings_ms["total"],
        prompt_tokens=completion.prompt_tokens,
        tokens=completion.tokens,
        forward_passes=completion.forward_passes,
    )


def request_for(task: Task) -> Request:
    """The cursor in the hole. No deadline: what is written must not depend on the speed of the machine."""
    return Request(
        path=task.path,
        prefix=task.prefix,
        suffix=task.suffix,
        max_tokens=MAX_TOKENS[task.kind],
        deadline_ms=float("inf"),
        finished=lambda text: answer_end(task, text) is not None,
    )
