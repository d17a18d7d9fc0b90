"""The code of a snapshot, whichever language it is in, and what the baselines prepare of it before a request comes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from indexer.languages import TEXT, language_of
from model.evaluation.definitions import ModuleGraph
from model.evaluation.windows import Windows

# RepoCoder's windows: 20 lines, one every 10 (its paper, section 4.1).
WINDOW_LINES, WINDOW_STEP = 20, 10
# What the copying baseline compares: the benchmark's own floor does the same.
COPY_LINES = 10


def _nothing() -> np.ndarray:
    return np.zeros((0, 0), np.float16)


@dataclass(frozen=True, eq=False)
class Snippet:
    """Text that a baseline chose; a `model.completer.ContextItem`. Lines are 1-based and inclusive."""

    path: str
    first_line: int
    last_line: int
    text: str
    score: float
    level: str = "snippet"
    signature: str = ""
    memory: np.ndarray = field(default_factory=_nothing)


class Sources:
    """Texts by path as they are before any hole is made.

    Who asks for a task leaves its file out by name, and takes what stands before the hole from the request.
    """

    def __init__(self, root: Path) -> None:
        """Reads all there is; files that are not UTF-8 are nobody's."""
        self.texts = dict(_read(root))

    @cached_property
    def windows(self) -> Windows:
        return Windows(self.texts, WINDOW_LINES, WINDOW_STEP)

    @cached_property
    def copy_windows(self) -> Windows:
        return Windows(self.texts, COPY_LINES, 1)

    @cached_property
    def graph(self) -> ModuleGraph:
        return ModuleGraph({path: text for path, text in self.texts.items() if path.endswith(".py")})

    def lines(self, path: str, first: int, last: int) -> str:
        """Rows first (0-based) to last (not included) of a file; fewer at its end."""
        return "\n".join(self.texts[path].split("\n")[first:last])


def _read(root: Path) -> list[tuple[str, str]]:
    found = []
    for file in sorted(path for path in root.rglob("*") if language_of(path.name) != TEXT and path.is_file()):
        try:
            found.append((file.relative_to(root).as_posix(), file.read_bytes().decode("utf-8")))
        except UnicodeDecodeError:
            continue
    return found
