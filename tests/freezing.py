"""How a server takes a hostile document: opened, asked about and typed in, while another document is typed in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hostile_documents import Hostile

SUFFIXES = {"python": ".py", "java": ".java"}
TYPED = "value = other(first, "
ORDINARY = "import os\n\n\ndef listed(folder):\n    return sorted(os.listdir(folder))\n\n\n"
PAUSE_SECONDS = 0.02  # between two keystrokes
WAIT_SECONDS = 60.0
ROUNDS = 1  # answers before the typing


@dataclass(frozen=True)
class Watched:
    """`answers`: seconds that each took, in either document. `longest_freeze`: of the server's loop, seconds."""

    answers: tuple[float, ...]
    longest_freeze: float

    @property
    def slowest(self) -> float:
        return max(self.answers)


async def watch(
    editor: Any, folder: Path, document: Hostile, *, typed: str = TYPED, rest_seconds: float = 0.5
) -> Watched:
    """Type in a document and in an ordinary one. Raises TimeoutError when an answer takes WAIT_SECONDS."""
    ending = SUFFIXES.get(document.language, ".txt")
    hostile, ordinary = (folder / f"hostile{ending}").as_uri(), (folder / "ordinary.py").as_uri()
    await freeze(editor)
    editor.open(ordinary, ORDINARY)
    editor.open(hostile, document.text, document.language)
    line, column = place_of(document)
    first = await timed(editor.suggestions(hostile, line, column))
    answers = await asyncio.gather(
        typing(editor, hostile, line, column, typed), typing(editor, ordinary, ORDINARY.count("\n"), 0, typed)
    )
    await asyncio.sleep(rest_seconds)  # the index takes the document in when the typing rests
    editor.close(hostile)
    editor.close(ordinary)
    return Watched((first, *answers[0], *answers[1]), await freeze(editor))


async def freeze(editor: Any) -> float:
    """The longest freeze since the last call."""
    return float(await asyncio.wait_for(editor.raw("test/longestFreeze", None), WAIT_SECONDS))


async def typing(editor: Any, uri: str, line: int, column: int, typed: str) -> list[float]:
    """Seconds of each answer."""
    answers = []
    for number, letter in enumerate(typed):
        editor.type(uri, line, column + number, letter)
        answers.append(await timed(editor.suggestions(uri, line, column + number + 1)))
        await asyncio.sleep(PAUSE_SECONDS)
    return answers


async def timed(answer: Awaitable[object]) -> float:
    began = time.perf_counter()
    await answer
    return time.perf_counter() - began


def place_of(document: Hostile) -> tuple[int, int]:
    """Line and column of the cursor in UTF-16 units."""
    before = document.text[: document.cursor].replace("\r\n", "\n").replace("\r", "\n")
    line = before[before.rfind("\n") + 1 :]
    return before.count("\n"), len(line.encode("utf-16-le", "surrogatepass")) // 2
