"""Git histories as edits that were really made: commits that change one Python file at several places."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

MOST_CHARS = 200_000  # of a file
MOST_STEPS = 40  # of a commit; more were made by a tool


@dataclass(frozen=True)
class WantedStep:
    """Lines `first` to `end` of the old file become these."""

    first: int
    end: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class OldAndNew:
    """A file before a commit, and what the commit changed in it, from top to bottom."""

    commit: str
    lines: tuple[str, ...]
    steps: tuple[WantedStep, ...]

    def text(self, done: frozenset[int]) -> str:
        """The file with some of the steps taken."""
        return "".join(self._parts(done, len(self.steps))) + "".join(self.lines[self.steps[-1].end :])

    def offset(self, step: int, done: frozenset[int]) -> int:
        """Where a step begins in `text(done)`."""
        before = sum(map(len, self._parts(done, step)))
        last = self.steps[step - 1].end if step else 0
        return before + sum(map(len, self.lines[last : self.steps[step].first]))

    def length(self, step: int, done: frozenset[int]) -> int:
        """Characters that a step takes in `text(done)`."""
        wanted = self.steps[step]
        return sum(map(len, wanted.lines if step in done else self.lines[wanted.first : wanted.end]))

    def _parts(self, done: frozenset[int], n_steps: int) -> Iterator[str]:
        at = 0
        for index, step in enumerate(self.steps[:n_steps]):
            yield "".join(self.lines[at : step.first])
            yield "".join(step.lines if index in done else self.lines[step.first : step.end])
            at = step.end


def edits_of(repository: Path, most: int) -> Iterator[OldAndNew]:
    """The newest such commits of a repository, bare or not, at most `most` of them."""
    n = 0
    for commit, old, new in _commits(repository):
        before, after = _blob(repository, old), _blob(repository, new)
        if before is None or after is None:
            continue
        found = steps_between(before, after)
        if 2 <= len(found) <= MOST_STEPS:
            yield OldAndNew(commit, tuple(before.splitlines(keepends=True)), tuple(found))
            n += 1
            if n >= most:
                return


def steps_between(before: str, after: str) -> list[WantedStep]:
    """What has to be typed: where as many lines stand as stood before, each by itself."""
    a, b = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found: list[WantedStep] = []
    for kind, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        if j - i == m - k:
            pairs = zip(range(i, j), b[k:m], strict=True)
            found += [WantedStep(row, row + 1, (line,)) for row, line in pairs if a[row] != line]
        else:
            found.append(WantedStep(i, j, tuple(b[k:m])))
    return found


def _commits(repository: Path) -> Iterator[tuple[str, str, str]]:
    """(commit, blob before, blob after)."""
    told = _git(
        repository, "log", "--no-merges", "--no-renames", "--raw", "--abbrev=40", "--format=%H", "--", "*.py"
    )
    commit, changes = "", list[Sequence[str]]()
    for line in [*(told or "").splitlines(), "0" * 40]:
        if line.startswith(":"):
            changes.append(line.split())
        elif line.strip():
            if len(changes) == 1 and changes[0][4] == "M":
                yield commit, changes[0][2], changes[0][3]
            commit, changes = line, []


def _blob(repository: Path, digest: str) -> str | None:
    text = _git(repository, "cat-file", "blob", digest)
    return None if text is None or len(text) > MOST_CHARS or "\r" in text else text


def _git(repository: Path, *arguments: str) -> str | None:
    done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, check=False)
    try:
        return done.stdout.decode("utf-8") if done.returncode == 0 else None
    except UnicodeDecodeError:
        return None
