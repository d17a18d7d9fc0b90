"""textDocument/copilotInlineEdit: which edit is offered next in one client's documents, and what became of offers.

Lives on the event loop; places are looked for on a thread of their own, in texts that do not change.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from lsp_server.aside import aside
from lsp_server.edits.changes import Key, changed_tokens
from lsp_server.edits.history import History
from lsp_server.edits.meanings import OpenText
from lsp_server.edits.proposing import EditProposal, propose
from lsp_server.snapshot import Buffer

QUIET_SECONDS = 0.25  # without a change, after which the user has paused
N_KNOWN = 32  # offers that are remembered
N_WRITTEN = 64  # lines that are told
N_REFUSED = 200  # edits that are not offered again
MOST_PASSED_OVER = 3  # times that an offer was shown and the user went on with something else
MOST_TOGETHER = 50  # places of a renamed name that are offered at once


@dataclass(frozen=True)
class EditOffer:
    """One edit, or all places of a name that was renamed at one of them; the nearest first, all in one document."""

    number: int
    uri: str
    text: str  # of that document, which the places are offsets in
    proposals: tuple[EditProposal, ...]

    @property
    def key(self) -> Key:
        """Of the user's edit that it repeats."""
        return self.proposals[0].key

    def is_same(self, other: EditOffer) -> bool:
        """Whether the same would be written at the same places of the same text."""
        own, theirs = ([(one.start, one.end, one.text) for one in offer.proposals] for offer in (self, other))
        return (self.uri, self.text, own) == (other.uri, other.text, theirs)


class NextEdits:
    """From changes of documents to offers. What was refused does not come back in this session."""

    def __init__(self) -> None:
        self._history = History()
        self._expected: dict[
            str, str
        ] = {}  # texts of documents, with what the server is about to add to them
        self._changed_at: dict[str, float] = {}  # by document, in seconds of the monotonic clock
        self._numbers = itertools.count(1)
        self._offers: deque[EditOffer] = deque(maxlen=N_KNOWN)  # the newest last
        self._open: EditOffer | None = None  # shown, and neither taken nor refused yet
        self._refused: deque[Key] = deque(maxlen=N_REFUSED)
        self._taken: set[Key] = set()
        self._passed_over: Counter[Key] = Counter()
        self._searching = asyncio.Lock()

    def changed(self, buffer: Buffer) -> None:
        """A document was opened or has this text now."""
        is_own = self._expected.pop(buffer.uri, None) == buffer.text
        if is_own:
            self._history.grown(buffer.uri, buffer.text)
        self._history.changed(buffer.uri, buffer.language, buffer.text)
        self._changed_at[buffer.uri] = time.monotonic()

    def expect(self, uri: str, text: str) -> None:
        """If a document has this text next, that is no edit of the user's."""
        self._expected[uri] = text

    def forget(self, uri: str) -> None:
        """The document was closed: nothing of it is offered elsewhere."""
        self._history.forget(uri)
        self._changed_at.pop(uri, None)
        self._expected.pop(uri, None)

    def written(self) -> tuple[str, ...]:
        """Lines that the user wrote lately, in any document, stripped; the newest first."""
        return tuple(itertools.islice(self._history.written(), N_WRITTEN))

    async def quiet(self, uri: str) -> None:
        """Wait until the user has paused in a document."""
        while (left := self._changed_at.get(uri, 0.0) + QUIET_SECONDS - time.monotonic()) > 0:
            await asyncio.sleep(left)

    async def offer(
        self, buffer: Buffer, offset: int, others: Sequence[Buffer], min_confidence: float
    ) -> EditOffer | None:
        """The next edit for a cursor, None for none. `others`: open documents that may be edited and learned from."""
        self._heed_undone()
        open_uris = {buffer.uri, *(other.uri for other in others)}
        edits = [edit for edit in self._history.edits() if edit.uri in open_uris]
        if not edits:
            return None
        here = OpenText(buffer.uri, buffer.language, buffer.text, offset)
        recent = sorted(others, key=lambda other: -self._changed_at.get(other.uri, 0.0))
        texts = [OpenText(other.uri, other.language, other.text) for other in recent]
        refused = frozenset(self._refused)
        async with self._searching:  # one search at a time
            found = await aside(lambda: propose(edits, here, texts, refused))
        return self._offered([proposal for proposal in found if proposal.chance >= min_confidence])

    def shown(self, number: int) -> None:
        """The client has shown an offer. One that was shown before, and left alone, counts as passed over."""
        before, self._open = self._open, self._known(number)
        if before is None or self._open is None or before.number == number:
            return
        self._passed_over[before.key] += 1
        if self._passed_over[before.key] >= MOST_PASSED_OVER:
            self._refuse(before.key)

    def accepted(self, number: int) -> None:
        """The user took an offer."""
        self._open = None
        if offer := self._known(number):
            self._taken.add(offer.key)
            del self._passed_over[offer.key]

    def refused(self, number: int) -> None:
        """The user does not want an offer: its edit is not offered anywhere again."""
        self._open = None
        if offer := self._known(number):
            self._refuse(offer.key)

    def _offered(self, proposals: Sequence[EditProposal]) -> EditOffer | None:
        if not proposals:
            return None
        first = proposals[0]
        together = [
            other
            for other in proposals
            if first.renames and other.renames and (other.uri, other.key) == (first.uri, first.key)
        ]
        chosen = tuple(together[:MOST_TOGETHER]) or (first,)
        newest = self._offers[-1] if self._offers else None
        offer = EditOffer(next(self._numbers), first.uri, first.occasion.text, chosen)
        if newest is not None and newest.is_same(offer):
            return newest  # asked again
        self._offers.append(offer)
        return offer

    def _heed_undone(self) -> None:
        """An offer that was taken and undone is refused. The user's own edit, undone, is only forgotten."""
        for edit in self._history.take_withdrawn():
            changed = changed_tokens(edit)
            if changed is not None and changed.key in self._taken:
                self._refuse(changed.key)

    def _refuse(self, key: Key) -> None:
        if key not in self._refused:
            self._refused.append(key)

    def _known(self, number: int) -> EditOffer | None:
        return next((offer for offer in self._offers if offer.number == number), None)
