"""Whole lines that may be meant at a cursor: those that stand elsewhere between the same lines, as they are or adapted.

Places like the cursor come from the document itself and from the repository's line index; a place is like the cursor
when the lines next to it are equal or share words. Everything here is a pure function of text.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from model.recall.agreement import NONE, Agreement, Shared, agreements
from model.recall.behind import rest_behind
from model.recall.cursor import LONGEST_LINE, TOKEN, Cursor
from model.recall.renaming import renaming
from model.repository import LinePlace, Lines
from model.request import NOT_LATELY, Lately

_COMPARED = 64  # neighboring lines that are compared for equality
_LINES_BEFORE, _LINES_AFTER, _FADE = (
    4,
    3,
    0.6,
)  # that are compared word by word, and what each further one counts
_OWN_LINES = 1_500  # of the document, the nearest
_CLOSE = 64  # places that are compared word by word
_ADAPTED_PLACES, _MAX_ADAPTED = 24, 8
_KEPT_CHARS = 500  # of longer lines nothing is kept in memory: there may be many
_SHARED = 8  # equal lines on either side that agreement tells apart


@dataclass(frozen=True)
class Seen:
    """A line at a place that may be like the cursor's. `distance`: lines from the cursor in its document; elsewhere
    how many lines were written since it was, and -1 where it was not lately.
    `text` is what of the line would follow the cursor, `n_matched` how many words before the cursor it has as well,
    and `whole` whether those are all there are on the cursor's line."""

    path: str
    lines: Lines
    row: int
    distance: int
    text: str
    n_matched: int
    whole: bool

    @property
    def line(self) -> str:
        return self.lines.texts[self.row]

    @property
    def step(self) -> int:
        """Columns from the line above to this one."""
        columns = self.lines.columns
        return columns[self.row] - columns[self.row - 1] if self.row else 0


@dataclass(frozen=True)
class Likeness:
    """How like the cursor a place is: equal lines in a row on either side, words in common with the next line (0 to 1),
    and with several, fading."""

    same_before: int
    same_after: int
    next_before: float
    next_after: float
    like_before: float
    like_after: float

    @property
    def score(self) -> float:
        return _weight(self.same_before) + _weight(self.same_after) + 2 * (self.like_before + self.like_after)


@dataclass(frozen=True)
class Candidate:
    """`text` goes in at the cursor. Likeness and place are those of the best place that has it; `n_places`, and `n_own`
    in the document, count all of them, `share` is their part of all likeness."""

    text: str
    seen: Seen
    likeness: Likeness
    score: float
    adapted: bool
    n_places: int
    n_own: int
    share: float
    agreement: Agreement


def candidates(
    cursor: Cursor, places: Iterable[LinePlace], limit: int, lately: Lately = NOT_LATELY
) -> list[Candidate]:
    """At most `limit` lines as they stand somewhere, the most likely first, and behind them some adapted ones. A line
    that was written lately counts as near, wherever it stands; one that was refused is none."""
    seen = [*_own(cursor), *_elsewhere(cursor, places, lately)]
    if lately.refused:
        seen = [one for one in seen if (cursor.start + one.text).strip() not in lately.refused]
    quick = sorted(seen, key=lambda one: -_quick_score(cursor, one))
    close = [(_likeness(cursor, one), one) for one in quick[:_CLOSE]]
    close.sort(key=lambda pair: -_score(*pair))
    agreed = agreements(_shared(cursor, seen))
    found = _pooled(
        close,
        agreed,
        Counter(one.text for one in seen),
        Counter(one.text for one in seen if one.distance >= 0),
    )
    adapted = (
        [] if cursor.start.strip() else _adapted(cursor, close[:_ADAPTED_PLACES], {c.text for c in found})
    )
    adapted = [one for one in adapted if one.text.strip() not in lately.refused]
    return [*found[:limit], *adapted[:_MAX_ADAPTED]]


def _weight(n_same: int) -> float:
    """The first few equal lines say most."""
    return n_same if n_same <= 4 else 4 + math.log2(n_same / 4)


def _score(likeness: Likeness, seen: Seen) -> float:
    near = 0.5 + 0.5 * math.exp(-seen.distance / 50) if seen.distance >= 0 else 0.0
    return likeness.score + near + seen.n_matched


def _shared(cursor: Cursor, seen: Iterable[Seen]) -> Iterator[Shared]:
    """Of places that share words before the cursor, or the next line above or below it."""
    above, below = cursor.above, cursor.below
    mine = cursor.before.texts[: -_SHARED - 1 : -1], cursor.after.texts[:_SHARED]
    for one in seen:
        texts, row = one.lines.texts, one.row
        if one.n_matched:
            yield Shared(one.n_matched + one.whole, one.text, one.path)
            continue
        is_above = row > 0 and texts[row - 1] == above
        is_below = row + 1 < len(texts) and texts[row + 1] == below
        if is_above or is_below:
            before = _same(mine[0], texts[max(0, row - _SHARED) : row][::-1]) if is_above else 0
            after = _same(mine[1], texts[row + 1 : row + 1 + _SHARED]) if is_below else 0
            yield Shared(before + after, one.text, one.path)


def _own(cursor: Cursor) -> Iterator[Seen]:
    """Lines of the document, the nearest."""
    first = max(0, len(cursor.before.texts) - _OWN_LINES)
    for lines, rows in (
        (cursor.before, range(first, len(cursor.before.texts))),
        (cursor.after, range(min(_OWN_LINES, len(cursor.after.texts)))),
    ):
        for row in rows:
            yield from _seen(cursor, cursor.path, lines, row, abs(lines.numbers[row] - cursor.number))


def _elsewhere(cursor: Cursor, places: Iterable[LinePlace], lately: Lately) -> Iterator[Seen]:
    ago = {line: n for n, line in reversed([*enumerate(lately.written)])}
    for place in places:
        distance = ago.get(place.lines.texts[place.row], -1)
        yield from _seen(cursor, place.path, place.lines, place.row, distance)


def _seen(cursor: Cursor, path: str, lines: Lines, row: int, distance: int) -> Iterator[Seen]:
    """The line, or what stands in it behind the words that stand before the cursor."""
    line = lines.texts[row]
    if len(line) >= LONGEST_LINE:
        return
    if not cursor.start.strip():
        yield Seen(path, lines, row, distance, line, 0, False)
        return
    n_matched, rest = rest_behind(cursor.start, line)
    if rest.strip():
        yield Seen(path, lines, row, distance, rest, n_matched, line.startswith(cursor.start.lstrip()))


def _same(mine: Sequence[str], theirs: Sequence[str]) -> int:
    """How many lines are equal from the first on."""
    n = 0
    for a, b in zip(mine, theirs, strict=False):
        if a != b:
            break
        n += 1
    return n


def _around(lines: Lines, row: int, n: int) -> tuple[Sequence[str], Sequence[str]]:
    """The lines before a row and those behind it, nearest first."""
    return lines.texts[max(0, row - n) : row][::-1], lines.texts[row + 1 : row + 1 + n]


def _quick_score(cursor: Cursor, seen: Seen) -> float:
    """About `_score`, by the two next lines alone unless they are equal: there are many lines to look at."""
    texts, row = seen.lines.texts, seen.row
    before = alike(cursor.above, texts[row - 1]) if row else 0.0
    after = alike(cursor.below, texts[row + 1]) if row + 1 < len(texts) else 0.0
    score = 2 * (before + after) + seen.n_matched
    if before == 1.0 or after == 1.0:
        around = _around(seen.lines, row, 4)
        score += sum(map(_same, (cursor.before.texts[:-5:-1], cursor.after.texts[:4]), around))
    return score - 0.001 * max(0, seen.distance)


def _likeness(cursor: Cursor, seen: Seen) -> Likeness:
    before, after = _around(seen.lines, seen.row, _COMPARED)
    mine_before, mine_after = cursor.before.texts[: -_COMPARED - 1 : -1], cursor.after.texts[:_COMPARED]
    return Likeness(
        same_before=_same(mine_before, before),
        same_after=_same(mine_after, after),
        next_before=_fading(mine_before, before, 1),
        next_after=_fading(mine_after, after, 1),
        like_before=_fading(mine_before, before, _LINES_BEFORE),
        like_after=_fading(mine_after, after, _LINES_AFTER),
    )


def _fading(mine: Sequence[str], theirs: Sequence[str], n: int) -> float:
    return sum(_FADE**i * alike(a, b) for i, (a, b) in enumerate(zip(mine[:n], theirs[:n], strict=False)))


def words(line: str) -> frozenset[str]:
    """The words and signs of a line."""
    return _words(line) if len(line) <= _KEPT_CHARS else _words.__wrapped__(line)


def alike(a: str, b: str) -> float:
    """Jaccard's similarity of the words and signs of two lines."""
    return _alike(a, b) if len(a) + len(b) <= _KEPT_CHARS else _alike.__wrapped__(a, b)


@lru_cache(maxsize=4_096)  # a kilobyte each
def _words(line: str) -> frozenset[str]:
    return frozenset(TOKEN.findall(line, 0, LONGEST_LINE))


@lru_cache(maxsize=8_192)
def _alike(a: str, b: str) -> float:
    mine, theirs = words(a), words(b)
    return len(mine & theirs) / max(1, len(mine | theirs))


def _pooled(
    close: Sequence[tuple[Likeness, Seen]],
    agreed: Mapping[str, Agreement],
    n_places: Counter[str],
    n_own: Counter[str],
) -> list[Candidate]:
    """One candidate for each text, best place first."""
    best: dict[str, tuple[Likeness, Seen]] = {}
    weights: defaultdict[str, float] = defaultdict(float)
    for likeness, seen in close:
        best.setdefault(seen.text, (likeness, seen))
        weights[seen.text] += math.exp(_score(likeness, seen))
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
        )
        for text, (like, seen) in best.items()
    ]


def _adapted(cursor: Cursor, close: Sequence[tuple[Likeness, Seen]], known: set[str]) -> list[Candidate]:
    found: dict[str, Candidate] = {}
    for likeness, seen in close:
        before, after = _around(seen.lines, seen.row, _LINES_BEFORE)
        pairs = [
            *zip(before, cursor.before.texts[::-1], strict=False),
            *zip(after[:_LINES_AFTER], cursor.after.texts, strict=False),
        ]
        text = renaming(pairs).apply(seen.line)
        if text not in known:
            score = _score(likeness, seen)
            found.setdefault(text, Candidate(text, seen, likeness, score, True, 0, 0, 0.0, NONE))
    return list(found.values())
