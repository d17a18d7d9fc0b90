"""Whether Python text may stand at a cursor: as much of it as, completed somehow, parses behind the lines above.

Only a few lines are parsed. Where they do not parse without the text, nothing is said against it: half of what a user
types is not Python yet, and other versions of Python are.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from indexer.extents import columns
from indexer.outliner import parse_within_limits

_LINES, _CHARS = 100, 4_000  # above the cursor that are parsed: a keystroke waits
_LONGEST = 2_000  # characters of a text that is judged, and of the cursor's line
_MOST_PARSED = 60_000  # characters, all in all; then nothing is said
_KNOWN_CHARS = 64_000  # above the cursor, in which a name is known
_TRAILING = ")]}:,"  # what a line may have too much of at its end,
_MOST_TRAILING = 3  # and how many of them
_PAIRS = {")": "(", "]": "[", "}": "{"}
_CLOSERS = {opener: closer for closer, opener in _PAIRS.items()}
_FOLLOWS = {  # what must stand above, just as far in
    "elif": ("if", "elif"),
    "else": ("if", "elif", "for", "async", "while", "try", "except"),
    "except": ("try", "except"),
    "finally": ("try", "except", "else"),
    "case": ("case",),
}
# What a statement that has only begun may go on with, before what closes its string and brackets and behind that.
_GOES_ON = (
    ("", ""),
    ("", ":"),
    (" _", ""),
    ("}", ""),  # of an f-string
    (" else _", ""),
    ("", "():"),
    ("", " _():"),
    ("", " in _:"),
    ("", " import _"),
    (" in _", ""),
    (" _", ":"),
    ("", " else _"),
)
_MOST_LIKELY = 5  # the first of them, of which a shorter text needs one
_DEFINITION = re.compile(r"\s*(?:async\s+def\b|def\b|class\b|@)")
_MARK = re.compile(r"\\[^\n]|\"\"\"|'''|[\"'()\[\]{}#\n]")
_WORD = re.compile(r"\w+")


@dataclass
class _Open:
    """What is open at the end of a text that is read from its beginning: brackets, and a string or comment."""

    brackets: list[str] = field(default_factory=list)
    quote: str = ""

    def read(self, text: str) -> _Open:
        for found in _MARK.finditer(text):
            self._read(found.group())
        return self

    def _read(self, mark: str) -> None:
        if self.quote:
            is_end = mark == self.quote or (mark == "\n" and len(self.quote) == 1)
            self.quote = "" if is_end else self.quote
        elif mark[0] in "\"'#":
            self.quote = "\n" if mark == "#" else mark
        elif mark in _CLOSERS:
            self.brackets.append(mark)
        elif self.brackets and self.brackets[-1] == _PAIRS.get(mark):
            self.brackets.pop()


class _CannotTellError(Exception):
    """It would take too long."""


@dataclass
class _Judge:
    """Parses texts, as long as that does not take too long. Its methods raise _CannotTellError."""

    n_left: int = _MOST_PARSED

    def may_stand(self, text: str, n_tried: int = len(_GOES_ON)) -> bool:
        """Whether the text parses, however it goes on."""
        return any(self.parses(text, *goes_on) for goes_on in _GOES_ON[:n_tried])

    def parses(self, text: str, inside: str, behind: str) -> bool:
        """Whether the text does, gone on with so and everything in it closed."""
        whole = "".join(_completed(text, inside, behind))
        self.n_left -= len(whole)
        if self.n_left < 0:
            raise _CannotTellError
        tree = parse_within_limits(whole.encode("utf-8", "replace"), "python")
        if tree is None:
            raise _CannotTellError
        return not tree.root_node.has_error


def sound_part(before: str, text: str, rest: str) -> str:
    """`text` as far as it may stand between `before` and `rest`, which is left of the cursor's line; "" for not at all.

    Lines from the first on that may not are left out. Of a first one what closes nothing at its end is, else all but
    the name that it completes, if the document or Python has that.
    """
    window, here = _window(before), before[before.rfind("\n") + 1 :]
    lines = text.split("\n")
    if window is None or max(len(text), len(here), len(rest)) > _LONGEST:
        return text
    if _may_follow_what_is_above(here + lines[0], lines[1:], window, before):
        return text
    begun, judge = "\n".join([*window, here]), _Judge()
    try:
        if judge.may_stand(begun + text + rest) or not judge.parses("\n".join(window), *_GOES_ON[0]):
            return text
        for n_lines in range(len(lines) - 1, 0, -1):
            part = "\n".join(lines[:n_lines])
            if judge.may_stand(begun + part):
                return part
        shorter = _shorter(lines[0], before)
        return next((part for part in shorter if judge.may_stand(begun + part + rest, _MOST_LIKELY)), "")
    except _CannotTellError:
        return text


def _shorter(line: str, before: str) -> Iterator[str]:
    """What is left without the end of a line that may not stand so."""
    part = line
    for _ in range(_MOST_TRAILING):
        if part[-1:] not in tuple(_TRAILING):
            break
        part = part[:-1].rstrip()
        yield part
    begun, word = _WORD.match(before[:-_LONGEST:-1]), _WORD.match(line)
    if begun and word:
        name = begun.group()[::-1] + word.group()
        if hasattr(builtins, name) or name in _WORD.findall(before[-_KNOWN_CHARS:]):
            yield word.group()


def _window(before: str) -> list[str] | None:
    """The lines above the cursor's from the least indented definition close to it; None where there is none, and more
    above, so that a bracket may be open there."""
    lines = before[-_CHARS:].split("\n")[:-1]
    is_whole = len(before) <= _CHARS and len(lines) <= _LINES
    near = lines if is_whole else lines[1:][-_LINES:]
    starts = [row for row, line in enumerate(near) if _DEFINITION.match(line)]
    if not is_whole:
        if not starts:
            return None
        near = near[min(starts, key=lambda row: (columns(near[row]), -row)) :]
    first = next(filter(str.strip, near), "")
    return (
        ["if True:", *near] if first[:1].isspace() else near
    )  # an indented beginning would not parse by itself


def _may_follow_what_is_above(first: str, others: list[str], window: list[str], before: str) -> bool:
    """Whether a line goes on with a statement (`else`) that may have begun above the window."""
    if len(before) <= _CHARS and before.count("\n") <= _LINES:
        return False
    for line in (first, *others):
        word = _WORD.match(line.lstrip())
        openers = _FOLLOWS.get(word.group(), ()) if word else ()
        if openers and not any(
            columns(above) == columns(line) and above.lstrip().startswith(openers) for above in window
        ):
            return True
    return False


def _completed(text: str, inside: str, behind: str) -> Iterator[str]:
    opened = _Open().read(text)
    lines = text.split("\n")
    deeper = "\n" + " " * (1 + max(map(columns, lines))) + "pass"
    yield text + inside + opened.quote
    yield from (_CLOSERS[bracket] for bracket in reversed(opened.brackets))
    yield behind
    last = next(filter(str.strip, reversed(lines)), "")
    if behind.endswith(":") or (not opened.brackets and last.partition("#")[0].rstrip().endswith(":")):
        yield deeper
    elif last.lstrip().startswith("@") and not opened.brackets:
        yield f"\n{' ' * columns(last)}def _():{deeper}"
    yield "\n"
