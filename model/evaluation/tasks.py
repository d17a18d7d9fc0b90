"""Tasks: a real file with a hole, and what stood in the hole. Reads them, and draws an even sample."""

from __future__ import annotations

import hashlib
import json
import lzma
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path, PurePosixPath
from typing import Any, TextIO, TypeVar

PYTHON = "python"  # of tasks that name no language
KINDS = ("line", "api", "crossfile", "function")
_TEXT_FIELDS = (
    "task_id",
    "repo",
    "path",
    "prefix",
    "suffix",
    "target",
    "kind",
    "source",
    "origin",
    "language",
)

_T = TypeVar("_T")


class EvaluationError(Exception):
    """The evaluation was asked for something it cannot do; the message is one sentence for the user."""


@dataclass(frozen=True)
class Task:
    """`prefix + target + suffix` is the whole of the file `path` (posix, relative) of the repository `repo`."""

    task_id: str
    repo: str
    path: str
    prefix: str
    suffix: str
    target: str
    kind: str  # one of KINDS: how the answer is cut and scored
    source: str  # the benchmark it comes from
    origin: str  # how it came from there
    language: str = PYTHON  # LSP's id

    @property
    def text(self) -> str:
        return self.prefix + self.target + self.suffix

    @property
    def text_with_hole(self) -> str:
        return self.prefix + self.suffix


def read_tasks(file: Path) -> list[Task]:
    """Tasks of a JSONL file, plain or `.xz`. Raises EvaluationError, naming the line that is wrong."""
    try:
        with _open_text(file) as lines:
            return [_parse(line, f"{file}, line {n}") for n, line in enumerate(lines, 1) if line.strip()]
    except (OSError, lzma.LZMAError, EOFError, UnicodeDecodeError) as problem:
        raise EvaluationError(f"{file} cannot be read: {problem}") from problem


def select(tasks: Iterable[Task], kinds: Sequence[str] = KINDS, limit: int | None = None) -> list[Task]:
    """The tasks of these kinds; with a limit that many, evenly over repositories and, within one, over kinds.

    The draw depends on names only: it is the same everywhere, and a larger limit adds to a smaller one's tasks.
    Sorted by repository, because an index is built once for each.
    """
    per_repository: dict[str, dict[str, list[Task]]] = defaultdict(lambda: defaultdict(list))
    for task in sorted(tasks, key=lambda task: _lot(task.task_id)):
        if task.kind in kinds:
            per_repository[task.repo][task.kind].append(task)
    in_turn = [list(_round_robin(per_repository[repo].values())) for repo in sorted(per_repository, key=_lot)]
    drawn = list(_round_robin(in_turn))[:limit]
    return sorted(drawn, key=lambda task: (task.repo, task.path, task.task_id))


def _open_text(file: Path) -> TextIO:
    if file.suffix == ".xz":
        return lzma.open(file, "rt", encoding="utf-8", newline="\n")
    return file.open(encoding="utf-8", newline="\n")


def _parse(line: str, where: str) -> Task:
    try:
        raw: Any = json.loads(line)
    except ValueError as problem:
        raise EvaluationError(f"{where} is not JSON: {problem}") from problem
    if not isinstance(raw, dict):
        raise EvaluationError(f"{where} is not a JSON object")
    raw.setdefault("language", PYTHON)
    wrong = [name for name in _TEXT_FIELDS if not isinstance(raw.get(name), str)]
    if wrong:
        raise EvaluationError(f"{where} has no text in {', '.join(wrong)}")
    if raw["kind"] not in KINDS:
        raise EvaluationError(f"{where} has the unknown kind {raw['kind']!r}; known are {', '.join(KINDS)}")
    for name in (raw["repo"], raw["path"]):
        # Files are written at these names: a task must not reach out of the snapshot.
        if name in ("", ".") or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise EvaluationError(f"{where} names {name!r}, which is not inside the snapshot")
    return Task(*(raw[name] for name in _TEXT_FIELDS))


def _lot(name: str) -> bytes:
    """An order that has nothing to do with the name."""
    return hashlib.sha256(name.encode()).digest()


def _round_robin(groups: Iterable[Sequence[_T]]) -> Iterator[_T]:
    gap = object()
    rounds = zip_longest(*groups, fillvalue=gap)
    return (item for item in chain.from_iterable(rounds) if item is not gap)  # type: ignore[misc]
