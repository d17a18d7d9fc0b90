"""The only code that opens files which others may have made: regular ones, whole or not at all, never through a link.

A repository is data of strangers. A file in it may be a link to a key, a pipe that never ends or a device that never
stops, and may become one between two looks. So type and size are asked of the open descriptor and not of the name, and
a name is opened one directory at a time. As no part of a path inside a folder is a link, that path is the real one:
rules that hold for the name hold for what is read.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath

SYMLINK = "symbolic link"
NOT_A_FILE = "not a regular file"
TOO_LARGE = "too large"
VANISHED = "vanished while read"
UNREADABLE = "unreadable"

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)


class ReadingError(OSError):
    """A file does not count; `reason` is one of the words above."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_inside(root: Path, path: str, max_bytes: int) -> bytes:
    """The bytes of a file by its posix path below `root`, whose own path may hold links, but nothing below it.

    Raises ReadingError, TOO_LARGE where there are more than `max_bytes`; never blocks on a pipe.
    """
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or PurePosixPath(path).is_absolute():
        raise ReadingError(NOT_A_FILE)
    try:
        return _content(_open_below(root, parts), max_bytes)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _named(error, root.joinpath(*parts)) from None


def read_regular(file: Path, max_bytes: int, *, follow_link: bool = False) -> bytes:
    """The bytes of one file; the directories above it are trusted. `follow_link`: for a user's own configuration,
    which often is a link. Raises ReadingError as `read_inside` does."""
    try:
        return _content(os.open(file, _FLAGS | (0 if follow_link else _NO_LINK)), max_bytes)
    except (OSError, ValueError) as error:
        raise _named(error, file) from None


def _open_below(root: Path, parts: tuple[str, ...]) -> int:
    if os.open not in os.supports_dir_fd:  # Windows, where links need a right that few have
        place = os.path.realpath(root.joinpath(*parts))
        if place != os.path.join(os.path.realpath(root), *parts):
            raise ReadingError(SYMLINK)
        return os.open(place, _FLAGS)
    folder = os.open(root, _FLAGS | _DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FLAGS | _DIRECTORY | _NO_LINK, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(parts[-1], _FLAGS | _NO_LINK, dir_fd=folder)
    finally:
        os.close(folder)


def _content(descriptor: int, max_bytes: int) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ReadingError(NOT_A_FILE)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ReadingError(TOO_LARGE)
    return content


def _named(error: Exception, file: Path) -> ReadingError:
    """What went wrong in our words: systems differ in theirs (a link is ELOOP, EMLINK or ENOTDIR)."""
    if isinstance(error, ReadingError):
        return error
    if isinstance(error, FileNotFoundError):
        return ReadingError(VANISHED)
    with suppress(OSError, ValueError):
        if file.is_symlink() or any(above.is_symlink() for above in file.parents):
            return ReadingError(SYMLINK)
        if not stat.S_ISREG(file.lstat().st_mode):
            return ReadingError(NOT_A_FILE)  # a directory, or a socket, which cannot be opened
    return ReadingError(UNREADABLE)
