"""Which files of a repository are left out on purpose: ignore rules and secrets.

Ignore rules are git's (`patterns`): nested .gitignore files, the deeper one first; an excluded directory is not
entered. In order of precedence: secrets (nothing overrides them), the user's `ignore` setting, .hefignore (nested; `!`
brings back what git ignores), .gitignore, .git/info/exclude, git's own excludes of the user (core.excludesFile), the
built-in list. A folder inside a work tree obeys the files above it as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path, PurePath, PurePosixPath

from indexer import git, lists
from indexer.patterns import Patterns
from indexer.rule_files import RuleFiles
from indexer.secret_names import SecretNames
from indexer.settings import DEFAULT_INDEX, IndexSettings

# Why nothing is completed in a file.
SECRET = "secret"
IGNORED = "ignored"
OUTSIDE = "outside of the folder"

_REMEMBERED = 32  # roots of a gate; documents outside of all folders have one each


class Rules:
    """The ignore rules of one repository, each ignore file read once: make a new one to see changes."""

    def __init__(self, root: Path, settings: IndexSettings = DEFAULT_INDEX) -> None:
        self._user = _patterns(settings.ignore)
        self._names = SecretNames(settings.secrets)
        self._files = RuleFiles()
        self._patterns: dict[Path, Patterns | None] = {}
        self._chains: dict[str, list[tuple[int, Patterns]]] = {}
        self._root = root = root.resolve()
        self._above = _bytes(_with_slash(root.as_posix()))
        self._root_is_secret = any(
            self._names.has(_bytes(above), True) for above in _down_to(root.as_posix())
        )
        self._top = git.work_tree(root) or root
        self._inside = _with_slash(root.relative_to(self._top).as_posix())
        self._excludes = git.excludes(self._top, self._files)
        if any(self._is_ignored(directory, True) for directory in _down_to(self._inside)):
            # Whoever opens an ignored folder (a virtual environment's, a build's) wants to see what is in it.
            self._top, self._inside, self._excludes = root, "", []
            self._chains.clear()

    @property
    def problems(self) -> dict[str, str]:
        """What of the ignore files read so far does not count: file, or file:line -> why. In the root: relative."""
        within = f"{self._root}{os.sep}"
        return {place.removeprefix(within): reason for place, reason in self._files.problems.items()}

    def is_secret(self, path: str, is_directory: bool = False) -> bool:
        """Whether a name is on the deny list, in any letter case: a path relative to the root, or a name.

        A directory inside a secret one is not asked for: a walk does not come there.
        """
        return self._root_is_secret or self._names.has(self._above + _bytes(path), is_directory)

    def is_ignored(self, path: str, is_directory: bool) -> bool:
        """Whether a path is ignored by itself; its directories are taken not to be (a walk does not enter those)."""
        return self._is_ignored(self._inside + path, is_directory)

    def excludes(self, path: str) -> bool:
        """Whether a file is out, by its own name or by any directory above it: what a walk would find out."""
        return self.why_not(path) is not None

    def why_not(self, path: str) -> str | None:
        """SECRET or IGNORED for a file that is out, None for one that counts. `path` is relative to the root."""
        directories = _down_to(path.rpartition("/")[0])
        if self.is_secret(path) or any(self.is_secret(directory, True) for directory in directories):
            return SECRET
        above = any(self.is_ignored(directory, True) for directory in directories)
        return IGNORED if above or self.is_ignored(path, False) else None

    def why_not_file(self, file: Path) -> str | None:
        """The same by every name that a file has, as it was opened and where links lead; OUTSIDE for one elsewhere."""
        real = _real(file)
        if self.is_secret_elsewhere(file) or self.is_secret_elsewhere(real):
            return SECRET
        names = (relative_path(self._root, file), relative_path(self._root, real))
        verdicts = [OUTSIDE if name is None else self.why_not(name) for name in names]
        return next((why for why in (SECRET, IGNORED, OUTSIDE) if why in verdicts), None)

    def is_secret_elsewhere(self, file: Path) -> bool:
        """Whether the names of any file say that it is secret, wherever it lies."""
        absolute = _bytes(file.as_posix())
        folders = (_bytes(above) for above in _down_to(file.parent.as_posix()))
        return self._names.has(absolute, False) or any(self._names.has(folder, True) for folder in folders)

    def is_current(self) -> bool:
        """Whether the ignore files are still as they were when they were read."""
        return self._files.is_current()

    def _is_ignored(self, path: str, is_directory: bool) -> bool:
        """The same of a path that is relative to the work tree's top."""
        directory, _, name = path.rpartition("/")
        if name == ".git":
            return True
        asked = _bytes(path)
        for skipped, patterns in self._chain(directory):
            verdict = patterns.verdict(asked[skipped:], is_directory)
            if verdict is not None:
                return verdict
        return False

    def _chain(self, directory: str) -> list[tuple[int, Patterns]]:
        """What decides about entries of a directory, most important first: (bytes to take off the path, patterns)."""
        chain = self._chains.get(directory)
        if chain is None:
            chain = [
                (len(_bytes(prefix)), patterns) for prefix, patterns in self._deciding(directory) if patterns
            ]
            self._chains[directory] = chain
        return chain

    def _deciding(self, directory: str) -> Iterator[tuple[str, Patterns | None]]:
        inward = ["", *(_with_slash(above) for above in _down_to(directory))][::-1]
        yield "", self._user
        for name in (".hefignore", ".gitignore"):
            for prefix in inward:
                yield prefix, self._read(self._top / prefix / name, inside=self._top)
        for excludes in self._excludes:
            yield "", self._read(excludes.file, of_user=excludes.of_user)
        yield "", _built_in()

    def _read(self, file: Path, *, inside: Path | None = None, of_user: bool = False) -> Patterns | None:
        if file not in self._patterns:
            self._patterns[file] = self._files.patterns(file, inside=inside, of_user=of_user)
        return self._patterns[file]


class Gate:
    """Whether completion may run in a file, asked at every keystroke: ignore files are read when they have changed.

    Waits for the file system, so it is never asked on an event loop."""

    def __init__(self) -> None:
        self._rules: dict[tuple[Path, IndexSettings], Rules] = {}

    def refusal(self, root: Path, path: Path, settings: IndexSettings = DEFAULT_INDEX) -> str | None:
        """SECRET or IGNORED by the file's own or its target's name; None: it may.

        A file outside of the root is judged by its names only.
        """
        rules = self._rules.get((root, settings))
        if rules is None or not rules.is_current():
            rules = Rules(root, settings)
            if len(self._rules) >= _REMEMBERED:
                del self._rules[next(iter(self._rules))]
            self._rules[root, settings] = rules
        why = rules.why_not_file(path)
        return None if why == OUTSIDE else why


def is_completable(root: Path, path: Path, settings: IndexSettings = DEFAULT_INDEX) -> bool:
    """Whether completion may run in a file, asked once; see `Gate`."""
    return Gate().refusal(root, path, settings) is None


def relative_path(root: Path, path: Path) -> str | None:
    """`path` relative to `root` in posix form, "" for the root itself; None when it lies outside.

    Links above the file are resolved, so that a file has one name whichever way an editor or a watcher came to it.
    """
    try:
        base, place = os.path.realpath(root), os.path.join(os.path.realpath(path.parent), path.name)
        if path.name == ".." or os.path.realpath(place) == base:
            place = os.path.realpath(place)
        relative = PurePath(place).relative_to(base).as_posix()
    except ValueError:  # elsewhere, or a name that no disk has (with a NUL)
        return None
    return "" if relative == "." else relative


def _real(file: Path) -> Path:
    try:
        return Path(os.path.realpath(file))
    except ValueError:
        return file


def _down_to(path: str) -> list[str]:
    """A path's directories and itself, outermost first; none of ""."""
    parts = PurePosixPath(path).parts
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def _with_slash(path: str) -> str:
    return "" if path in ("", ".") else path + "/"


def _bytes(path: str) -> bytes:
    """A path as the disk has it; what no disk has (a lone surrogate of an editor) is as good as any other."""
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return path.encode("utf-8", "replace")


@cache
def _built_in() -> Patterns | None:
    return _patterns(lists.load("ignored"))


def _patterns(lines: Iterable[str]) -> Patterns | None:
    return Patterns(line.encode("utf-8", "surrogateescape") for line in lines) or None
