"""Suggestions that were shown and typed over: the same line does not come back at once. Lives on the event loop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from lsp_server.offers import Offer, typed_since
from lsp_server.snapshot import Snapshot

SECONDS = 120.0  # for which a line is not suggested again
MOST = 16  # lines that are remembered
BEGUN = 3  # characters of a line: who has typed as many may well mean it now


@dataclass(frozen=True)
class _Refused:
    line: str
    at: float


class TypedOver:
    """Of all open documents."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shown: dict[str, Offer] = {}  # the newest by document, until it is known what became of it
        self._refused: deque[_Refused] = deque(maxlen=MOST)

    def shown(self, offer: Offer) -> None:
        """The client has it. Typed along, it is still the same one, of which more was typed."""
        before = self._shown.get(offer.uri)
        if before is None or before.number != offer.number:
            self._shown[offer.uri] = offer

    def forget(self, uri: str) -> None:
        """The document was closed."""
        self._shown.pop(uri, None)

    def lines(self, snapshot: Snapshot) -> frozenset[str]:
        """Lines that are not suggested at this place, stripped."""
        self._heed(snapshot)
        if len(snapshot.line_before.strip()) >= BEGUN:
            return frozenset()
        since = self._clock() - SECONDS
        return frozenset(refused.line for refused in self._refused if refused.at >= since)

    def _heed(self, snapshot: Snapshot) -> None:
        """Whether the newest offer of the document was typed over since it was shown."""
        offer = self._shown.get(snapshot.uri)
        typed = typed_since(offer, snapshot) if offer else None
        if offer is None or not typed:
            return
        first = offer.suggestion.text.partition("\n")[0]
        here = typed.partition("\n")[0]
        if first.startswith(here) and "\n" not in typed:
            return  # it is being typed along
        del self._shown[snapshot.uri]
        if not here.startswith(first):
            line = (offer.prefix.rpartition("\n")[2] + first).strip()
            self._refused.append(_Refused(line, self._clock()))
