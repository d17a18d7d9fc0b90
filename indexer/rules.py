"""Which files of a repository are left out on purpose: ignore rules and secrets.

Ignore rules are git's (`patterns`): nested .gitignore files, the deeper one first; an excluded directory is not
entered. In order of precedence: secrets (nothing overrides them), the user's `ignore` setting, .hefignore (nested; `!`
brings back what git ignores), .gitignore, .git/info/exclude, git's own excludes of the user (core.excludesFile), the
built-in list. A folder inside a work tree obeys the files above it as well.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from dataclasses import dataclass
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

_Ruled = tuple[
    tuple[int, Patterns], ...
]  # most important first: bytes to take off a path, patterns for the rest


@dataclass(frozen=True)
class _Chain:
    """What decides about the entries of a directory. Folders without ignore files share that of the folder above."""

    user: _Ruled
    hef: _Ruled
    git: _Ruled
    last: _Ruled

    def inside(self, n_bytes: int, hef: Patterns | None, git: Patterns | None) -> _Chain:
        """The same for a directory with these ignore files, whose own path takes so many bytes."""
        if not (hef or git):
            return self
        return _Chain(self.user, _ruled(n_bytes, hef) + self.hef, _ruled(n_bytes, git) + self.git, self.last)


class Rules:
    """The ignore rules of one repository, each ignore file read once: make a new one to see changes.

    What is known of a directory is remembered, so that a path costs no more the deeper it lies.
    """

    def __init__(self, root: Path, settings: IndexSettings = DEFAULT_INDEX) -> None:
        self._user = _patterns(settings.ignore, "index.ignore")
        self._names = SecretNames(settings.secrets)
        self._files = RuleFiles()
        self._root = root = root.resolve()
        self._above = _bytes(_with_slash(root.as_posix()))
        self._root_is_secret = any(
            self._names.has(_bytes(above), True) for above in _down_to(root.as_posix())
        )
        self._top = git.work_tree(root) or root
        self._inside = _with_slash(root.relative_to(self._top).as_posix())
        self._chains = {"": self._outermost(git.excludes(self._top, self._files))}
        if any(self._is_ignored(directory, True) for directory in _down_to(self._inside)):
            # Whoever opens an ignored folder (a virtual environment's, a build's) wants to see what is in it.
            self._top, self._inside = root, ""
            self._chains = {"": self._outermost([])}
        self._directories: dict[str, str | None] = {"": None}  # why not, by path relative to the root
        self._secret_folders = {"": False}  # by whole path

    @property
    def problems(self) -> dict[str, str]:
        """What of the ignore files read so far does not count: file, or file:line -> why. In the root: relative."""
        return {self._without_root(place): reason for place, reason in self._files.problems.items()}

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
        above = self._why_not_directory(path.rpartition("/")[0])
        if above == SECRET or self.is_secret(path):
            return SECRET
        return IGNORED if above or self.is_ignored(path, False) else None

    def why_not_file(self, file: Path) -> str | None:
        """The same by every name that a file has, as it was opened and where links lead; OUTSIDE for one elsewhere."""
        real = _real(file)
        if self.is_secret_elsewhere(file) or self.is_secret_elsewhere(real):
            return SECRET
        names = (relative_path(self._root, file), relative_path(self._root, real))
        verdicts = [OUTSIDE if name is None else self.why_not(name) for name in names]
        return next((why for why in (SECRET, IGNORED, OUTSIDE) if why in verdicts), None)

    def rule(self, file: Path) -> str:
        """What `why_not_file` goes by, for people: "`*.log` in logs/.gitignore"; "" where nothing keeps the file out.
        Slower."""
        names = tuple(dict.fromkeys((file, _real(file))))
        whole = [name.as_posix() for name in names]
        inside = [self._inside + path for name in names if (path := relative_path(self._root, name))]
        secret = (self._names.rule(_bytes(part), is_folder) for part, is_folder in _levels(whole))
        ignored = (self._ignoring(part, is_folder) for part, is_folder in _levels(inside))
        return next((rule for rule in (*secret, *ignored) if rule), "")

    def is_secret_elsewhere(self, file: Path) -> bool:
        """Whether the names of any file say that it is secret, wherever it lies."""
        folder = file.parent.as_posix()
        for unknown in _unknown(folder, self._secret_folders):
            above = self._secret_folders[unknown.rpartition("/")[0]]
            self._secret_folders[unknown] = above or self._names.has(_bytes(unknown), True)
        return self._secret_folders[folder] or self._names.has(_bytes(file.as_posix()), False)

    def is_current(self) -> bool:
        """Whether the ignore files are still as they were when they were read."""
        return self._files.is_current()

    def _is_ignored(self, path: str, is_directory: bool) -> bool:
        """The same of a path that is relative to the work tree's top."""
        if path.rpartition("/")[2] == ".git":
            return True
        ignores, _, _ = self._decision(path, is_directory)
        return ignores

    def _decision(self, path: str, is_directory: bool) -> tuple[bool, Patterns | None, bytes]:
        """Whether patterns ignore it, which do, and as what they know it."""
        asked = _bytes(path)
        chain = self._chain(path.rpartition("/")[0])
        for ruled in (chain.user, chain.hef, chain.git, chain.last):
            for skipped, patterns in ruled:
                verdict = patterns.verdict(asked[skipped:], is_directory)
                if verdict is not None:
                    return verdict, patterns, asked[skipped:]
        return False, None, b""

    def _ignoring(self, path: str, is_directory: bool) -> str:
        """The rule by which a path is ignored by itself, for people, "" where it is not."""
        if path.rpartition("/")[2] == ".git":
            return "it lies in git's own folder"
        ignores, patterns, known_as = self._decision(path, is_directory)
        if not (ignores and patterns):
            return ""
        return f"`{patterns.decisive(known_as, is_directory)}` in {self._without_root(patterns.origin)}"

    def _without_root(self, place: str) -> str:
        return place.removeprefix(f"{self._root}{os.sep}")

    def _why_not_directory(self, directory: str) -> str | None:
        """Why nothing in a directory counts, for what it is itself or any above it is."""
        for unknown in _unknown(directory, self._directories):
            why = self._directories[unknown.rpartition("/")[0]]
            if why != SECRET and self.is_secret(unknown, True):
                why = SECRET
            elif why is None and self.is_ignored(unknown, True):
                why = IGNORED
            self._directories[unknown] = why
        return self._directories[directory]

    def _chain(self, directory: str) -> _Chain:
        """What decides about entries of a directory, relative to the work tree's top."""
        for unknown in _unknown(directory, self._chains):
            above = self._chains[unknown.rpartition("/")[0]]
            self._chains[unknown] = above.inside(len(_bytes(unknown)) + 1, *self._of_directory(unknown))
        return self._chains[directory]

    def _outermost(self, excludes: Iterable[git.Excludes]) -> _Chain:
        """What decides about entries of the work tree's top."""
        last = [self._files.patterns(exclude.file, of_user=exclude.of_user) for exclude in excludes]
        outer = _Chain(_ruled(0, self._user), (), (), _ruled(0, *last, _built_in()))
        return outer.inside(0, *self._of_directory(""))

    def _of_directory(self, directory: str) -> tuple[Patterns | None, Patterns | None]:
        """A directory's own .hefignore and .gitignore."""
        folder = os.path.join(self._top, directory)
        hef, git = (os.path.join(folder, name) for name in (".hefignore", ".gitignore"))
        return self._files.patterns(hef, inside=self._top), self._files.patterns(git, inside=self._top)


class Gate:
    """Whether completion may run in a file, asked at every keystroke: ignore files are read when they have changed.

    Waits for the file system, so it is never asked on an event loop."""

    def __init__(self) -> None:
        self._rules: dict[tuple[Path, IndexSettings], Rules] = {}

    def refusal(self, root: Path, path: Path, settings: IndexSettings = DEFAULT_INDEX) -> str | None:
        """SECRET or IGNORED by the file's own or its target's name; None: it may.

        A file outside of the root is judged by its names only.
        """
        why = self._current(root, settings).why_not_file(path)
        return None if why == OUTSIDE else why

    def rule(self, root: Path, path: Path, settings: IndexSettings = DEFAULT_INDEX) -> str:
        """The rule by which a file is refused, for people; see `Rules.rule`."""
        return self._current(root, settings).rule(path)

    def _current(self, root: Path, settings: IndexSettings) -> Rules:
        rules = self._rules.get((root, settings))
        if rules is None or not rules.is_current():
            rules = Rules(root, settings)
            if len(self._rules) >= _REMEMBERED:
                del self._rules[next(iter(self._rules))]
            self._rules[root, settings] = rules
        return rules


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


def _levels(paths: Iterable[str]) -> list[tuple[str, bool]]:
    """Each path's directories and itself, and whether it is one of the former."""
    levels = [_down_to(path) for path in paths]
    return [(level, level != parts[-1]) for parts in levels for level in parts]


def _unknown(path: str, known: Container[str]) -> list[str]:
    """Those of a path and its directories that are not known yet, outermost first; "" is."""
    unknown = []
    while path not in known:
        unknown.append(path)
        path = path.rpartition("/")[0]
    return unknown[::-1]


def _ruled(n_bytes: int, *patterns: Patterns | None) -> _Ruled:
    return tuple((n_bytes, found) for found in patterns if found)


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
    return _patterns(lists.load("ignored"), "the built-in list of what is ignored")


def _patterns(lines: Iterable[str], origin: str) -> Patterns | None:
    return Patterns((line.encode("utf-8", "surrogateescape") for line in lines), origin) or None
