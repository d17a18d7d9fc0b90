"""Which files of a repository are left out on purpose: ignore rules and secrets.

Ignore rules are git's, matched by `pathspec`: nested .gitignore files, the deeper one first; an excluded
directory is not entered. In order of precedence: secrets (nothing overrides them), the user's `ignore` setting,
.hefignore (nested; `!` brings back what git ignores), .gitignore, .git/info/exclude, git's own excludes of the user
(core.excludesFile), the built-in list. A folder inside a work tree obeys the files above it as well.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePath, PurePosixPath

from pathspec import GitIgnoreSpec

from indexer import git, lists
from indexer.settings import DEFAULT_INDEX, IndexSettings

# Why nothing is completed in a file.
SECRET = "secret"
IGNORED = "ignored"

_Stamp = tuple[int, int] | None  # size and time of change, None: not there


class Rules:
    """The ignore rules of one repository, each ignore file read once: make a new one to see changes."""

    def __init__(self, root: Path, settings: IndexSettings = DEFAULT_INDEX) -> None:
        self._user = _spec(settings.ignore)
        deny = (fnmatch.translate(pattern.lower()) for pattern in (*lists.load("secrets"), *settings.secrets))
        self._secret = re.compile("|".join(deny))
        self._files: dict[Path, GitIgnoreSpec | None] = {}
        self._stamps: dict[Path, _Stamp] = {}
        self._chains: dict[str, list[tuple[str, GitIgnoreSpec]]] = {}
        root = root.resolve()
        self._top = git.work_tree(root) or root
        self._inside = _with_slash(root.relative_to(self._top).as_posix())
        self._excludes = git.excludes(self._top)
        if any(self._is_ignored(directory, True) for directory in _down_to(self._inside)):
            # Whoever opens an ignored folder (a virtual environment's, a build's) wants to see what is in it.
            self._top, self._inside, self._excludes = root, "", []
            self._chains.clear()

    def is_secret(self, name: str) -> bool:
        """Whether a file or directory name is on the deny list, in any letter case."""
        return self._secret.match(name.lower()) is not None

    def is_ignored(self, path: str, is_directory: bool) -> bool:
        """Whether a path is ignored by itself; its directories are taken not to be (a walk does not enter those)."""
        return self._is_ignored(self._inside + path, is_directory)

    def excludes(self, path: str) -> bool:
        """Whether a file is out, by its own name or by any directory above it: what a walk would find out."""
        return self.why_not(path) is not None

    def why_not(self, path: str) -> str | None:
        """SECRET or IGNORED for a file that is out, None for one that counts."""
        if any(self.is_secret(part) for part in PurePosixPath(path).parts):
            return SECRET
        above = any(self.is_ignored(directory, True) for directory in _down_to(path.rpartition("/")[0]))
        return IGNORED if above or self.is_ignored(path, False) else None

    def is_current(self) -> bool:
        """Whether the ignore files are still as they were when they were read."""
        return all(_stamp(file) == stamp for file, stamp in self._stamps.items())

    def _is_ignored(self, path: str, is_directory: bool) -> bool:
        """The same of a path that is relative to the work tree's top."""
        directory, _, name = path.rpartition("/")
        if name == ".git":
            return True
        asked = path + "/" if is_directory else path
        for prefix, spec in self._chain(directory):
            verdict = spec.check_file(asked[len(prefix) :]).include
            if verdict is not None:
                return bool(verdict)
        return False

    def _chain(self, directory: str) -> list[tuple[str, GitIgnoreSpec]]:
        """What decides about entries of a directory, most important first: (prefix to take off the path, patterns)."""
        chain = self._chains.get(directory)
        if chain is None:
            inward = ["", *(_with_slash(above) for above in _down_to(directory))][::-1]
            nested = [(prefix, self._top / prefix / name) for name in (".hefignore", ".gitignore") for prefix in inward]
            files = [*nested, *(("", file) for file in self._excludes)]
            specs = [("", self._user), *((prefix, self._file(file)) for prefix, file in files), ("", _built_in())]
            chain = [(prefix, spec) for prefix, spec in specs if spec is not None]
            self._chains[directory] = chain
        return chain

    def _file(self, file: Path) -> GitIgnoreSpec | None:
        if file not in self._files:
            self._stamps[file] = _stamp(file)
            try:
                lines = file.read_text("utf-8", "replace").splitlines()
            except OSError:
                lines = []
            self._files[file] = _spec(lines)
        return self._files[file]


class Gate:
    """Whether completion may run in a file, asked at every keystroke: ignore files are read when they have changed."""

    def __init__(self) -> None:
        self._rules: dict[tuple[Path, IndexSettings], Rules] = {}

    def refusal(self, root: Path, path: Path, settings: IndexSettings = DEFAULT_INDEX) -> str | None:
        """SECRET (by the file's own or its target's name) or IGNORED; None: it may.

        A file outside of the root is judged by its name only.
        """
        rules = self._rules.get((root, settings))
        if rules is None or not rules.is_current():
            rules = self._rules[root, settings] = Rules(root, settings)
        if rules.is_secret(path.name) or rules.is_secret(os.path.basename(os.path.realpath(path))):
            return SECRET
        relative = relative_path(root, path)
        return rules.why_not(relative) if relative is not None else None


def is_completable(root: Path, path: Path, settings: IndexSettings = DEFAULT_INDEX) -> bool:
    """Whether completion may run in a file, asked once; see `Gate`."""
    return Gate().refusal(root, path, settings) is None


def relative_path(root: Path, path: Path) -> str | None:
    """`path` relative to `root` in posix form, "" for the root itself; None when it lies outside.

    Links above the file are resolved, so that a file has one name whichever way an editor or a watcher came to it.
    """
    base, place = os.path.realpath(root), os.path.join(os.path.realpath(path.parent), path.name)
    if path.name == ".." or os.path.realpath(place) == base:
        place = os.path.realpath(place)
    try:
        relative = PurePath(place).relative_to(base).as_posix()
    except ValueError:
        return None
    return "" if relative == "." else relative


def _down_to(path: str) -> list[str]:
    """A path's directories and itself, outermost first; none of ""."""
    parts = PurePosixPath(path).parts
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def _with_slash(path: str) -> str:
    return "" if path in ("", ".") else path + "/"


def _stamp(file: Path) -> _Stamp:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


@cache
def _built_in() -> GitIgnoreSpec | None:
    return _spec(lists.load("ignored"))


def _spec(lines: Iterable[str]) -> GitIgnoreSpec | None:
    """Compile patterns; one that does not compile costs itself only, as in git."""
    kept = []
    for line in lines:
        try:
            kept.append(GitIgnoreSpec.from_lines([line]).patterns[0])
        except (ValueError, IndexError):
            continue
    return GitIgnoreSpec(kept) if any(pattern.include is not None for pattern in kept) else None
