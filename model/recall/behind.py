"""What a line goes on with behind the words before a cursor: the same words, or the same but for the last name.

Pure functions of text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from model.recall.cursor import NAME, TOKEN

_MATCHED = 16  # words before the cursor on its line that are looked for


def rest_behind(start: str, line: str) -> tuple[int, str]:
    """What of a line stands behind the words before a cursor, and how many of them it has; (0, "") for none."""
    known = tails(start)
    if known and known[-1][1] in line:  # the others end in it
        n_matched, tail = next((n, tail) for n, tail in known if tail in line)
        return n_matched, line.partition(tail)[2]
    around = frame(start)
    if around and line.startswith(around.head):
        name = NAME.match(line, len(around.head))
        if name and line.startswith(around.sign, name.end()):
            return around.n_words, line[name.end() + len(around.sign) :]
    return 0, ""


@dataclass(frozen=True)
class Frame:
    """What stands around the last name before a cursor, such as `class ` and `(`: other lines have another name."""

    head: str
    sign: str
    n_words: int


@lru_cache(maxsize=8)
def frame(start: str) -> Frame | None:
    """Of the text before a cursor on its line; None where the name is not finished, or nothing stands before it."""
    bare = start.lstrip()
    names = list(NAME.finditer(bare))
    if len(names) < 2 or names[-1].end() == len(bare):
        return None
    head, sign = bare[: names[-1].start()], bare[names[-1].end() :]
    return Frame(head, sign, len(TOKEN.findall(head)) + len(TOKEN.findall(sign)))


@lru_cache(maxsize=8)
def tails(start: str) -> tuple[tuple[int, str], ...]:
    """The ends of a line that may stand elsewhere, the longest first, and how many words and signs each has; one
    without a letter or digit says nothing."""
    begins = [found.start() for found in TOKEN.finditer(start)]
    pieces = [(n, start[begins[-n] :]) for n in range(min(_MATCHED, len(begins)), 0, -1)]
    return tuple((n, piece) for n, piece in pieces if any(map(str.isalnum, piece)))
