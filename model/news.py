"""What is going on while a model is found, fetched and loaded: seconds or minutes in which somebody wants to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Work = Literal["fetching", "checking", "preparing", "loading"]


@dataclass(frozen=True)
class News:
    """`work`: fetching from the hub, checking sums, preparing graphs (the first time only), or all else that loading
    takes. `done` of `total` bytes; 0 where that is not known."""

    work: Work
    done: int = 0
    total: int = 0


# Called on the thread that loads. What it raises ends the loading: so who no longer wants the model says it.
Told = Callable[[News], None]


def to_nobody(_: News) -> None:
    """Nobody asked."""
