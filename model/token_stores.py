"""Where drafts come from: token sequences in which the end of a context is looked up, and what followed it there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np


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
