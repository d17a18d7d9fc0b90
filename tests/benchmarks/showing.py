"""What is shown behind a text: by the product, and by copying the nearest line that begins like the cursor's."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer import Index
from lsp_server.coder import LoadedCoder
from lsp_server.completion import Completions
from lsp_server.holdings import Holding
from lsp_server.job import Job
from lsp_server.offers import Offer
from lsp_server.presentation import inserted, is_worth_showing, stop_rule
from lsp_server.requests import request_for, retriever
from lsp_server.settings import Settings
from lsp_server.snapshot import Buffer, take
from model.request import Completion, Request
from tests.benchmarks.patient_typist import Shown
from tests.typist import position

PATIENCE = 3_600.0  # seconds; nothing is cut short, so that nothing depends on the machine's load
LAST = chr(0x10FFFF)


@dataclass
class Cost:
    """What was asked of the model."""

    n_runs: int = 0
    n_passes: int = 0


@dataclass(frozen=True)
class HeldBack:
    """What was not sure enough, or was nothing. `chance`: of its first line, None where that is unknown."""

    before: str
    text: str
    chance: float | None


class Product:
    """The server's own way from a keystroke to what is shown, for one document, without protocol and threads.

    `Completions` decides when the model is asked and what is kept, `StopRule` where it ends, `present` and the
    confidence of the settings what of it is shown. Nothing is worked out ahead and no installed package is read.
    """

    def __init__(
        self,
        coder: LoadedCoder,
        index: Index,
        settings: Settings,
        path: Path,
        cost: Cost,
        below: str = "",
    ) -> None:
        """`below`: what stands below the cursor's line."""
        self.held_back: list[HeldBack] = []
        self._below = below
        self._coder, self._index, self._settings = coder, index, settings
        self._path, self._cost = path, cost
        self._completions = Completions(self._run, lambda path: PATIENCE)
        self._offers: dict[int, Offer] = {}
        self._written: Completion | None = None
        self._prepared = False

    async def at(self, prefix: str) -> Shown | None:
        buffer = Buffer(self._path.as_uri(), None, self._path, "python", prefix + self._below)
        snapshot = take(buffer, position(prefix, len(prefix)), "utf-16")
        self._completions.edited(buffer)
        self._written = None
        sure = self._settings.completion.min_confidence
        offer = await self._completions.suggest(snapshot, min_confidence=sure)
        if offer is None:
            self._note(prefix)
            return None
        self._completions.shown(offer)
        self._offers = {offer.number: offer}
        return Shown(offer.number, inserted(offer.suggestion, snapshot))

    def taken(self, shown: Shown, text: str) -> None:
        """As clients do: a part is not told."""
        offer = self._offers.get(shown.number)
        if offer is not None and text == shown.text and self._completions.accepted(shown.number):
            self._coder.completer.accepted(offer.prefix, offer.suggestion.text)

    def _note(self, prefix: str) -> None:
        if self._written is not None:
            chance = next(iter(self._written.confidence), None)
            self.held_back.append(HeldBack(prefix, self._written.text, chance))

    def _run(self, job: Job) -> Future[Completion | None]:
        """As `Session` does on the model's thread."""
        job.rule = stop_rule(job.snapshot, self._settings.completion.max_lines)
        request, retrieve = self._request(job), retriever(self._index)
        if not self._prepared:  # what a server makes while nobody types
            self._coder.completer.prepare(request, retrieve)
            self._prepared = True
        completion = self._coder.completer.complete(request, retrieve, job.cancelled.is_set)
        self._cost.n_runs += 1
        self._cost.n_passes += completion.forward_passes
        self._written = completion
        done: Future[Completion | None] = Future()
        done.set_result(completion)
        return done

    def _request(self, job: Job) -> Request:
        return request_for(
            job.snapshot,
            self._settings,
            self._index,
            deadline_ms=float("inf"),
            finished=job.finished,
            holding=Holding(self._index.tokens),
        )


class RepositoryLines:
    """The lines of a repository's files without indentation, those of near files before others."""

    def __init__(self, texts: Mapping[str, str], path: str) -> None:
        """`texts` by path, the typed file not among them. `path`: its own."""
        folder = path.rpartition("/")[0]
        near = sorted(texts, key=lambda other: (other.rpartition("/")[0] != folder, other))
        self._nearest_first = [line.strip() for other in near for line in texts[other].split("\n")]
        ranked = sorted((line, rank) for rank, line in enumerate(self._nearest_first))
        self._lines = [line for line, _ in ranked]
        self._ranks = np.array([rank for _, rank in ranked], np.int64)

    def nearest(self, begin: str) -> str:
        """The nearest line that begins so and goes on, "" for none."""
        low, high = bisect_right(self._lines, begin), bisect_left(self._lines, begin + LAST)
        return self._nearest_first[int(self._ranks[low:high].min())] if low < high else ""


class Copying:
    """The rest of the nearest line that begins like the cursor's: of the document, else of the repository."""

    def __init__(self, lines: RepositoryLines, behind: int) -> None:
        """`behind`: characters of a line after which it is looked for."""
        self._repository, self._behind = lines, behind
        self._numbers = itertools.count(1)

    async def at(self, prefix: str) -> Shown | None:
        above, _, line = prefix.rpartition("\n")
        begin = line.lstrip()
        if len(begin) < self._behind:
            return None
        rest = (_nearest(above, begin) or self._repository.nearest(begin))[len(begin) :]
        return Shown(next(self._numbers), rest) if is_worth_showing(rest) else None

    def taken(self, shown: Shown, text: str) -> None: ...


def _nearest(above: str, begin: str) -> str:
    lines = (line.strip() for line in reversed(above.split("\n")))
    return next((line for line in lines if line.startswith(begin) and len(line) > len(begin)), "")
