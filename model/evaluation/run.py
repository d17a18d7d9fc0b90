"""The evaluation itself: repository by repository, task by task, mode by mode."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from indexer import Index
from indexer.hierarchy import FuserEmbedder
from model.evaluation.embedding import with_embedder
from model.evaluation.metrics import MAX_TOKENS, answer_end
from model.evaluation.modes import Mode
from model.evaluation.nats import ListeningCompleter
from model.evaluation.options import Options, override
from model.evaluation.predictions import WITH_RECALL, Prediction, System, budget_name, predict
from model.evaluation.repository import TaskRepository, View
from model.evaluation.tasks import EvaluationError, Task
from model.loaded import LoadedModel
from model.recall.mixer import recalling
from model.request import Request
from model.settings import ModelSettings


@dataclass(frozen=True)
class RunProgress:
    """Before each task."""

    done: int
    total: int
    repository: str


@dataclass(frozen=True)
class TaskFolders:
    """Where repositories lie as they are in the archive, and where their indexes are kept."""

    snapshots: Path
    indexes: Path


@dataclass(frozen=True, eq=False)
class Contestant:
    """A mode with the model as it uses it, its settings, and the name it goes by.

    `window`: as in a `Request`. `weighed`: whether the nats of the answers are wanted.
    """

    mode: Mode
    model: LoadedModel
    options: Options
    system: System
    window: int | None = None
    weighed: bool = False


def contestants(
    modes: Mapping[str, Mode],
    model: LoadedModel,
    options: Options,
    settings: Sequence[str],
    window: int | None = None,
    *,
    weighed: bool = False,
) -> list[Contestant]:
    """`settings`: what changed `options` from the defaults, NAME=VALUE. `window`, `weighed`: see Contestant."""
    embedders = {mode.embedder for mode in modes.values() if mode.reads_index}
    models = {embedder: with_embedder(model, embedder) for embedder in sorted(embedders)}
    without_fuser = replace(model, encoder=None)
    return [
        Contestant(
            mode,
            models[mode.embedder] if mode.reads_index else without_fuser,
            override(options, mode.settings),
            System(
                mode_name,
                _name(model, override(options, mode.settings)),
                tuple(sorted(settings)),
                _budget(mode, model.budgets.fill(override(options, mode.settings).model), window),
            ),
            window,
            weighed,
        )
        for mode_name, mode in modes.items()
    ]


def _budget(mode: Mode, settings: ModelSettings, window: int | None) -> str:
    if mode.own_window and window is None:
        window = settings.window_tokens
    return budget_name(settings.context_tokens, window)


def _name(model: LoadedModel, options: Options) -> str:
    name = f"{model.name} {model.fingerprint[:12]} {model.device} {model.dtype}"
    return name + WITH_RECALL if model.recall is not None and options.recall.enabled else name


def evaluate(
    tasks: Sequence[Task],
    folders: TaskFolders,
    field: Sequence[Contestant],
    done: Collection[tuple[str, System]] = (),
    progress: Callable[[RunProgress], None] = lambda _: None,
) -> Iterator[Prediction]:
    """Answers as they come: all modes of a task, one after the other, see the same machine in the same state.

    `tasks` are grouped by repository; what is `done` is not done again. Raises EvaluationError when a mode wants hits
    of another repository and there is none.
    """
    repositories = sorted({task.repo for task in tasks})
    if len(repositories) == 1 and any(one.mode.needs_foreign for one in field):
        raise EvaluationError("harmful retrieval takes hits of another repository: the tasks are all of one")
    waiting = [task for task in tasks if _left(task, field, done)]
    n_done = len(tasks) - len(waiting)
    for task, repository, elsewhere in punched(waiting, repositories, folders, field):
        progress(RunProgress(n_done, len(tasks), task.repo))
        for one in _left(task, field, done):
            one.mode.prepare(repository.sources)
            index = repository.indexes.get(one.mode.embedder)
            yield _answer(one, task, View(repository.sources, index, elsewhere, one.options.retrieval))
        n_done += 1


def punched(
    tasks: Sequence[Task], repositories: Sequence[str], folders: TaskFolders, field: Sequence[Contestant]
) -> Iterator[tuple[Task, TaskRepository, Index | None]]:
    """Each task with its repository, the hole made and indexed for the embedders of `field`, and the index of the
    repository before it among `repositories` where a mode wants hits of another."""
    for name, group in groupby(tasks, key=lambda task: task.repo):
        with ExitStack() as stack:
            indexes = {
                embedder: stack.enter_context(closing(_open_index(folders, name, one)))
                for embedder, one in _readers(field).items()
            }
            elsewhere = _elsewhere(folders, repositories[repositories.index(name) - 1], field, stack)
            repository = TaskRepository(folders.snapshots / name, indexes)
            for task in group:
                repository.punch(task)
                yield task, repository, elsewhere


def _left(task: Task, field: Sequence[Contestant], done: Collection[tuple[str, System]]) -> list[Contestant]:
    return [one for one in field if (task.task_id, one.system) not in done]


def _readers(field: Sequence[Contestant]) -> dict[str, Contestant]:
    """One mode per embedder, one that reads the index if any does; drafts read every mode's, vectors or not."""
    return {one.mode.embedder: one for one in sorted(field, key=lambda one: one.mode.reads_index)}


def _open_index(folders: TaskFolders, name: str, one: Contestant) -> Index:
    embedder = FuserEmbedder(one.model.encoder) if one.model.encoder else None
    return Index.open(
        folders.snapshots / name,
        embedder,
        folders.indexes / name,
        one.options.index,
        one.options.retrieval,
        one.model.vocabulary,
    )


def _elsewhere(
    folders: TaskFolders, name: str, field: Sequence[Contestant], stack: ExitStack
) -> Index | None:
    """The index of another repository, where a mode wants hits of one."""
    for one in field:
        if one.mode.needs_foreign:
            index = stack.enter_context(closing(_open_index(folders, name, one)))
            index.update()
            return index
    return None


def _answer(one: Contestant, task: Task, view: View) -> Prediction:
    # A new completer each: nothing of another mode or task is in its cache, latencies are cold ones.
    mixing = recalling(one.model, one.options.recall)
    completer = ListeningCompleter(
        one.model,
        one.options.model,
        mixing=mixing,
        drafts=one.options.drafts,
        blocks=one.options.blocks,
    )
    request = replace(request_for(task), window=one.window)
    if view.index:
        request = replace(request, tokens=view.index.tokens, lines=view.index.lines)
    one.mode.make_ahead(completer, request, view)
    completion = one.mode.complete(completer, request, view)
    return predict(task, one.system, completion, completer.nats(task.target) if one.weighed else None)


def request_for(task: Task) -> Request:
    """The cursor in the hole. No deadline: what is written must not depend on the speed of the machine."""
    return Request(
        path=task.path,
        prefix=task.prefix,
        suffix=task.suffix,
        max_tokens=MAX_TOKENS[task.kind],
        deadline_ms=float("inf"),
        finished=lambda text: answer_end(task, text) is not None,
        repository=task.repo.rpartition("/")[2],
        language=task.language,
    )
