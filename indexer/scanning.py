"""What is open at the end of a text: brackets, strings, comments.

Read from the text alone, in one pass: half of what a user types does not parse. `Lexis` says how.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from indexer.lexis import Lexis, StringKind

PAIRS = {")": "(", "]": "[", "}": "{"}
_CLOSERS = {opener: closer for closer, opener in PAIRS.items()}
_LINES, _CHARS = 400, 32_000  # above a cursor that are read: a keystroke waits
_LINE_CHARS = 4_000  # of the cursor's line, where only that is read


@dataclass(frozen=True)
class Opened:
    """What is open. `at`: the offset of its mark, -1 where it was open before the text. `is_code`: a bracket."""

    mark: str
    closes: str  # "\n" for a comment up to the line's end
    at: int
    string: StringKind | None = None
    is_comment: bool = False

    @property
    def is_code(self) -> bool:
        return self.string is None and not self.is_comment


@dataclass(frozen=True)
class Closed:
    """A character that closes what the text did not open; `is_known`: it was open before."""

    char: str
    at: int
    is_known: bool


@dataclass(frozen=True)
class Scan:
    """`opened`: from the outermost; `last`: the offset of the last character that is no space or comment, or -1."""

    opened: tuple[Opened, ...]
    closed: tuple[Closed, ...]
    last: int


@dataclass(frozen=True)
class Above:
    """The lines before a cursor that are read, its own included, and what is open at their end."""

    text: str
    scan: Scan


def read_above(prefix: str, lexis: Lexis) -> Above:
    """Where braces tell, what `opened_before` and `extent_at` both look at."""
    near = near_lines(prefix, lexis)
    return Above(near, scan(near, lexis, recovers=True))


def scan(text: str, lexis: Lexis, opened: Sequence[Opened] = (), *, recovers: bool = False) -> Scan:
    """Reads a text before which this was open. `recovers`: a bracket closes what it can, whatever is open in that, as
    in lines that somebody is still writing."""
    scanner = _Scanner(text, lexis, [replace(one, at=-1) for one in opened], recovers)
    at = 0
    while at < len(text):
        at = scanner.step(at)
    return Scan(tuple(scanner.stack), tuple(scanner.closed), scanner.last)


def opened_before(prefix: str, lexis: Lexis) -> tuple[Opened, ...]:
    """What is open at the end of what stands before a cursor. Without braces: only a string, of the cursor's line."""
    if not lexis.braces:
        line = prefix[prefix.rfind("\n") + 1 :][-_LINE_CHARS:]
        return tuple(one for one in scan(line, lexis).opened if one.string)
    return read_above(prefix, lexis).scan.opened


def near_lines(prefix: str, lexis: Lexis) -> str:
    """The lines before a cursor that are read, and its own: of many those from a definition at the margin on, so that
    the first one is none of a string or a comment."""
    near = prefix[-_CHARS:]
    lines = near.split("\n")
    if len(near) == len(prefix) and len(lines) <= _LINES:
        return prefix
    lines = lines[1:][-_LINES:] if len(lines) > 1 else lines
    words = ((row, line.split(maxsplit=1)[:1]) for row, line in enumerate(lines[:-1]) if line[:1].isalpha())
    first = next((row for row, word in words if word and word[0] in lexis.heads), 0)
    return "\n".join(lines[first:])


class _Scanner:
    """One pass over a text."""

    def __init__(self, text: str, lexis: Lexis, stack: list[Opened], recovers: bool) -> None:
        self.stack = stack
        self.closed: list[Closed] = []
        self.last = -1
        self._text, self._lexis, self._recovers = text, lexis, recovers
        self._marks = _marks(lexis)

    def step(self, at: int) -> int:
        """Reads to behind the next mark; its offset."""
        top = self.stack[-1] if self.stack else None
        if top is None or top.is_code:
            return self._code(at)
        return self._comment(top, at) if top.is_comment else self._string(top, top.string, at)

    def _code(self, at: int) -> int:
        found = self._marks.search(self._text, at)
        gap = self._text[at : found.start() if found else len(self._text)].rstrip()
        if gap.strip():
            self.last = at + len(gap) - 1
        if found is None:
            return len(self._text)
        mark, kind = found.group(), found.lastgroup or ""
        if kind == "line":
            self.stack.append(Opened(mark, "\n", found.start(), is_comment=True))
        elif kind.startswith("block"):
            closes = self._lexis.block_comments[int(kind[5:])][1]
            self.stack.append(Opened(mark, closes, found.start(), is_comment=True))
        else:
            self.last = found.end() - 1
            self._read(mark, kind, found)
        return found.end()

    def _read(self, mark: str, kind: str, found: re.Match[str]) -> None:
        if mark in _CLOSERS:
            self.stack.append(Opened(mark, _CLOSERS[mark], found.start()))
        elif mark in PAIRS:
            self._close(mark, found.start())
        elif kind.startswith("string"):
            string = self._lexis.strings[int(kind[6:])]
            inner = found.group(found.re.groupindex[kind] + 1) if "{}" in string.closes else ""
            closes = string.closes.replace("{}", inner)
            self.stack.append(Opened(mark, closes, found.start(), string))

    def _close(self, mark: str, at: int) -> None:
        depth = len(self.stack) - 1
        if self._recovers:
            while depth >= 0 and (not self.stack[depth].is_code or self.stack[depth].closes != mark):
                depth -= 1
        is_match = depth >= 0 and self.stack[depth].is_code and self.stack[depth].closes == mark
        is_known = is_match and self.stack[depth].at < 0
        if is_match:
            del self.stack[depth:]
        if is_known or not is_match:
            self.closed.append(Closed(mark, at, is_known))

    def _comment(self, top: Opened, at: int) -> int:
        end = self._text.find(top.closes, at)
        nested = self._text.find(top.mark, at) if self._lexis.nested_comments and top.closes != "\n" else -1
        if 0 <= nested < end:
            self.stack.append(replace(top, at=nested))
            return nested + len(top.mark)
        if end < 0:
            return len(self._text)
        self.stack.pop()
        if top.closes == "\n":
            return end
        self._note(top, end)
        return end + len(top.closes)

    def _string(self, top: Opened, string: StringKind | None, at: int) -> int:
        assert string is not None
        for found in _inner_marks(string, top.closes).finditer(self._text, at):
            mark = found.group()
            if mark == top.closes:
                self.last = found.end() - 1
                self.stack.pop()
                self._note(top, found.start())
                return found.end()
            if string.hole and mark == string.hole:
                self.stack.append(Opened(mark, _CLOSERS[mark[-1]], found.start()))
                return found.end()
            if mark == "\n":  # it was none: an apostrophe
                self.stack.pop()
                return found.start()
        self.last = len(self._text) - 1
        return len(self._text)

    def _note(self, top: Opened, at: int) -> None:
        """What was open before the text is closed."""
        if top.at < 0:
            self.closed += [Closed(char, at + n, True) for n, char in enumerate(top.closes)]


@cache
def _marks(lexis: Lexis) -> re.Pattern[str]:
    """Everything that changes what is open, in code."""
    line = "|".join(map(re.escape, lexis.line_comments))
    marks = [f"(?P<line>{line})"] if line else []
    marks += [f"(?P<block{n}>{re.escape(begin)})" for n, (begin, _) in enumerate(lexis.block_comments)]
    marks += [f"(?P<literal>{lexis.literals})"] if lexis.literals else []
    marks += [f"(?P<string{n}>{string.opens})" for n, string in enumerate(lexis.strings)]
    return re.compile("|".join([*marks, r"[()\[\]{}]"]))


@lru_cache(maxsize=64)
def _inner_marks(string: StringKind, closes: str) -> re.Pattern[str]:
    """What ends a string, and what in it does not count."""
    marks = [r"\\[\s\S]"] if string.escapes else []
    marks += [re.escape(string.hole)] if string.hole else []
    marks += [re.escape(closes)] + ([] if string.lines else [r"\n"])
    return re.compile("|".join(marks))
