"""What the user changed: versions of open documents -> edits. Lives where the documents do, on one thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from lsp_server.edits.tokens import line_end, line_start

N_EDITS = 12  # remembered, in all documents together
MOST_EDIT_CHARS = 3_000  # before or after, whole lines; more was pasted, formatted or checked out
MOST_CHARS = 2_000_000  # of a document that is followed: each keystroke is compared with the one before


@dataclass(frozen=True)
class Edit:
    """One place as it stood and as it stands, whole lines with the line above and the line below.

    `start` is the offset of `new` in its document when that was last looked at; "\\n" line ends are not assumed.
    """

    uri: str
    language: str
    start: int
    old: str
    new: str
    above: int  # characters of the line above, its end included, that both begin with
    below: int  # of the line below, that both end with

    @property
    def changed(self) -> tuple[str, str]:
        """The lines that changed, without those around them."""
        return self._middle(self.old), self._middle(self.new)

    def undoes(self, other: Edit) -> bool:
        """Whether it is `other` taken back."""
        return self.uri == other.uri and self.changed == other.changed[::-1]

    def _middle(self, text: str) -> str:
        return text[self.above : len(text) - self.below]


@dataclass
class _Place:
    """Where changes gather until they come somewhere else: whole lines of the document, and what stood there."""

    start: int
    end: int
    old: str


@dataclass
class _Followed:
    """An open document as it was last seen."""

    language: str
    text: str
    place: _Place | None = None


class History:
    """The newest edits of all open documents. Changes at one place are one edit, until they come elsewhere."""

    def __init__(self) -> None:
        self._documents: dict[str, _Followed] = {}
        self._closed: deque[Edit] = deque(maxlen=N_EDITS)  # the newest last
        self._withdrawn: deque[Edit] = deque(maxlen=N_EDITS)

    def changed(self, uri: str, language: str, text: str) -> None:
        """A document was opened or has this text now."""
        known = self._documents.get(uri)
        if known is None or max(len(text), len(known.text)) > MOST_CHARS:
            self._documents[uri] = _Followed(language, text if len(text) <= MOST_CHARS else "")
            return
        if text == known.text:
            return
        before = self._edit(uri, known)
        self._take_in(uri, known, text)
        known.text = text
        place = known.place
        if before and place and place.old == text[place.start : place.end]:
            self._withdrawn.append(before)

    def grown(self, uri: str, text: str) -> None:
        """A document has this text now, and the user has not written what is new."""
        known = self._documents.get(uri)
        if known is None or not known.text:
            return
        start, old_end, new_end = changed_span(known.text, text)
        by, place = new_end - old_end, known.place
        if place and place.start >= old_end:
            known.place = _Place(place.start + by, place.end + by, place.old)
        elif place:
            self._close(uri, known)
        self._move(uri, start, by)
        known.text = text

    def forget(self, uri: str) -> None:
        """The document was closed: nobody asks any more whether it is a secret, so nothing of it stays."""
        self._documents.pop(uri, None)
        left = [edit for edit in self._closed if edit.uri != uri]
        self._closed.clear()
        self._closed.extend(left)

    def edits(self) -> list[Edit]:
        """The newest first; what the user may still be at comes before all others."""
        gathering = [self._edit(uri, known) for uri, known in self._documents.items() if known.place]
        return [*(edit for edit in gathering if edit is not None), *reversed(self._closed)][:N_EDITS]

    def written(self) -> Iterator[str]:
        """Lines that came with the edits, stripped, the newest edit's first."""
        for edit in self.edits():
            old, new = edit.changed
            before = {line.strip() for line in old.splitlines()}
            yield from (
                line for line in map(str.strip, reversed(new.splitlines())) if line and line not in before
            )

    def take_withdrawn(self) -> list[Edit]:
        """Edits that were undone since this was last asked."""
        found = list(self._withdrawn)
        self._withdrawn.clear()
        return found

    def _take_in(self, uri: str, known: _Followed, text: str) -> None:
        before = known.text
        start, old_end, new_end = changed_span(before, text)
        first, last = line_start(before, start), line_end(before, old_end)
        place = known.place
        if place and (first > place.end or last < place.start):
            self._close(uri, known)
            place = None
        for other_uri, other in self._documents.items():
            if other_uri != uri:
                self._close(other_uri, other)
        if place is None:
            place = _Place(first, last, before[first:last])
        else:
            left, right = min(first, place.start), max(last, place.end)
            whole = before[left : place.start] + place.old + before[place.end : right]
            place = _Place(left, right, whole)
        place.end += new_end - old_end
        self._move(uri, start, new_end - old_end)
        known.place = place if _is_small(place) else None

    def _move(self, uri: str, start: int, by: int) -> None:
        """Edits below a change have moved with their text."""
        for index, edit in enumerate(self._closed):
            if edit.uri == uri and edit.start > start:
                self._closed[index] = replace(edit, start=edit.start + by)

    def _close(self, uri: str, known: _Followed) -> None:
        """No more changes come to its place."""
        edit = self._edit(uri, known)
        known.place = None
        if edit is None:
            return
        undone = next((other for other in reversed(self._closed) if edit.undoes(other)), None)
        if undone is None:
            self._closed.append(edit)
        else:
            self._closed.remove(undone)
            self._withdrawn.append(undone)

    def _edit(self, uri: str, known: _Followed) -> Edit | None:
        place, text = known.place, known.text
        if place is None or place.old == text[place.start : place.end]:
            return None
        top = line_start(text, max(place.start - 1, 0))
        bottom = line_end(text, min(place.end + 1, len(text)))
        above, below = text[top : place.start], text[place.end : bottom]
        new = text[place.start : place.end]
        return Edit(
            uri,
            known.language,
            top,
            above + place.old + below,
            above + new + below,
            len(above),
            len(below),
        )


def changed_span(before: str, after: str) -> tuple[int, int, int]:
    """(start, end before, end after) of what differs: linear, by comparing slices."""
    shorter = min(len(before), len(after))
    start = _n_same(shorter, lambda low, high: before[low:high] == after[low:high])
    left, a, b = shorter - start, len(before), len(after)
    same = _n_same(left, lambda low, high: before[a - high : a - low] == after[b - high : b - low])
    return start, a - same, b - same


def _n_same(most: int, agree: Callable[[int, int], bool]) -> int:
    """The largest n up to which they agree; each half is compared once."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if agree(low, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _is_small(place: _Place) -> bool:
    return max(len(place.old), place.end - place.start) <= MOST_EDIT_CHARS
