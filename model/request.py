"""What is asked of a completer and what it answers; and the seam by which recall changes what is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from model.blocks.shelf import Shelf
from model.prompt import Prompt
from model.repository import ContextItem, LineStore, Tokens
from model.settings import ModelSettings

Stopped = Literal["end", "finished", "length", "deadline", "cancelled"]


def never() -> bool:
    return False


def never_finished(text: str) -> bool:
    return False


@dataclass(frozen=True)
class Lately:
    """What the user did since the editor was opened, as stripped lines. `written`: in any document, the newest first;
    `refused`: what was shown and typed over, and is not wanted again so soon."""

    written: tuple[str, ...] = ()
    refused: frozenset[str] = frozenset()


NOT_LATELY = Lately()


@dataclass(frozen=True)
class Request:
    """A cursor in `path` between `prefix` and `suffix` (whole texts; the prompt takes what fits)."""

    path: str
    prefix: str
    suffix: str
    context: str = ModelSettings.context  # auto: what measured best for the checkpoint
    max_tokens: int = ModelSettings.max_tokens
    deadline_ms: float = ModelSettings.deadline_ms
    window: int | None = (
        None  # tokens of the document, context on top of them; None: a prompt's limit is for both
    )
    finished: Callable[[str], bool] = (
        never_finished  # asked with the text so far after each token; True stops
    )
    generation: int = 0  # of the index; another one makes the held context stale
    tokens: Tokens | None = None  # of the repository; what it has of the document at `path` is not looked at
    packages: Tokens | None = None  # of what is installed
    lines: LineStore | None = None  # of the repository
    repository: str = ""  # its name, where the document lies in one
    ahead: bool = False  # nobody has typed so far yet
    lately: Lately = NOT_LATELY
    language: str = ""  # LSP's id, "" where it is not known
    shelf: Shelf | None = None  # blocks of the repository; None: they are kept while the completer is


class Mixer(Protocol):
    """Changes what greedy decoding chooses by; drafts are verified against the same choice."""

    def mix(self, context: Sequence[int], logits: np.ndarray) -> np.ndarray:
        """Scores float32 [vocab], in place of a row of logits, for what follows `context`: ids of the document before
        the cursor and of what was written.

        They must depend on nothing else: a row may be asked for once or never, with other drafts.
        """

    def planned(self, context: Sequence[int]) -> Sequence[int]:
        """What `mix` lets follow `context` whatever the model says, which needs no pass; () where that is open."""

    def chance(self, context: Sequence[int]) -> float | None:
        """How likely the line that was planned right behind `context` is to be right; None where none was."""


# What changes the model's scores for one request, given its prompt; None: nothing does.
Mixing = Callable[[Request, Prompt], Mixer | None]


def unmixed(request: Request, prompt: Prompt) -> Mixer | None:
    return None


@dataclass(frozen=True)
class Completion:
    """`timings_ms`: retrieve, prefill, decode, total. `mode`: the context mode that was really used.

    `confidence`: of each line of `text`, its chance to be right where those before it are; () where it is unknown.
    """

    text: str
    tokens: int
    drafted: int
    accepted: int
    forward_passes: int
    prompt_tokens: int
    reused_tokens: int
    timings_ms: Mapping[str, float]
    context: tuple[ContextItem, ...]
    stopped: Stopped
    mode: str = "none"
    confidence: tuple[float, ...] = ()
