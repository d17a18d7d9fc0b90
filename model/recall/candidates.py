"""Whole lines that may be meant at a cursor: those that stand elsewhere between the same lines, as they are or adapted.

Places like the cursor come from the document itself and from the repository's line index; a place is like the cursor
when the lines next to it are equal or share words, and likeliest where it goes on with what was just written from
there. Everything here is a pure function of text.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from model.recall.agreement import NONE, Agreement, Shared, agreements
from model.recall.behind import rest_behind
from model.recall.cursor import LONGEST_LINE, Cursor
from model.recall.likeness import LINES_AFTER, LINES_BEFORE, Likeness, alike, around, likeness, n_same
from model.recall.renaming import renaming
from model.recall.taken import NOTHING_TAKEN, Taken
from model.repository import LinePlace, Lines
from model.request import NOT_LATELY, Lately

_OWN_LINES = 1_500  # of the document, the nearest
_CLOSE = 64  # places that are compared word by word
_ADAPTED_PLACES, _MAX_ADAPTED = 24, 8
_SHARED = 8  # equal lines on either side that agreement tells apart


@dataclass(frozen=True)
class Seen:
    """A line at a place that may be like the cursor's. `distance`: lines from the cursor in its document; elsewhere
    how many lines were written since it was, and -1 where it was not lately.
    `text` is what of the line would follow the cursor, `n_matched` how many words before the cursor it has as well,
    and `whole` whether those are all there are on the cursor's line. `in_a_row`: so many lines right before it were
    just written from there."""

    path: str
    lines: Lines
    row: int
    distance: int
    text: str
    n_matched: int
    whole: bool
    in_a_row: int

    @property
    def line(self) -> str:
        return self.lines.texts[self.row]

    @property
    def step(self) -> int:
        """Columns from the line above to this one."""
        columns = self.lines.columns
        return columns[self.row] - columns[self.row - 1] if self.row else 0


@dataclass(frozen=True)
class Candidate:
    """`text` goes in at the cursor. Likeness and place are those of the best place that has it; `n_places`, and `n_own`
    in the document, count all of them, `share` is their part of all likeness. `above`: the agreement of the places
    behind the same lines, whatever stands behind them."""

    text: str
    seen: Seen
    likeness: Likeness
    score: float
    adapted: bool
    n_places: int
    n_own: int
    share: float
    agreement: Agreement
    above: Agreement


def candidates(
    cursor: Cursor,
    places: Iterable[LinePlace],
    limit: int,
    lately: Lately = NOT_LATELY,
    taken: Taken = NOTHING_TAKEN,
) -> list[Candidate]:
    """At most `limit` lines as they stand somewhere, the most likely first, and behind them some adapted ones. A line
    that was written lately counts as near, wherever it stands; one that was refused is none, nor is a whole line
    as it stands whose names became others in the lines above. The place that the line above was `taken` from comes
    before all others."""
    seen = [*_own(cursor, taken), *_elsewhere(cursor, places, lately, taken)]
    if lately.refused:
        seen = [one for one in seen if (cursor.start + one.text).strip() not in lately.refused]
    quick = sorted(seen, key=lambda one: (-one.in_a_row, -_quick_score(cursor, one)))
    close = [(likeness(cursor, one.lines, one.row), one) for one in quick[:_CLOSE]]
    close.sort(key=lambda pair: (-pair[1].in_a_row, -_score(*pair)))
    shared, shared_above = _shared(cursor, seen)
    whole = not cursor.start.strip()
    found = _pooled(
        [pair for pair in close if not (whole and pair[0].run.exchanges(pair[1].line))],
        agreements(shared),
        agreements(shared_above),
        Counter(one.text for one in seen),
        Counter(one.text for one in seen if one.distance >= 0),
    )
    adapted = _adapted(cursor, close[:_ADAPTED_PLACES], {c.text for c in found}) if whole else []
    adapted = [one for one in adapted if one.text.strip() not in lately.refused]
    return [*found[:limit], *adapted[:_MAX_ADAPTED]]


def _score(like: Likeness, seen: Seen) -> float:
    near = 0.5 + 0.5 * math.exp(-seen.distance / 50) if seen.distance >= 0 else 0.0
    return like.score + near + seen.n_matched


def _shared(cursor: Cursor, seen: Iterable[Seen]) -> tuple[list[Shared], list[Shared]]:
    """Of places that share words before the cursor, or the next line above or below it; and of those that share the
    line above, whatever stands below them."""
    above, below = cursor.above, cursor.below
    mine = cursor.before.texts[: -_SHARED - 1 : -1], cursor.after.texts[:_SHARED]
    shared, shared_above = [], []
    for one in seen:
        texts, row = one.lines.texts, one.row
        before = after = 0
        if row and texts[row - 1] == above:
            before = n_same(mine[0], texts[max(0, row - _SHARED) : row][::-1])
            shared_above.append(Shared(before, one.text, one.path))
        if one.n_matched:
            shared.append(Shared(one.n_matched + one.whole, one.text, one.path))
            continue
        if row + 1 < len(texts) and texts[row + 1] == below:
            after = n_same(mine[1], texts[row + 1 : row + 1 + _SHARED])
        if before or after:
            shared.append(Shared(before + after, one.text, one.path))
    return shared, shared_above


def _own(cursor: Cursor, taken: Taken) -> Iterator[Seen]:
    """Lines of the document, the nearest."""
    first = max(0, len(cursor.before.texts) - _OWN_LINES)
    for lines, rows in (
        (cursor.before, range(first, len(cursor.before.texts))),
        (cursor.after, range(min(_OWN_LINES, len(cursor.after.texts)))),
    ):
        for row in rows:
            distance = abs(lines.numbers[row] - cursor.number)
            yield from _seen(cursor, cursor.path, lines, row, distance, taken)


def _elsewhere(cursor: Cursor, places: Iterable[LinePlace], lately: Lately, taken: Taken) -> Iterator[Seen]:
    ago = {line: n for n, line in reversed([*enumerate(lately.written)])}
    for place in places:
        distance = ago.get(place.lines.texts[place.row], -1)
        yield from _seen(cursor, place.path, place.lines, place.row, distance, taken)


def _seen(cursor: Cursor, path: str, lines: Lines, row: int, distance: int, taken: Taken) -> Iterator[Seen]:
    """The line, or what stands in it behind the words that stand before the cursor."""
    line = lines.texts[row]
    if len(line) >= LONGEST_LINE:
        return
    n_before = taken.before(cursor, path, lines.numbers[row]) if taken.place else 0
    if not cursor.start.strip():
        yield Seen(path, lines, row, distance, line, 0, False, n_before)
        return
    n_matched, rest = rest_behind(cursor.start, line)
    if rest.strip():
        whole = line.startswith(cursor.start.lstrip())
        yield Seen(path, lines, row, distance, rest, n_matched, whole, n_before)


def _quick_score(cursor: Cursor, seen: Seen) -> float:
    """About `_score`, by the two next lines alone unless they are equal: there are many lines to look at."""
    texts, row = seen.lines.texts, seen.row
    before = alike(cursor.above, texts[row - 1]) if row else 0.0
    after = alike(cursor.below, texts[row + 1]) if row + 1 < len(texts) else 0.0
    score = 2 * (before + after) + seen.n_matched
    if before == 1.0 or after == 1.0:
        theirs = around(seen.lines, row, 4)
        score += sum(map(n_same, (cursor.before.texts[:-5:-1], cursor.after.texts[:4]), theirs))
    return score - 0.001 * max(0, seen.distance)


def _pooled(
    close: Sequence[tuple[Likeness, Seen]],
    agreed: Mapping[str, Agreement],
    above: Mapping[str, Agreement],
    n_places: Counter[str],
    n_own: Counter[str],
) -> list[Candidate]:
    """One candidate for each text, best place first."""
    best: dict[str, tuple[Likeness, Seen]] = {}
    weights: defaultdict[str, float] = defaultdict(float)
    for like, seen in close:
        best.setdefault(seen.text, (like, seen))
        weights[seen.text] += math.exp(_score(like, seen))
    total = sum(weights.values())
    return [
        Candidate(
            text,
            seen,
            like,
            _score(like, seen),
            False,
            n_places[text],
            n_own[text],
            weights[text] / total,
            agreed.get(text, NONE),
            above.get(text, NONE),
        )
        for text, (like, seen) in best.items()
    ]


def _adapted(cursor: Cursor, close: Sequence[tuple[Likeness, Seen]], known: set[str]) -> list[Candidate]:
    """Lines that stand nowhere, best place first. Of these, `n_places` counts the close places that give the line."""
    best: dict[str, tuple[Likeness, Seen]] = {}
    n_places: Counter[str] = Counter()
    for like, seen in close:
        before, after = around(seen.lines, seen.row, LINES_BEFORE)
        pairs = [
            *zip(before, cursor.before.texts[::-1], strict=False),
            *zip(after[:LINES_AFTER], cursor.after.texts, strict=False),
        ]
        text = renaming(pairs, like.run.words).apply(seen.line)
        if text not in known:
            best.setdefault(text, (like, seen))
            n_places[text] += 1
    return [
        Candidate(text, seen, like, _score(like, seen), True, n_places[text], 0, 0.0, NONE, NONE)
        for text, (like, seen) in best.items()
    ]
