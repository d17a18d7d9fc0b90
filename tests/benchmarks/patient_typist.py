"""Someone who types a text from top to bottom and takes of each suggestion what is right.

The editor indents: Enter is one key and brings the next line's indentation, which nobody types and nothing saves. It
closes no brackets. After each key, and after each taking, the suggestion shown is looked at:

- all of it is what comes next: taken with one key;
- else its first line is: taken with one key (accept line);
- else its next word is, and has two visible characters or more: taken with one key (accept word), as often as it is;
- else nothing is taken, and the next character is typed.

A suggestion of which nothing was ever taken is wrong. One that is typed along stays the same suggestion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

WORD = re.compile(r"\s*(?:\w+|[^\w\s]+)")  # what accepting a word takes, as in `editors/nvim`
LINE = re.compile(r"\n*[^\n]*")  # what accepting a line takes
INDENTED = re.compile(r"\n[ \t]*")
MIN_TAKEN = 2  # visible characters; for less nobody reaches for the key


@dataclass(frozen=True)
class Shown:
    """What stands at the cursor in gray. `number` stays the same while it is typed along."""

    number: int
    text: str


class Shows(Protocol):
    """What is shown behind a text, with nothing after it, and hears what became of it."""

    async def at(self, prefix: str) -> Shown | None: ...
    def taken(self, shown: Shown, text: str) -> None: ...


@dataclass(frozen=True)
class Look:
    """A suggestion when it was first seen, and the characters that came next."""

    before: str
    text: str
    wanted: str


@dataclass
class Typed:
    """What came of typing. Characters are counted without indentation, a line's end as one."""

    n_chars: int = 0  # that there are
    n_saved: int = 0  # of them written by suggestions
    n_keys: int = 0  # pressed, those that take suggestions among them
    right: list[Look] = field(default_factory=list)
    wrong: list[Look] = field(default_factory=list)

    def add(self, other: Typed) -> None:
        self.n_chars += other.n_chars
        self.n_saved += other.n_saved
        self.n_keys += other.n_keys
        self.right += other.right
        self.wrong += other.wrong


class PatientTypist:
    """Types `wanted` behind `above`."""

    def __init__(self, shows: Shows, above: str, wanted: str) -> None:
        self._shows = shows
        self._above, self._wanted = above, wanted
        self._at = 0
        self._seen: Shown | None = None  # the newest suggestion,
        self._end = ""  # the text that taking all of it would have made,
        self._look: Look | None = None  # and how it was first seen, until something of it is taken
        self._typed = Typed(n_chars=counted(wanted))

    async def type(self) -> Typed:
        """All of it."""
        while self._at < len(self._wanted):
            self._press()
            while await self._take():
                pass
        self._see(None)
        return self._typed

    @property
    def _prefix(self) -> str:
        return self._above + self._wanted[: self._at]

    def _press(self) -> None:
        enter = INDENTED.match(self._wanted, self._at)
        self._at = enter.end() if enter else self._at + 1
        self._typed.n_keys += 1

    async def _take(self) -> bool:
        """Look at what is shown, and take what of it is right; whether that was anything."""
        shown = await self._shows.at(self._prefix)
        self._see(shown)
        text = right(shown.text, self._wanted[self._at :]) if shown else ""
        if shown is None or not text:
            return False
        if self._look is not None:
            self._typed.right.append(self._look)
            self._look = None
        self._shows.taken(shown, text)
        self._at += len(text)
        self._typed.n_keys += 1
        self._typed.n_saved += counted(text)
        return True

    def _see(self, shown: Shown | None) -> None:
        end = self._prefix + shown.text if shown else ""
        is_known = self._seen is not None and shown is not None and self._seen.number == shown.number
        if not is_known and (shown is None or end != self._end):
            if self._look is not None:
                self._typed.wrong.append(self._look)
            left = self._wanted[self._at :]
            self._look = Look(self._prefix, shown.text, left) if shown else None
        self._seen, self._end = shown, end


def right(text: str, wanted: str) -> str:
    """What is taken of a suggestion where `wanted` comes next; "" for nothing."""
    line = LINE.match(text)
    if _begins(wanted, text):
        return text
    if line and line.group().strip() and _begins(wanted, line.group() + "\n"):
        return line.group()
    word = WORD.match(text)
    is_worth = word is not None and len(word.group().strip()) >= MIN_TAKEN
    return word.group() if word and is_worth and _begins(wanted, word.group()) else ""


def counted(text: str) -> int:
    """Characters without indentation."""
    return len(INDENTED.sub("\n", text))


def _begins(wanted: str, text: str) -> bool:
    """Whether it begins with the text, and no word of it is cut in two."""
    follows = wanted[len(text) : len(text) + 1]
    return (
        wanted.startswith(text)
        and bool(text.strip())
        and not (_is_word(text[-1]) and bool(follows) and _is_word(follows))
    )


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
