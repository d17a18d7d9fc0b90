"""Names of files and folders that hold secrets: the list in `lists/secrets.txt`, what users add, and copies of such."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from indexer import lists
from indexer.patterns import Patterns

# What backups, editors and file managers put around a name: `.env~`, `.#.env`, `#.env#`, `.id_rsa.swp`, `key.pem.bak2`.
_BEFORE = re.compile(rb"\.?#|\.(?=.*\.sw[a-p]\Z)|\.~", re.DOTALL)
_BEHIND = re.compile(
    rb"(?:~|\#|\.(?:bak|backup|old|orig|original|save|saved|sav|sw[a-p]|tmp|temp|copy|prev|rpmsave|dpkg-old)[-_]?\d{0,8}"
    rb"|\.~?\d{1,8}|[ _-]copy| \(\d{1,3}\))\Z"
)
_LAYERS = 4  # a copy of a copy
_LIST = "the built-in list of secrets"


class SecretNames:
    """Whether a name says that what it names is secret, in any letter case. `added`: more patterns for both kinds."""

    def __init__(self, added: Iterable[str] = ()) -> None:
        self._folders, self._files = _built_in()
        lines = (_anywhere(pattern.lower()).encode("utf-8", "replace") for pattern in added)
        self._added = Patterns(lines, "index.secrets")

    def has(self, path: bytes, is_directory: bool) -> bool:
        """`path`: a name, or a path of which the more is known the better."""
        path = path.lower()
        if self._added.verdict(path, is_directory):
            return True
        if is_directory:
            return bool(self._folders.verdict(path, True))
        if self._files.verdict(path, False):
            return True
        return any(self._files.verdict(original, False) for original in _original_paths(path))

    def rule(self, path: bytes, is_directory: bool) -> str:
        """What `has` goes by, for people, "" where it says no: slower."""
        path = path.lower()
        asked = [(self._added, path), (self._folders if is_directory else self._files, path)]
        if not is_directory:
            asked += [(self._files, original) for original in _original_paths(path)]
        found = ((patterns.decisive(name, is_directory), patterns.origin) for patterns, name in asked)
        return next((f"`{line}` in {origin}" for line, origin in found if line), "")


@cache
def _built_in() -> tuple[Patterns, Patterns]:
    """Of folders and of files; read once, since rules are made anew for every change of a file."""
    patterns = [pattern.encode() for pattern in lists.load("secrets")]
    return (
        Patterns((pattern for pattern in patterns if pattern.endswith(b"/")), _LIST),
        Patterns((pattern for pattern in patterns if not pattern.endswith(b"/")), _LIST),
    )


def _anywhere(pattern: str) -> str:
    """A user's pattern, as paths are asked for from the disk's root; `!` would take away, and is a letter here."""
    inner = pattern.strip("/")
    escape = "\\" if pattern.startswith("!") else ""
    begin = "**/" if "/" in inner and not pattern.startswith("**/") else escape
    return begin + (inner + "/" if pattern.endswith("/") else inner)


def _original_paths(path: bytes) -> Iterator[bytes]:
    folder, slash, name = path.rpartition(b"/")
    return (folder + slash + original for original in _originals(name))


def _originals(name: bytes) -> Iterator[bytes]:
    """What a name may be a copy of."""
    for _ in range(_LAYERS):
        begin = _BEFORE.match(name)
        stem = name[begin.end() :] if begin else name
        end = _BEHIND.search(stem)
        shorter = stem[: end.start()] if end else stem
        if shorter == name or not shorter:
            return
        yield shorter
        if begin and begin[0] == b".":
            yield b"." + shorter  # a swap file of a hidden file has one dot only
        name = shorter
