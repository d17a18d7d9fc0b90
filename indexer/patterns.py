"""Patterns as git reads them in ignore files, matched in time that grows with the length of pattern and path only.

A repository's ignore files are written by strangers, and a pattern like `*a*a*a*b` takes years in a matcher that tries
all ways to spread its stars. No star needs a second try: where a run of fixed characters is found first is as good as
any later place, so each star with the run behind it becomes an atomic group that is never entered again. The same
holds for `**/` and the whole directories behind it. Bytes are matched, as by git: `?` is one byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

MAX_PATTERN_BYTES = 4_096  # no path that a system opens is longer
MAX_EXPRESSIONS = 2_000  # patterns that need an expression, in one file: more would take seconds to compile
_JOINED_BYTES = 8_192  # patterns in one expression: the longest that one match keeps other threads waiting
_NAMED_BYTES = 100  # of a line, when it is named
_SPECIAL = frozenset(b"*?[\\")
_STAR, _ACROSS, _REST = b"*", b"**/", b"**"  # tokens: within a directory, any directories, whatever is left
_NAMED_CLASSES = {
    b"alnum": rb"[0-9A-Za-z]", b"alpha": rb"[A-Za-z]", b"blank": rb"[ \t]", b"cntrl": rb"[\x00-\x1f\x7f]",
    b"digit": rb"[0-9]", b"graph": rb"[!-~]", b"lower": rb"[a-z]", b"print": rb"[ -~]",
    b"punct": rb"[!-/:-@\[-`{-~]", b"space": rb"[ \t-\r]", b"upper": rb"[A-Z]", b"xdigit": rb"[0-9A-Fa-f]",
}  # fmt: skip


class BadPatternError(ValueError):
    """What git takes without a word though its author meant something else: no path can match it, or a range is
    reversed (`[z-a]` is only `z` to git)."""


@dataclass(frozen=True)
class _Pattern:
    text: bytes  # without `!`, without the slash that asks for a directory
    brings_back: bool
    directories_only: bool
    on_name: bool  # without a slash it is about the name only, in whatever directory
    ends: bool = False  # it is what names or paths end with: "*.py" as ".py", "**/a/b" as "/a/b"
    expression: bytes = b""  # of the whole name or path, where there are other wildcards
    line: bytes = b""  # as it was written


class Patterns:
    """The lines of one ignore file; one that makes no sense is left out, and named in `bad` by its number from 1.

    `origin`: where they stand, for people."""

    def __init__(self, lines: Iterable[bytes], origin: str = "") -> None:
        self.origin = origin
        parsed: list[_Pattern] = []
        bad: list[int] = []
        expressions = 0
        for number, line in enumerate(lines, 1):
            try:
                pattern = _parse(line, expressions < MAX_EXPRESSIONS)
            except BadPatternError:
                bad.append(number)
                continue
            if pattern is not None:
                parsed.append(replace(pattern, line=line.strip()))
                expressions += bool(pattern.expression)
        self.bad = tuple(bad)
        self._parsed = parsed
        blocks = groupby(reversed(parsed), key=lambda pattern: pattern.brings_back)
        self._blocks = [(not brings_back, _Block(list(block))) for brings_back, block in blocks]

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def verdict(self, path: bytes, is_directory: bool) -> bool | None:
        """Whether a path (relative to the ignore file, no slash at its end) is ignored, None: nothing is said of it."""
        name = path[path.rfind(b"/") + 1 :]
        for ignores, block in self._blocks:
            if block.matches(path, name, is_directory):
                return ignores
        return None

    def decisive(self, path: bytes, is_directory: bool) -> str:
        """The line that a verdict comes from, for people; "" where there is none. Looks at one line after the other."""
        name = path[path.rfind(b"/") + 1 :]
        for pattern in reversed(self._parsed):
            if _Block([pattern]).matches(path, name, is_directory):
                return pattern.line[:_NAMED_BYTES].decode("utf-8", "replace")
        return ""


class _Block:
    """Patterns of one kind in succession: any that matches decides, so their order does not matter."""

    def __init__(self, patterns: Sequence[_Pattern]) -> None:
        self._of_any = _Matcher([pattern for pattern in patterns if not pattern.directories_only])
        self._of_directories = _Matcher([pattern for pattern in patterns if pattern.directories_only])

    def matches(self, path: bytes, name: bytes, is_directory: bool) -> bool:
        return self._of_any.matches(path, name) or (is_directory and self._of_directories.matches(path, name))


class _Matcher:
    """Most patterns are a name, a path or the end of one, and need no expression."""

    def __init__(self, patterns: Sequence[_Pattern]) -> None:
        on_name = [pattern for pattern in patterns if pattern.on_name]
        on_path = [pattern for pattern in patterns if not pattern.on_name]
        self._names, self._name_ends, self._on_name = _sorted_out(on_name)
        self._paths, self._path_ends, self._on_path = _sorted_out(on_path)
        self._paths |= {end[1:] for end in self._path_ends}

    def matches(self, path: bytes, name: bytes) -> bool:
        if name in self._names or path in self._paths:
            return True
        if name.endswith(self._name_ends) or path.endswith(self._path_ends):
            return True
        for (
            expression
        ) in self._on_name:  # `any` over a generator is twice as slow, and this is asked for each file
            if expression.match(name):
                return True
        return any(expression.match(path) for expression in self._on_path) if self._on_path else False


def _sorted_out(
    patterns: Sequence[_Pattern],
) -> tuple[set[bytes], tuple[bytes, ...], list[re.Pattern[bytes]]]:
    """Whole texts, ends of texts, expressions."""
    whole = {pattern.text for pattern in patterns if not (pattern.ends or pattern.expression)}
    ends = tuple(dict.fromkeys(pattern.text for pattern in patterns if pattern.ends))
    return whole, ends, list(_joined([pattern.expression for pattern in patterns if pattern.expression]))


def _joined(expressions: Sequence[bytes]) -> Iterator[re.Pattern[bytes]]:
    waiting: list[bytes] = []
    size = 0
    for expression in expressions:
        waiting.append(expression)
        size += len(expression)
        if size > _JOINED_BYTES:
            yield re.compile(b"|".join(waiting), re.DOTALL)
            waiting, size = [], 0
    if waiting:
        yield re.compile(b"|".join(waiting), re.DOTALL)


def _parse(line: bytes, may_compile: bool) -> _Pattern | None:
    """One line without its line end; None where it is empty or a comment. Raises BadPatternError."""
    text = _without_trailing_spaces(line.partition(b"\0")[0])
    if not text or text.startswith(b"#"):
        return None
    brings_back = text.startswith(b"!")
    text = text[brings_back:]
    directories_only = text.endswith(b"/")
    text = text[: len(text) - directories_only]
    if not text.removeprefix(b"/") or len(text) > MAX_PATTERN_BYTES:
        raise BadPatternError
    on_name = b"/" not in text
    text = text.removeprefix(b"/")
    if not _SPECIAL & set(text):
        return _Pattern(text, brings_back, directories_only, on_name)
    if on_name and not _SPECIAL & set(text[1:]) and text.startswith(b"*"):
        return _Pattern(text[1:], brings_back, directories_only, on_name, ends=True)
    if not on_name and not _SPECIAL & set(text[3:]) and text.startswith(b"**/"):
        return _Pattern(text[2:], brings_back, directories_only, on_name, ends=True)
    if not may_compile:
        raise BadPatternError
    return _Pattern(
        text, brings_back, directories_only, on_name, expression=_expression(_tokens(text, on_name))
    )


def _without_trailing_spaces(line: bytes) -> bytes:
    kept = line.rstrip(b" ")
    escapes = len(kept) - len(kept.rstrip(b"\\"))
    return kept + b" " if escapes % 2 and len(kept) < len(line) else kept


def _expression(tokens: Sequence[bytes]) -> bytes:
    """A regular expression of a whole name or path. Each atomic group ends where the next star begins."""
    end = rb"\Z"
    if tokens[-1] == _REST:
        tokens, end = tokens[:-1], b""
    first, *others = _split(tokens, _ACROSS)
    parts = [_within_directories(first), *(rb"(?:[^/]*/)*?" + _within_directories(part) for part in others)]
    return b"".join(b"(?>" + part + b")" for part in parts[:-1]) + parts[-1] + end


def _within_directories(tokens: Sequence[bytes]) -> bytes:
    first, *others = [b"".join(run) for run in _split(tokens, _STAR)]
    groups = [rb"(?>[^/]*?" + run + b")" for run in others[:-1]]
    return first + b"".join(groups) + b"".join(rb"[^/]*?" + run for run in others[-1:])


def _split(tokens: Sequence[bytes], at: bytes) -> list[list[bytes]]:
    parts: list[list[bytes]] = [[]]
    for token in tokens:
        if token == at:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _tokens(text: bytes, on_name: bool) -> list[bytes]:
    """Expressions of one byte each, and the three tokens of stars between them. Raises BadPatternError.

    Two stars are more than one between slashes only, and where the wildcards begin: git compares what is before them
    apart, so that `a/b**/c` is `a/b`, then `**/c`.
    """
    tokens: list[bytes] = []
    place, wild = 0, next(place for place, byte in enumerate(text) if byte in _SPECIAL)
    while place < len(text):
        if text[place] != _STAR[0]:
            token, place = _one_byte(text, place)
            tokens.append(token)
            continue
        begin, place = place, place + len(text[place:]) - len(text[place:].lstrip(_STAR))
        behind = text[place : place + 2]
        crosses = not on_name and place - begin > 1 and (begin == wild or text[begin - 1 : begin] == b"/")
        if crosses and not behind:
            tokens.append(_REST)
        elif crosses and behind.startswith(b"/"):
            tokens.append(_ACROSS)
            place += 1
        elif crosses and behind == rb"\/":
            tokens += [_STAR, b"/", _ACROSS]
            place += 2
        else:
            tokens.append(_STAR)
    return tokens


def _one_byte(text: bytes, place: int) -> tuple[bytes, int]:
    """The expression of what begins at a place that is no star, and the place behind it."""
    byte = text[place : place + 1]
    if byte == b"?":
        return b"[^/]", place + 1
    if byte == b"[":
        return _bracket(text, place + 1)
    if byte == b"\\":
        place += 1
        byte = text[place : place + 1]
        if not byte:
            raise BadPatternError
    return re.escape(byte), place + 1


def _bracket(text: bytes, place: int) -> tuple[bytes, int]:
    """The same behind a `[`. A `]` that comes first stands for itself."""
    negated = text[place : place + 1] in (b"!", b"^")
    place += negated
    members: set[int] = set()
    previous = None  # what a range can begin with
    first = True
    while first or text[place : place + 1] != b"]":
        first = False
        named = text.find(b"]", place + 2) if text.startswith(b"[:", place) else -1
        if (
            text.startswith(b"-", place)
            and previous is not None
            and text[place + 1 : place + 2] not in (b"", b"]")
        ):
            until, place = _member(text, place + 1)
            if until < previous:
                raise BadPatternError
            members.update(range(previous, until + 1))
            previous = None
        elif named > place + 2 and text[named - 1 : named] == b":":
            members.update(_class(text[place + 2 : named - 1]))
            previous, place = None, named + 1
        else:
            previous, place = _member(text, place)
            members.add(previous)
    members = (set(range(256)) - members if negated else members) - {ord("/")}
    if not members:
        raise BadPatternError
    return b"[" + b"".join(rb"\x%02x" % byte for byte in sorted(members)) + b"]", place + 1


def _member(text: bytes, place: int) -> tuple[int, int]:
    place += text.startswith(b"\\", place)
    if place >= len(text):
        raise BadPatternError  # the bracket is not closed
    return text[place], place + 1


def _class(name: bytes) -> list[int]:
    if name not in _NAMED_CLASSES:
        raise BadPatternError
    return [byte for byte in range(256) if re.match(_NAMED_CLASSES[name], bytes([byte]))]
