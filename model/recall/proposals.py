"""Lines of the document and the repository that may be meant at a cursor, as token ids, with what a ranker sees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from model.drafts.stores import LONGEST
from model.recall.behind import frame, tails
from model.recall.candidates import candidates
from model.recall.cursor import Cursor
from model.recall.ranking import features
from model.recall.taken import NOTHING_TAKEN, Taken
from model.repository import LinePlace, LineStore, Tokens
from model.request import NOT_LATELY, Lately
from model.vocabulary import Vocabulary

_CANDIDATES = 24
_CONTINUATIONS = 64  # of the words before a cursor inside a line
_NEIGHBORS = 12  # lines on either side that are looked up
_CLOSERS = " \t)]}\"'`;:,"


@dataclass(frozen=True)
class LineRequest:
    """Where a line is wanted: a cursor, and the token ids up to it."""

    cursor: Cursor
    ids: Sequence[int]
    lately: Lately = NOT_LATELY
    taken: Taken = NOTHING_TAKEN


@dataclass(frozen=True, eq=False)
class Proposals:
    """`texts` go in at the cursor; `table`: float [n, FEATURES]; `taken`: what is known behind each of them."""

    inside: bool  # something stands before the cursor on its line
    texts: tuple[str, ...]
    table: np.ndarray
    taken: tuple[Taken, ...]


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
        found = candidates(cursor, self._places(wanted), _CANDIDATES, wanted.lately, wanted.taken)
        if not found:
            return None
        columns = [cursor.column_above + candidate.seen.step for candidate in found]
        texts = [_indented(cursor, c.text, column) for c, column in zip(found, columns, strict=True)]
        table = features(cursor, found, wanted.taken.n_lines)
        taken = tuple(wanted.taken.then(cursor, candidate.seen) for candidate in found)
        return Proposals(bool(cursor.start.strip()), tuple(texts), table, taken)

    def _places(self, wanted: LineRequest) -> Iterable[LinePlace]:
        cursor = wanted.cursor
        if not self.lines:
            return ()
        found = self.lines.between(
            cursor.before.texts[-_NEIGHBORS:], cursor.after.texts[:_NEIGHBORS], without=cursor.path
        )
        if cursor.start.strip():
            found = [*found, *self._continued(wanted, self.lines)]
        if (place := wanted.taken.place) and place.path != cursor.path:
            found = [place, *found]
        return {(place.path, place.row): place for place in found}.values()

    def _continued(self, wanted: LineRequest, lines: LineStore) -> Sequence[LinePlace]:
        """Where the last tokens stand, the line may go on as it did there; where no longer piece of the line does, as
        it did where those in front of its last name stand."""
        start, here = wanted.cursor.start, wanted.cursor.path
        pieces, around = tails(start), frame(start)
        found = self._near(wanted.ids, [tail for _, tail in pieces], lines, here)
        first = found[0].lines.texts[found[0].row] if found else ""
        longest = next((n for n, tail in pieces if tail in first), 0)
        if around is None or longest > around.n_words:
            return found
        before = f"\n{start[: len(start) - len(start.lstrip())]}{around.head}".rstrip()
        ids = self.vocabulary.encode(before)[-LONGEST:]
        return [*found, *self._near(ids, [around.head], lines, here)]

    def _near(
        self, ids: Sequence[int], pieces: Sequence[str], lines: LineStore, here: str
    ) -> Sequence[LinePlace]:
        """Lines with one of these pieces, in files that have the tokens."""
        found = self.tokens.positions(ids, limit=_CONTINUATIONS, without=here) if self.tokens else ()
        paths = list(dict.fromkeys(path for path, _ in found))
        return lines.containing(pieces, paths, limit=_CONTINUATIONS, beside=here)


def _indented(cursor: Cursor, text: str, column: int) -> str:
    """`text` with what is missing of its indentation, when nothing else stands before the cursor."""
    if cursor.start.strip():
        return text
    unit = "\t" if "\t" in cursor.start else " "
    return unit * (column - len(cursor.start)) + text
