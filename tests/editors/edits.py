"""Fifty small edits as users make them, each in a document of its own where it applies elsewhere, too.

And what a server's next edits make of a text, worked out apart from any editor.

No two are alike: one that was made at another place and undone is not offered again."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

N_EDITS = 50
VERBS = ["warn", "send", "load", "pack", "mark", "hold", "fold", "link", "lock", "rank"]
NOUNS = ["width", "order", "token", "batch", "label"]
FILLER = [
    "value = 1",
    "# é and 🦉",
    "if value:\n    value += 1",
    "",
    "print('🦉', value)",
    "for it in []:\n\tpass",
]
LINE_END = re.compile("\r\n|\n")


@dataclass(frozen=True)
class TypedEdit:
    """In `text`, which is `before + after`, `typed` is put in between the two."""

    name: str  # of the document, which no other edit has
    before: str
    typed: str
    after: str

    @property
    def text(self) -> str:
        return self.before + self.after


def edits() -> Iterator[TypedEdit]:
    """A call renamed, an argument added, a variable renamed; with wide characters, tabs and both line ends."""
    chance = random.Random(17)
    for number in range(N_EDITS):
        name = f"{chance.choice(VERBS)}_{number}"
        make = (_renamed_call, _added_argument, _renamed_variable)[number % 3]
        place, typed, others = make(name, chance)
        parts = [*others, *chance.choices(FILLER, k=6)]
        chance.shuffle(parts)
        at = chance.randrange(len(parts))
        above, below = (
            "".join(part + "\n" for part in parts[:at]),
            "".join(part + "\n" for part in parts[at:]),
        )
        before, after = place.split("|")
        ends = chance.choice(["\n", "\r\n"])
        yield TypedEdit(
            f"{name}.py",
            (above + before).replace("\n", ends),
            typed,
            (after + "\n" + below).replace("\n", ends),
        )


def applied(text: str, edits: Sequence[dict[str, Any]], encoding: str) -> str:
    """The text with a server's edits in it."""
    starts = [0, *(match.end() for match in LINE_END.finditer(text))]

    def offset(position: dict[str, int]) -> int:
        line = text[starts[position["line"]] :]
        units = 0
        for index, character in enumerate(line):
            if units == position["character"]:
                return starts[position["line"]] + index
            units += (
                len(character.encode("utf-16-le")) // 2 if encoding == "utf-16" else len(character.encode())
            )
        return len(text)

    places = [(offset(one["range"]["start"]), offset(one["range"]["end"]), one["text"]) for one in edits]
    for start, end, new in sorted(places, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _renamed_call(name: str, chance: random.Random) -> tuple[str, str, list[str]]:
    calls = [
        f"log.{name}(value)",
        f"if value:\n\tlog.{name}(value, 2)",
        f"print('🦉'); log.{name}('é', value)",
    ]
    return f"log.{name}|(value)", chance.choice(["_all", "_now", "s"]), calls


def _added_argument(name: str, chance: random.Random) -> tuple[str, str, list[str]]:
    calls = [f"y = {name}(value, 2)", f"print('🦉', {name}(value, 3))", f"if value:\n    {name}(value, [4])"]
    return f"x = {name}(value, 1|)", f", {chance.choice(NOUNS)}_{name}=3", calls


def _renamed_variable(name: str, chance: random.Random) -> tuple[str, str, list[str]]:
    noun = f"{chance.choice(NOUNS)}_{name}"
    body = f"    '🦉'; print({noun})\n    return [{noun}, '{noun}']"
    return f"def f_{name}():\n    {noun}| = 1\n{body}", "s", [f"{noun[0]} = '{noun}'"]
