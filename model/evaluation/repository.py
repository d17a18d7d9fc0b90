"""Repositories as they stood before the answer was written: a snapshot on disk with a hole, and live indexes of it."""

from __future__ import annotations

import lzma
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from indexer import Hit, Index, Query, RetrievalSettings
from indexer.query import RANKINGS
from indexer.settings import DEFAULT_RETRIEVAL
from model.evaluation.sources import Sources
from model.evaluation.tasks import EvaluationError, Task
from model.repository import RetrievalQuery

N_HITS = 8  # what the server asks for


@dataclass(frozen=True, eq=False)
class View:
    """What one mode may read of a repository, the hole made. `elsewhere`: the index of another one."""

    sources: Sources
    index: Index | None = None  # None: nothing is retrieved
    elsewhere: Index | None = None
    settings: RetrievalSettings = DEFAULT_RETRIEVAL

    def retrieve(
        self, query: RetrievalQuery, n_hits: int = N_HITS, rankings: Sequence[str] = RANKINGS
    ) -> list[Hit]:
        """What the server finds: what the prompt shows of the file is left out by the index."""
        asked = Query(query.path, query.before, query.after, query.key, rankings=rankings)
        return self.index.search(asked, n_hits, self.settings) if self.index else []

    def retrieve_elsewhere(self, query: RetrievalQuery) -> list[Hit]:
        """What the same query finds in the other repository."""
        asked = Query(query.path, query.before, query.after, query.key)
        return self.elsewhere.search(asked, N_HITS, self.settings) if self.elsewhere else []


class TaskRepository:
    """One snapshot under `root` (changed in place) with its indexes, reused over the tasks of the repository.

    The hole is made on disk before anything is indexed, so nothing that reads the files can see the answer; `sources`
    has the other files as they were before.
    """

    def __init__(self, root: Path, indexes: Mapping[str, Index]) -> None:
        """`indexes` by the name of their embedder; none: nothing is retrieved."""
        self.root = root
        self.indexes = indexes
        self.sources = Sources(root)
        self._open_task: Task | None = None

    def punch(self, task: Task) -> None:
        """Close the last hole and open the one of `task`. Raises EvaluationError when the file is not the task's."""
        if self._open_task:
            self._write(self._open_task, self._open_task.text)
        if self._read(task) != task.text:
            raise EvaluationError(
                f"{task.task_id}: prefix, target and suffix are not {task.path} of {task.repo}"
            )
        self._write(task, task.text_with_hole)
        last, self._open_task = self._open_task, task
        for index in self.indexes.values():
            index.update(None if last is None else {self._file(last), self._file(task)})

    def _file(self, task: Task) -> Path:
        return self.root / task.path

    def _read(self, task: Task) -> str | None:
        try:
            with self._file(task).open(encoding="utf-8", newline="") as stream:
                return stream.read()
        except (OSError, UnicodeDecodeError):
            return None

    def _write(self, task: Task, text: str) -> None:
        self._file(task).write_text(text, encoding="utf-8", newline="")


def extract(archive: Path, repositories: Collection[str], into: Path) -> None:
    """Unpack these top-level folders of a `.tar` or `.tar.xz`. Raises EvaluationError when it or one of them is bad.

    Holes that a run before this one left open are closed. tarfile's "data" filter refuses links and names that reach
    outside (PEP 706).
    """
    try:
        with tarfile.open(archive) as tar:
            members = [
                member
                for member in tar
                if PurePosixPath(member.name).parts[:1] in {(r,) for r in repositories}
            ]
            tar.extractall(into, members=members, filter="data")
    except (OSError, tarfile.TarError, lzma.LZMAError, EOFError) as problem:
        raise EvaluationError(f"{archive} cannot be unpacked: {problem}") from problem
    missing = sorted(repository for repository in repositories if not (into / repository).is_dir())
    if missing:
        raise EvaluationError(f"{archive} does not hold {', '.join(missing)}")
