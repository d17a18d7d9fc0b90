"""Lines of the document and the repository that may be meant at a cursor, as token ids, with what a ranker sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model.recall.candidates import candidates
from model.recall.cursor import Cursor, TextLines
from model.recall.ranking import features
from model.repository import LinePlace, LineStore, Tokens
from model.vocabulary import Vocabulary

_CANDIDATES = 24
_CONTINUATIONS, _LINE_TOKENS = 48, 24  # of the words before a cursor inside a line, and tokens of each
_NEIGHBORS = 12  # lines on either side that are looked up
_CLOSERS = " \t)]}\"'`;:,"


@dataclass(frozen=True)
class LineRequest:
    """Where a line is wanted: a cursor, the token ids up to it, and the character (or "") that these leave out."""

    cursor: Cursor
    ids: Sequence[int]
    begin: str


@dataclass(frozen=True, eq=False)
class Proposals:
    """`texts` go in at the cursor; `ids` write them with the line's end; `table`: float [n, FEATURES]."""

    inside: bool  # something stands before the cursor on its line
    texts: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]
    table: np.ndarray


@dataclass(frozen=True)
class RecallStores:
    """What there is to look up in: either store may be missing."""

    lines: LineStore | None
    tokens: Tokens | None
    vocabulary: Vocabulary

    def propose(self, wanted: LineRequest) -> Proposals | None:
        """Lines for a cursor, None where there are none."""
        cursor = wanted.cursor
        if cursor.rest.strip(_CLOSERS):
            return None  # what would be written is no line's end
        found = candidates(cursor, self._places(wanted), _CANDIDATES)
        if not found:
            return None
        columns = [cursor.column_above + candidate.seen.step for candidate in found]
        texts = [_indented(cursor, c.text, column) for c, column in zip(found, columns, strict=True)]
        ids = [tuple(self.vocabulary.encode(f"{wanted.begin}{text}\n")) for text in texts]
        return Proposals(bool(cursor.start.strip()), tuple(texts), tuple(ids), features(cursor, found))

    def _places(self, wanted: LineRequest) -> Iterator[LinePlace]:
        cursor = wanted.cursor
        if self.lines:
            yield from self.lines.between(
                cursor.before.texts[-_NEIGHBORS:], cursor.after.texts[:_NEIGHBORS], without=cursor.path
            )
        if self.tokens and cursor.start.strip():
            yield from _continued(wanted, self.tokens, self.vocabulary)


@dataclass(frozen=True)
class _Continuation:
    """A `LinePlace` whose surroundings are not known."""

    lines: TextLines
    path: str = ""
    row: int = 0


def _continued(wanted: LineRequest, tokens: Tokens, vocabulary: Vocabulary) -> Iterator[LinePlace]:
    """Lines of the repository that go through the words before a cursor inside a line."""
    start = wanted.cursor.start.lstrip()
    left = _CONTINUATIONS
    for match in tokens.matches(wanted.ids, limit=left, width=_LINE_TOKENS, without=wanted.cursor.path):
        for row in match.continuations[:left].tolist():
            text = b"".join(vocabulary.token_bytes(token) for token in row if token >= 0).decode(
                "utf-8", "ignore"
            )
            line, end, _ = text.partition("\n")
            if end and line.startswith(wanted.begin):
                yield _Continuation(TextLines.of([start + line.removeprefix(wanted.begin)]))
        left -= len(match.continuations)
        if left <= 0:
            return


def _indented(cursor: Cursor, text: str, column: int) -> str:
    """`text` with what is missing of its indentation, when nothing else stands before the cursor."""
    if cursor.start.strip():
        return text
    unit = "\t" if "\t" in cursor.start else " "
    return unit * (column - len(cursor.start)) + text
