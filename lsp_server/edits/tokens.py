"""Text -> tokens for edits: names, strings, runs of operators, brackets, line ends. The same for every language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

LONGEST_LINE = 1_000  # characters; longer ones were made by machines
OPENERS, CLOSERS = ("(", "[", "{"), (")", "]", "}")
NEWLINE = "\n"

# A string with an escape in it is several tokens: one expression that takes both would not be linear.
_TOKEN = re.compile(
    r"\r?\n[ \t]*|\"[^\"\\\n]{0,200}\"|'[^'\\\n]{0,200}'|\w+|[=!<>+\-*/%&|^~@:]+|[^\w\s]",
)


@dataclass(frozen=True, slots=True)
class SourceToken:
    """`text` of a line end is "\\n" whatever indentation follows; `start` and `end` are offsets, that included."""

    text: str
    start: int
    end: int

    @property
    def is_name(self) -> bool:
        """A name, a keyword or a number."""
        return self.text[0].isalnum() or self.text[0] == "_"

    @property
    def is_word(self) -> bool:
        """What a hole may stand for: a name or a string."""
        return is_word(self.text)


def tokens_of(text: str, start: int = 0, end: int | None = None) -> list[SourceToken]:
    """The tokens between two offsets of a text."""
    found = _TOKEN.finditer(text, start, len(text) if end is None else end)
    return [SourceToken(_told(match.group()), match.start(), match.end()) for match in found]


def texts(tokens: Sequence[SourceToken]) -> tuple[str, ...]:
    """What is compared of tokens."""
    return tuple(token.text for token in tokens)


def is_word(token: str) -> bool:
    """A name, a keyword, a number or a string."""
    return token[0].isalnum() or token[0] in "_\"'"


def lead_of(line: str) -> str:
    """A line's indentation."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def n_in_common(one: str, two: str) -> int:
    """Characters that both begin with."""
    return next(
        (n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two))
    )


def line_start(text: str, offset: int) -> int:
    """Where the line that holds `offset` begins."""
    return text.rfind("\n", 0, offset) + 1


def line_end(text: str, offset: int) -> int:
    """Where the line that holds `offset` ends, its "\\n" not included."""
    end = text.find("\n", offset)
    return len(text) if end < 0 else end


def line_at(text: str, offset: int) -> str:
    """The line that holds `offset`, without its end."""
    return text[line_start(text, offset) : line_end(text, offset)]


def is_balanced(tokens: Sequence[str]) -> bool:
    """Whether every bracket is closed in it, and none that was not opened."""
    depths = list(accumulate(_step(token) for token in tokens))
    return not depths or (min(depths) >= 0 and depths[-1] == 0)


def opener_before(tokens: Sequence[str], at: int) -> int | None:
    """Index of the bracket that is open in front of token `at`, None for none."""
    depth = 0
    for index in range(at - 1, -1, -1):
        depth += _step(tokens[index])
        if depth > 0:
            return index
    return None


def blocks_in_both(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """(index in old, index in new, length) of runs of tokens that both have, in the same order; greedy, linear."""
    at: dict[str, list[int]] = {}
    for index, token in enumerate(new):
        at.setdefault(token, []).append(index)
    i, least = 0, 0
    while i < len(old):
        j = next((j for j in at.get(old[i], ()) if j >= least), None)
        if j is None or not is_word(old[i]):
            i += 1
            continue
        n = 0
        while i + n < len(old) and j + n < len(new) and old[i + n] == new[j + n]:
            n += 1
        yield i, j, n
        i, least = i + n, j + n


def _step(token: str) -> int:
    return (token in OPENERS) - (token in CLOSERS)


def _told(token: str) -> str:
    return NEWLINE if token[0] in "\r\n" else token
