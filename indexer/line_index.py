"""Where did these lines stand around a place? Every line of a repository by the lines next to it.

A line that is to be written often stands elsewhere already, between the same neighbors. Lines are kept without
indentation, blank ones left out; a file is the sequence of its lines' hashes, sorted once by what precedes and once by
what follows (`SuffixIndex`), so that a look-up does not grow with the repository.

Languages of one kin share their lines, such as TypeScript and JavaScript: a document is told what those and plain text
have, not how Python goes on behind a line that it has in common with Go. What is no language of ours is told of all.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.imports import ImportIndex
from indexer.languages import LANGUAGES, TEXT, known_language, language_of
from indexer.suffix_index import SuffixIndex

# What a hash begins with: the kins in the order in which they are listed, text behind them.
_SALTS = {kin: n for n, kin in enumerate(dict.fromkeys([*(one.kin for one in LANGUAGES), TEXT]))}
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
        self._kins: tuple[str, ...] = (TEXT,)  # of all files that were ever here
        self._following = SuffixIndex()  # hashes in order: what follows these lines?
        self._preceding = SuffixIndex()  # and in reverse: what precedes them?

    def update(self, texts: Mapping[str, str | None]) -> None:
        """Files have these texts now; None: it is gone."""
        changed = {path: lines_of(text) for path, text in texts.items() if text is not None}
        kins = {path: kin_of(path) for path in changed}
        hashes = {
            path: np.array([line_hash(line, kins[path]) for line in lines.texts], np.int32)
            for path, lines in changed.items()
        }
        gone: dict[str, np.ndarray | None] = dict.fromkeys(texts.keys() - changed.keys())
        with self._changing:
            # A reader that finds a place in an index must find its file: what is gone leaves the mapping last.
            self._files = {**self._files, **changed}
            self._kins = (TEXT, *sorted({*self._kins, *kins.values()} - {TEXT}))
            self._following.update({**gone, **hashes})
            self._preceding.update({**gone, **{path: ids[::-1] for path, ids in hashes.items()}})
            self._files = {path: lines for path, lines in self._files.items() if path not in gone}
            self.imports.update({path: (lines.texts, lines.columns) for path, lines in changed.items()}, gone)

    def between(
        self, before: Sequence[str], after: Sequence[str], *, limit: int = 96, without: str = ""
    ) -> list[LinePlace]:
        """Lines that stand behind the last of `before` or in front of the first of `after` (stripped lines, in order).

        At most `limit` of each kind and kin, those with more neighbors in common first. `without`: a path that does not
        count, and whose language decides which others do.
        """
        files = self._files
        places = [
            place
            for kin in self._heard_of(without)
            for place in self._between(kin, before, after, limit, without)
        ]
        return [
            LinePlace(path, files[path], row)
            for path, row in dict.fromkeys(places)
            if _line(files, path, row)
        ]

    def _between(
        self, kin: str, before: Sequence[str], after: Sequence[str], limit: int, without: str
    ) -> list[tuple[str, int]]:
        files = self._files
        behind = [line_hash(line, kin) for line in before[-_LONGEST:]]
        ahead = [line_hash(line, kin) for line in reversed(after[:_LONGEST])]
        found = self._following.positions(behind, longest=_LONGEST, limit=limit, without=without)
        places = [(path, row) for path, row in found if _line(files, path, row - 1) == before[-1]]
        found = self._preceding.positions(ahead, longest=_LONGEST, limit=limit, without=without)
        mirrored = [(path, len(files[path].texts) - 1 - at) for path, at in found if path in files]
        return places + [(path, row) for path, row in mirrored if _line(files, path, row + 1) == after[0]]

    def _heard_of(self, path: str) -> tuple[str, ...]:
        """The kins whose lines a document is told of, its own first."""
        kin = kin_of(path)
        return self._kins if kin == TEXT else (kin, TEXT)

    def containing(
        self, tails: Sequence[str], paths: Sequence[str], *, limit: int = 64, beside: str = ""
    ) -> list[LinePlace]:
        """Lines of the files `paths` in which one of `tails` stands, each the end of the one before it; at most
        `limit`, those with the longest tail first, and of the same by path and row as they come. `beside`: the path
        whose language decides which files count, as in `between`.

        A file is searched as one text: most have none of it, and there are many.
        """
        files = self._files
        heard_of = self._heard_of(beside)
        counted = (path for path in paths if path in files and kin_of(path) in heard_of)
        texts = {path: "\n".join(files[path].texts) for path in counted}
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


def kin_of(path: str) -> str:
    """What the lines of a path's language are shared with."""
    known = known_language(language_of(path))
    return known.kin if known else TEXT


def line_hash(line: str, kin: str) -> int:
    """31 bits: a token that `SuffixIndex` takes. The same line of another kin is another token, so that a look-up finds
    as much in a repository of many languages as in one of its own alone."""
    return zlib.crc32(line.encode("utf-8", "replace"), _SALTS[kin]) & 0x7FFFFFFF
