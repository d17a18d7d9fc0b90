"""What the model asks of an index: the one border between the two packages, as Protocols that `indexer` satisfies.

Nothing here computes. Found nodes, token sequences and lines come in as plain data and numpy arrays, so that a test, an
evaluation or another index can stand on the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Level of an item that tells signatures of an installed package: its path is no file of the repository's.
PACKAGE_LEVEL = "package"


class ContextItem(Protocol):
    """What retrieval found, best first; `indexer.Hit` is one."""

    @property
    def path(self) -> str: ...
    @property
    def first_line(self) -> int: ...
    @property
    def last_line(self) -> int: ...
    @property
    def level(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def text(self) -> str: ...
    @property
    def signature(self) -> str: ...
    @property
    def memory(self) -> np.ndarray:
        """float16 [m, d_memory]"""


@dataclass(frozen=True, eq=False)
class RetrievalQuery:
    """What to look for: the first four fields of `indexer.Query`."""

    path: str
    before: str
    after: str
    key: np.ndarray | None  # float32 [d_key], unit length; None: no fuser


Retrieve = Callable[[RetrievalQuery], Sequence[ContextItem]]


class TokenMatch(Protocol):
    """What followed where the last `length` tokens of a context occurred; 0: nowhere. `indexer.Match` is one."""

    @property
    def length(self) -> int: ...
    @property
    def continuations(self) -> np.ndarray:
        """int32 [k, width], padded with -1; equal rows count as often as they occurred."""


class Tokens(Protocol):
    """Token sequences by path, such as those of a repository; `indexer.SuffixIndex` is one."""

    @property
    def version(self) -> int:
        """Grows with every change."""

    def find(
        self,
        context: Sequence[int],
        *,
        longest: int = ...,
        shortest: int = ...,
        limit: int = ...,
        width: int = ...,
        without: str = ...,
    ) -> TokenMatch:
        """The longest end of `context`, of `longest` to `shortest` tokens, that occurs anywhere but in the path
        `without`; at most `limit` places, `width` tokens of each."""

    def matches(
        self,
        context: Sequence[int],
        *,
        longest: int = ...,
        shortest: int = ...,
        limit: int = ...,
        width: int = ...,
        without: str = ...,
    ) -> Iterator[TokenMatch]:
        """`find`, and then the same for shorter ends that occur in more places."""

    def positions(
        self, context: Sequence[int], *, longest: int = ..., limit: int = ..., without: str = ...
    ) -> Sequence[tuple[str, int]]:
        """Path and position in the file of what stands behind an end of `context`, at most `limit`, the longest
        first."""


class Lines(Protocol):
    """The lines of a text that are not blank, with column and number (0-based) of each; `indexer.Lines` is one."""

    @property
    def texts(self) -> Sequence[str]:
        """Stripped."""

    @property
    def columns(self) -> Sequence[int]: ...
    @property
    def numbers(self) -> Sequence[int]: ...


class LinePlace(Protocol):
    """The line `lines.texts[row]` of a file; `indexer.LinePlace` is one."""

    @property
    def path(self) -> str: ...
    @property
    def lines(self) -> Lines: ...
    @property
    def row(self) -> int: ...


class LineStore(Protocol):
    """The lines of a repository; `indexer.LineIndex` is one."""

    def between(
        self, before: Sequence[str], after: Sequence[str], *, limit: int = ..., without: str = ...
    ) -> Sequence[LinePlace]:
        """Lines behind the last of `before` or in front of the first of `after`, at most `limit` each; none of the
        path `without`, nor of another language than its own where that is known."""

    def containing(
        self, tails: Sequence[str], paths: Sequence[str], *, limit: int = ..., beside: str = ...
    ) -> Sequence[LinePlace]:
        """Lines of the files `paths` in which one of `tails` stands, each the end of the one before it; at most
        `limit`, those with the longest tail first, none of another language than that of the path `beside`."""
