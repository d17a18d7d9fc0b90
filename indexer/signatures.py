"""Signatures of a Python package: what it defines, under which header, in which file and line, and no body of it.

Read from its files, or from bytes that others wrote (`folded`, `unfolded`), which are checked like a stranger's. Pure
but for reading. What begins with one underscore is the package's own, and left out; its private modules are not, for
what is public is often defined in them.
"""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from indexer.installed import Package
from indexer.languages import known_language
from indexer.outliner import outline_within_limits
from indexer.reading import ReadingError, read_inside
from indexer.splitting import DEFAULT_LIMITS, MeasuredLines

SIGNATURES_VERSION = 1
MAX_FOLDED_BYTES = 16_000_000
_MAX_UNFOLDED_BYTES = 64_000_000
MAX_ROWS = 100_000
_MAX_FILE_BYTES = 2_000_000
_MAX_CHARS = 60_000_000  # of a package
_MAX_SECONDS = 60.0  # of the thread's processor time for one, some half of it all; what it has by then is all
_MAX_TEXT, _MAX_NAME, _MAX_PATH = 300, 200, 400  # characters
_KEPT_DUNDERS = frozenset({"__init__", "__call__", "__enter__", "__getitem__"})
_IS_NAME = re.compile(r"[^\W\d]\w*")
_IS_PATH = re.compile(r"(?!/)(?!.*(?:^|/)\.{0,2}(?:/|$))[^\x00-\x1f\\]+\.py")
_CLASS, _VARIABLE = "class", "variable"


@dataclass(frozen=True, slots=True)
class Signature:
    """One definition. `owner`: row of the class that it is in, -1 for none; `line`: 1-based; `text`: its header."""

    path: str  # below the folder that the package lies in
    line: int
    owner: int
    name: str
    text: str


class SignatureTable:
    """What one package defines, looked up by name."""

    def __init__(self, package: str, version: str, rows: Sequence[Signature]) -> None:
        """`package`: the distribution's name."""
        self.package, self.version = package, version
        self.rows = rows
        self._by_name: dict[str, list[int]] = {}
        for row, found in enumerate(rows):
            self._by_name.setdefault(found.name, []).append(row)

    def defining(self, name: str) -> Sequence[int]:
        """Rows that define a name."""
        return self._by_name.get(name, ())

    def member(self, owner: int, name: str) -> int | None:
        """The row that defines a name in a class, itself a row."""
        return next((row for row in self.defining(name) if self.rows[row].owner == owner), None)


def signatures_of(
    package: Package, name: str, stopped: Callable[[], bool] = lambda: False
) -> SignatureTable | None:
    """Read a package. None when stopped. `name`: its distribution's."""
    rows: list[Signature] = []
    until, n_chars = time.thread_time() + _MAX_SECONDS, 0
    for path in package.files():
        if stopped():
            return None
        if time.thread_time() > until or n_chars > _MAX_CHARS or len(rows) > MAX_ROWS:
            break
        with suppress(ReadingError, UnicodeDecodeError):
            content = read_inside(package.place.parent, path, _MAX_FILE_BYTES)
            if len(path) > _MAX_PATH or not _IS_PATH.fullmatch(path):
                continue
            text = content.decode("utf-8").replace("\r\n", "\n")
            n_chars += len(text)
            rows += _signatures_in(path, text, len(rows))
    return SignatureTable(name, package.version, rows[:MAX_ROWS])


def folded(tables: Sequence[SignatureTable]) -> bytes:
    """A package's signatures, of one table for each of its modules, as bytes: the same give the same."""
    modules: dict[str, list[list[Any]]] = {}
    first = 0
    for table in tables:
        for row in table.rows:
            owner = row.owner + first if row.owner >= 0 else -1
            modules.setdefault(row.path, []).append([row.line, owner, row.name, row.text])
        first += len(table.rows)
    about = {"format": SIGNATURES_VERSION, "package": tables[0].package, "version": tables[0].version}
    lines = (_as_json(part) for part in (about, *map(list, modules.items())))
    return zlib.compress("\n".join(lines).encode("utf-8", "replace"), 9)


def unfolded(content: bytes, package: str, version: str) -> SignatureTable:
    """The signatures of that package. Raises ValueError, one clause, where the bytes are not such."""
    about, *modules = _unpacked(content)
    rows: list[Signature] = []
    try:
        told = json.loads(about)
        if (told["format"], told["package"], told["version"]) != (SIGNATURES_VERSION, package, version):
            raise ValueError("signatures of another package")
        for line in modules:  # one by one: whoever types waits for none that is longer than a module
            rows += _rows_of(*json.loads(line))
            if len(rows) > MAX_ROWS:
                raise ValueError("signatures of too many names")
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, RecursionError):
        raise ValueError("signatures that are none") from None
    if any(row.owner >= number for number, row in enumerate(rows)):
        raise ValueError("signatures that do not fit each other")
    return SignatureTable(package, version, rows)


def _unpacked(content: bytes) -> list[str]:
    """Lines, one at least."""
    if len(content) > MAX_FOLDED_BYTES:
        raise ValueError("signatures that are too large")
    unpacking = zlib.decompressobj()
    try:
        plain = unpacking.decompress(content, _MAX_UNFOLDED_BYTES)
        if not unpacking.eof:
            raise ValueError("signatures that are cut, or too large")
        return plain.decode("utf-8").split("\n")
    except (zlib.error, UnicodeDecodeError):
        raise ValueError("signatures that are none") from None


def _rows_of(path: str, listed: Iterable[Sequence[Any]]) -> Iterator[Signature]:
    if len(path) > _MAX_PATH or not _IS_PATH.fullmatch(path):
        raise ValueError("a path that is none")
    for line, owner, name, text in listed:
        is_sound = (
            type(line) is type(owner) is int
            and 0 < line < 10_000_000
            and owner >= -1
            and isinstance(name, str)
            and len(name) <= _MAX_NAME
            and isinstance(text, str)
            and 0 < len(text) <= _MAX_TEXT
            and text.isprintable()
        )
        if not is_sound or not _IS_NAME.fullmatch(name):
            raise ValueError("a signature that is none")
        yield Signature(path, line, owner, name, text)


def _signatures_in(path: str, text: str, first: int) -> list[Signature]:
    """Of one file; `first`: the row that its first one will be. Of what is defined again the last counts: that of an
    overloaded function is the one with a body."""
    known = known_language("python")
    lines = MeasuredLines(text)
    assert known is not None
    outline = outline_within_limits(text, lines, known, DEFAULT_LIMITS, "packages") if lines.rows else None
    found: dict[tuple[int, str], Signature] = {}
    numbers: dict[tuple[int, str], int] = {}
    around: list[tuple[int, int]] = []  # depth and row of the classes around; -1 of one that is left out
    for row, symbol in sorted(outline.symbols, key=lambda told: told[0]) if outline else ():
        while around and around[-1][0] >= symbol.depth:
            around.pop()
        owner = around[-1][1] if around else -1
        if symbol.kind == _VARIABLE:
            continue
        is_shown = _is_public(symbol.name) and (owner >= 0 or not around) and _is_clean(symbol.signature)
        place = owner, symbol.name
        if is_shown:
            numbers.setdefault(place, first + len(numbers))
            found[place] = Signature(path, row + 1, owner, symbol.name, symbol.signature[:_MAX_TEXT])
        if symbol.kind == _CLASS:
            around.append((symbol.depth, numbers[place] if is_shown else -1))
    return list(found.values())


def _as_json(told: object) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _is_public(name: str) -> bool:
    return len(name) <= _MAX_NAME and (not name.startswith("_") or name in _KEPT_DUNDERS)


def _is_clean(text: str) -> bool:
    return bool(text) and text.isprintable()
