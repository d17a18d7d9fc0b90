"""Where did these lines stand around a place? Every line of a repository by the lines next to it.

A line that is to be written often stands elsewhere already, between the same neighbors. Lines are kept without
indentation, blank ones left out; a file is the sequence of its lines' hashes, sorted once by what precedes and once by
what follows (`SuffixIndex`), so that a look-up does not grow with the repository.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.imports import ImportIndex
from indexer.suffix_index import SuffixIndex

_LONGEST = 12  # neighboring lines that a look-up compares


@dataclass(frozen=True)
class Lines:
    """The lines of a text that are not blank: stripped, with column (1 per character) and line (0-based)."""

    texts: tuple[str, ...]
    columns: tuple[int, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class LinePlace:
    """A line in a file: `lines.texts[row]`."""

    path: str
    lines: Lines
    row: int


def lines_of(text: str, first: int = 0) -> Lines:
    """`first`: the number of the text's first line."""
    found = [(line.strip(), line, n) for n, line in enumerate(text.split("\n"), first)]
    kept = [(bare, len(line) - len(line.lstrip()), n) for bare, line, n in found if bare]
    texts, columns, numbers = zip(*kept, strict=True) if kept else ((), (), ())
    return Lines(texts, columns, numbers)


class LineIndex:
    """Lines by path. One thread may change it while others search; a search may see a file half replaced."""

    def __init__(self) -> None:
        self.imports = ImportIndex()
        self._changing = threading.Lock()
        self._files: Mapping[str, Lines] = {}
        self._following = SuffixIndex()  # hashes in order: what follows these lines?
        self._preceding = SuffixIndex()  # and in reverse: what precedes them?

    def update(self, texts: Mapping[str, str | None]) -> None:
        """Files have these texts now; None: it is gone."""
        changed = {path: lines_of(text) for path, text in texts.items() if text is not None}
        hashes = {
            path: np.array([line_hash(line) for line in lines.texts], np.int32)
            for path, lines in changed.items()
        }
        gone: dict[str, np.ndarray | None] = dict.fromkeys(texts.keys() - changed.keys())
        with self._changing:
            # A reader that finds a place in an index must find its file: what is gone leaves the mapping last.
            self._files = {**self._files, **changed}
            self._following.update({**gone, **hashes})
            self._preceding.update({**gone, **{path: ids[::-1] for path, ids in hashes.items()}})
            self._files = {path: lines for path, lines in self._files.items() if path not in gone}
            self.imports.update({path: (lines.texts, lines.columns) for path, lines in changed.items()}, gone)

    def between(
        self, before: Sequence[str], after: Sequence[str], *, limit: int = 96, without: str = ""
    ) -> list[LinePlace]:
        """Lines that stand behind the last of `before` or in front of the first of `after` (stripped lines, in order).

        At most `limit` of each kind, those with more neighbors in common first. `without`: a path that does not count.
        """
        files = self._files
        behind = [line_hash(line) for line in before[-_LONGEST:]]
        ahead = [line_hash(line) for line in reversed(after[:_LONGEST])]
        found = self._following.positions(behind, longest=_LONGEST, limit=limit, without=without)
        places = [(path, row) for path, row in found if _line(files, path, row - 1) == before[-1]]
        found = self._preceding.positions(ahead, longest=_LONGEST, limit=limit, without=without)
        mirrored = [(path, len(files[path].texts) - 1 - at) for path, at in found if path in files]
        places += [(path, row) for path, row in mirrored if _line(files, path, row + 1) == after[0]]
        return [
            LinePlace(path, files[path], row)
            for path, row in dict.fromkeys(places)
            if _line(files, path, row)
        ]

    def containing(self, tails: Sequence[str], paths: Sequence[str], *, limit: int = 64) -> list[LinePlace]:
        """Lines of the files `paths` in which one of `tails` stands, each the end of the one before it; at most
        `limit`, those with the longest tail first, and of the same by path and row as they come.

        A file is searched as one text: most have none of it, and there are many.
        """
        files = self._files
        texts = {path: "\n".join(files[path].texts) for path in paths if path in files}
        known = {path: _n_known(tails, text) for path, text in texts.items()}
        found: dict[tuple[str, int], LinePlace] = {}
        for n_left, tail in zip(range(len(tails), 0, -1), tails, strict=True):
            for path, text in texts.items():
                for row in _rows_with(tail, text) if known[path] >= n_left else ():
                    found.setdefault((path, row), LinePlace(path, files[path], row))
                    if len(found) >= limit:
                        return list(found.values())
        return list(found.values())


def _n_known(tails: Sequence[str], text: str) -> int:
    """How many of the tails a text has, from the last and shortest on: each is the end of the one before it."""
    n = 0
    while n < len(tails) and tails[-1 - n] in text:
        n += 1
    return n


def _rows_with(piece: str, text: str) -> Iterator[int]:
    """The lines of a text that a piece of a line stands in."""
    row = last = 0
    at = text.find(piece)
    while at >= 0:
        row += text.count("\n", last, at)
        yield row
        last = at
        end = text.find("\n", at)
        at = text.find(piece, end) if end >= 0 else -1


def _line(files: Mapping[str, Lines], path: str, row: int) -> str | None:
    """A line as it is now: hashes collide, and a file may have changed since it was sorted."""
    texts = files[path].texts if path in files else ()
    return texts[row] if 0 <= row < len(texts) else None


def line_hash(line: str) -> int:
    """31 bits: a token that `SuffixIndex` takes."""
    return zlib.crc32(line.encode("utf-8", "replace")) & 0x7FFFFFFF
