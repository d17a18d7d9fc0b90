"""Repositories as they stood before the answer was written: a snapshot on disk with a hole, and a live index of it."""

from __future__ import annotations

import lzma
import tarfile
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np

from indexer import Hit, Index, Query, Vectors
from model.completer import RetrievalQuery
from model.evaluation.tasks import EvaluationError, Task


class Encoder(Protocol):
    """The part of a loaded model that indexing needs (`model.adapter.Encoder`)."""

    @property
    def fingerprint(self) -> str: ...
    def embed(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]: ...
    def fuse(self, groups: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]: ...


class FuserEmbedder:
    """The indexer's `Embedder` over a fuser, on the caller's thread."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.fingerprint = encoder.fingerprint

    def embed(self, texts: Sequence[str]) -> Vectors:
        return Vectors(*self._encoder.embed(texts))

    def fuse(self, groups: Sequence[np.ndarray]) -> Vectors:
        return Vectors(*self._encoder.fuse(groups))


class Repository:
    """One snapshot under `root` (changed in place) with its index, reused over the tasks of the repository.

    The hole is made on disk before anything is indexed, so no baseline that reads the files can see the answer either.
    """

    def __init__(self, root: Path, index: Index | None) -> None:
        """Without an index nothing is retrieved."""
        self.root = root
        self.index = index
        self._open_task: Task | None = None

    def punch(self, task: Task) -> None:
        """Close the last hole and open the one of `task`. Raises EvaluationError when the file is not the task's."""
        if self._open_task:
            self._write(self._open_task, self._open_task.text)
        if self._read(task) != task.text:
            raise EvaluationError(f"{task.task_id}: prefix, target and suffix are not {task.path} of {task.repo}")
        self._write(task, task.text_with_hole)
        last, self._open_task = self._open_task, task
        if self.index:
            self.index.update(None if last is None else {self._file(last), self._file(task)})

    def retrieve(self, query: RetrievalQuery) -> list[Hit]:
        """The completer's `retrieve`: what the prompt shows of the file is left out by the index."""
        return self.index.search(Query(query.path, query.before, query.after, query.key)) if self.index else []

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

    tarfile's "data" filter refuses links and names that reach outside (PEP 706).
    """
    try:
        with tarfile.open(archive) as tar:
            members = [member for member in tar if PurePosixPath(member.name).parts[:1] in {(r,) for r in repositories}]
            tar.extractall(into, members=members, filter="data")
    except (OSError, tarfile.TarError, lzma.LZMAError, EOFError) as problem:
        raise EvaluationError(f"{archive} cannot be unpacked: {problem}") from problem
    missing = sorted(repository for repository in repositories if not (into / repository).is_dir())
    if missing:
        raise EvaluationError(f"{archive} does not hold {', '.join(missing)}")
