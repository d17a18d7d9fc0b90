"""Whether a completion at a cursor is one line or a block, where braces tell: read from the text, without a tree.

A block is written where its body is empty, comments apart. Its closing line belongs to it unless it stands there
already, below the cursor at the opening line's indentation.
"""

from __future__ import annotations

from dataclasses import dataclass

from indexer.extents import LINE, Extent, columns
from indexer.lexis import Lexis
from indexer.scanning import Above, Opened, Scan, scan

_BEHIND_LINES = 100  # below a cursor in which code is looked for
_LONGEST_HEAD = 400  # characters of a line that a block may follow


def brace_block(above: Above, after: str, lexis: Lexis, *, whole: bool) -> Extent:
    """What to complete before a text; what stands behind the cursor on its line is nothing but closers.

    `whole`: that is all that stands behind the cursor.
    """
    before, found = above.text, above.scan
    top = found.opened[-1] if found.opened else None
    if top is not None and not top.is_code:
        return LINE
    place = _BracePlace(before, after, lexis, found, whole)
    if found.last < 0 and place.below is None:
        return Extent(True, 0)
    if top is not None and top.mark == "{" and top.at == found.last and not place.is_attribute:
        return place.body(top, "}")
    if lexis.opens_tag(place.opener) and not place.here.strip():
        return place.body(None, "</")
    if place.is_indenting:
        return place.indented()
    return Extent(False, 0, columns(place.here)) if lexis.is_head(place.here) else LINE


@dataclass(frozen=True)
class _Below:
    """The first line behind the cursor that says something. `row`: from the cursor's own, 0."""

    row: int
    text: str
    columns: int


class _BracePlace:
    """A cursor in code."""

    def __init__(self, before: str, after: str, lexis: Lexis, found: Scan, whole: bool) -> None:
        self.here = before[before.rfind("\n") + 1 :]
        self.opener = _line_of(before, found.last)[-_LONGEST_HEAD:]
        self.below = _below(after, lexis)
        self._before, self._lexis, self._scan = before, lexis, found
        self._after = after if whole else None
        self._width = columns(_line_of(before, found.last))

    @property
    def is_attribute(self) -> bool:
        """Whether the brace begins an attribute's value, or something in a tag's text."""
        begun = self._before[: self._scan.last]
        return self._lexis.tags and begun.endswith(("=", ">")) and not begun.endswith("=>")

    @property
    def is_indenting(self) -> bool:
        """Whether what is above the cursor's line has a body that only stands deeper."""
        return self._lexis.is_label(self.opener) or (
            not self.here.strip() and self.opener.endswith(self._lexis.arrows or ("\0",))
        )

    def body(self, top: Opened | None, closer: str) -> Extent:
        """In a pair of braces or tags, whose end may lack."""
        base = self._base(top)
        below = self.below
        if below and below.row and not below.text.startswith(closer) and below.columns > base:
            return LINE
        is_there = (
            below is not None and below.text.startswith(closer) and below.row > 0 and below.columns >= base
        )
        if is_there and top is not None and self._lacks_closers():
            is_there = False
        return Extent(True, self._indent(base), None if is_there else base)

    def _lacks_closers(self) -> bool:
        """Whether fewer brackets are closed below than are open, as far as the whole text tells."""
        if self._after is None or any(mark in self._before for mark in self._lexis.branches):
            return False
        return len(scan(self._after, self._lexis, recovers=True).closed) < len(self._scan.opened)

    def indented(self) -> Extent:
        """Behind a label or an arrow: as long as the lines stand deeper."""
        if (
            self.below
            and self.below.columns > self._width
            and not self.below.text.startswith((")", "]", "}"))
        ):
            return LINE
        return Extent(True, self._indent(self._width))

    def _indent(self, base: int) -> int:
        width = columns(self.here)
        return width if not self.here.strip() and width > base else base + 1

    def _base(self, top: Opened | None) -> int:
        """The columns of the closing line: of the line that opens, or of the one where the call around it begins."""
        width = columns(self.here)
        if self.here.strip() or width > self._width or not width or top is None:
            return self._width
        around = reversed(self._scan.opened[:-1])  # the last is `top`
        starts = [columns(_line_of(self._before, one.at, whole=True)) for one in around if one.mark != "{"]
        return next((start for start in starts if start < width), self._width)


def _line_of(text: str, at: int, *, whole: bool = False) -> str:
    """The line that holds an offset, up to it unless it is wanted whole."""
    start = text.rfind("\n", 0, max(at, 0)) + 1
    if not whole:
        return text[start : at + 1]
    end = text.find("\n", start)
    return text[start : end if end >= 0 else len(text)]


def _below(after: str, lexis: Lexis) -> _Below | None:
    """The first code behind a cursor."""
    lines = after.split("\n")[:_BEHIND_LINES]
    text = "\n".join(lines)
    at = _first_code(text, lexis)
    if at < 0:
        return None
    row = text.count("\n", 0, at)
    return _Below(row, text[at : at + 2], columns(lines[row]) if row else 0)


def _first_code(text: str, lexis: Lexis) -> int:
    """The offset of what is neither space nor comment, -1 for none."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text.startswith(lexis.line_comments or ("\0",), at):
            end = text.find("\n", at)
            at = end if end >= 0 else len(text)
        else:
            closes = next(
                (ends for begins, ends in lexis.block_comments if text.startswith(begins, at)), None
            )
            if closes is None:
                return at
            end = text.find(closes, at + 2)
            at = end + len(closes) if end >= 0 else len(text)
    return -1
