"""What a run that brings an index up to date tells while it goes on, and what it did when it is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class IndexStage(StrEnum):
    """What a run is at, in this order; most have some of these only. The values are what users read."""

    OPENING = "opening"  # what was indexed before
    READING = "reading"  # files
    TOKENIZING = "tokenizing"  # them, for drafts
    EMBEDDING = "embedding"  # nodes
    ARRANGING = "arranging"  # very many of them, for search


_ENDS = dict(zip(IndexStage, (0.1, 0.3, 0.4, 0.97, 1.0), strict=True))  # at which share of a run, about
_BEGINS = dict(zip(IndexStage, (0.0, *_ENDS.values()), strict=False))


@dataclass(frozen=True)
class Progress:
    """`done` of `total` in one stage. `path` is "" but of files."""

    done: int
    total: int
    path: str
    stage: IndexStage = IndexStage.READING

    @property
    def share(self) -> float:
        """Of the whole run, 0 to 1: never less than before."""
        begin, end = _BEGINS[self.stage], _ENDS[self.stage]
        return begin + (end - begin) * min(self.done / max(self.total, 1), 1.0)


@dataclass(frozen=True)
class UpdateReport:
    """What a run did. `files` and `chunks` count the whole index; `embedded` leaves, `fused` parents, this run.

    `reused`: chunks of the files read in this run whose text was known. `cancelled`: it stopped early; run it again.
    """

    files: int
    chunks: int
    embedded: int
    reused: int
    seconds: float
    changed: int = 0
    removed: int = 0
    fused: int = 0
    cancelled: bool = False
    skipped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pulled: int = 0  # nodes of all levels whose vectors others computed
    team: str = ""  # a sentence about them


class StoppedError(Exception):
    """The caller asked to stop; everything committed stays."""


def never() -> bool:
    """Whether to stop, where nobody asks for it."""
    return False


GoesOn = Callable[[int, int, str], bool]  # asked now and then by long work that has done so much of so much


def always(done: int, total: int, path: str = "") -> bool:
    """Whether to go on, where nobody stops it."""
    return True


def nobody(progress: Progress) -> None:
    """Who follows, where nobody does."""


@dataclass(frozen=True)
class Listener:
    """Who follows a run. `committed` is called when something new can be searched, as often as that is."""

    progress: Callable[[Progress], None]
    cancelled: Callable[[], bool]
    committed: Callable[[], None]

    def check(self) -> None:
        """Raises StoppedError where the caller asked to stop."""
        if self.cancelled():
            raise StoppedError

    def goes_on(self, stage: IndexStage) -> Callable[[int, int, str], bool]:
        """What long work is to ask in between whether it goes on; open documents are taken in meanwhile."""

        def told(done: int, total: int, path: str) -> bool:
            self.progress(Progress(done, total, path, stage))
            return not self.cancelled()

        return told
