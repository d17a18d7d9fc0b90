"""The files that say what is ignored, read once each: what was read, what was wrong, and whether it has changed since.

Those of a repository are written by strangers: regular files only, never through a link (git follows none either),
none larger than a limit. Those of the user may be links, as the files of a home directory often are.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from indexer.patterns import Patterns
from indexer.reading import NOT_A_FILE, SYMLINK, ReadingError, read_inside, read_regular

MAX_BYTES = 1_048_576
BAD_PATTERN = "ignore pattern without sense"
_NAMED_LINES = 10  # of one file; the rest is as wrong

_Stamp = tuple[int, ...] | None  # None: not there


class RuleFiles:
    """Remembers what it read; make a new one to read again."""

    def __init__(self) -> None:
        self._stamps: dict[tuple[str, bool], _Stamp] = {}
        self._problems: dict[str, str] = {}

    @property
    def problems(self) -> dict[str, str]:
        """file, or file:line -> why it does not count."""
        return dict(self._problems)

    def is_current(self) -> bool:
        """Whether the files, and those that were not there, are as they were when they were read."""
        return all(_stamp(file, of_user) == stamp for (file, of_user), stamp in self._stamps.items())

    def patterns(
        self, file: str | Path, *, inside: Path | None = None, of_user: bool = False
    ) -> Patterns | None:
        """What an ignore file says, None where it says nothing."""
        content = self.content(file, inside=inside, of_user=of_user)
        if not content:
            return None
        lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        patterns = Patterns((line.removesuffix(b"\r") for line in lines), str(file))
        for number in patterns.bad[:_NAMED_LINES]:
            self._problems[f"{file}:{number}"] = BAD_PATTERN
        return patterns or None

    def content(self, file: str | Path, *, inside: Path | None = None, of_user: bool = False) -> bytes:
        """A file's bytes, b"" where it is not there or does not count. `inside`: no directory between is a link.

        The type is asked for before it is opened, as opening alone makes some devices do something.
        """
        key = (str(file), of_user)
        stamp = self._stamps[key] = _stamp(*key)
        if stamp is None:
            return b""
        try:
            if stat.S_ISLNK(stamp[0]) or not stat.S_ISREG(stamp[0]):
                raise ReadingError(SYMLINK if stat.S_ISLNK(stamp[0]) else NOT_A_FILE)
            if inside is not None:
                return read_inside(inside, Path(file).relative_to(inside).as_posix(), MAX_BYTES)
            return read_regular(Path(file), MAX_BYTES, follow_link=of_user)
        except ReadingError as error:
            if not stat.S_ISDIR(stamp[0]):  # `.git` mostly is one
                self._problems[str(file)] = error.reason
            return b""


def _stamp(file: str, follow_link: bool) -> _Stamp:
    """What changes when a file is written or replaced; its type comes first."""
    try:
        status = os.stat(file, follow_symlinks=follow_link)
    except (OSError, ValueError):
        return None
    return status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
