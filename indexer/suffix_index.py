"""Where did these tokens occur, and what followed? Token sequences of files, sorted by what precedes each position.

FastCoder (arXiv 2502.17139, 3.2) looks up the last 16 tokens, then 15, and so on down to 2, each time anew in a suffix
array. Here positions are sorted by their context read backward, nearest token first: the matches of n + 1 tokens then
lie inside those of n, and one pass of narrowing finds them for every n.

Files live in immutable segments. A changed file goes to a new small segment and is dead in its old one; a segment is
merged into a newer one that has grown to half its size, so a token is sorted O(log n) times. Readers need no lock.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

MAX_CONTEXT = 16  # tokens of context that positions are sorted by
_END = -1  # stands between files; no token


@dataclass(frozen=True, eq=False)
class Match:
    """What followed where the last `length` tokens of a context occurred: int32 [k, width], padded with -1.

    `length` is 0 and k is 0 when nothing was found. Every row has at least one token; equal rows count as often as they
    occurred.
    """

    length: int
    continuations: np.ndarray


@dataclass(frozen=True, eq=False)
class Segment:
    """Some files' tokens, int32 with an end mark behind each, and the positions sorted by what precedes them.

    `order[r]` is the place of a context's last token. `starts`: where each file begins; `alive`: whether it counts.
    """

    tokens: np.ndarray
    order: np.ndarray
    starts: np.ndarray
    alive: np.ndarray
    paths: Mapping[str, int]

    @property
    def n_alive(self) -> int:
        """Tokens of living files, end marks included."""
        ends = np.append(self.starts[1:], len(self.tokens))
        return int((ends - self.starts)[self.alive].sum())

    def is_sound(self) -> bool:
        """Whether every position lies where a search may look: for arrays that come from a disk."""
        marks = np.append(self.tokens[:MAX_CONTEXT], self.tokens[-1:])
        return bool(
            len(self.tokens) > MAX_CONTEXT + 1
            and np.all(marks == _END)
            and self.tokens.min() >= _END
            and 0 < len(self.order) < len(self.tokens)
            and self.order.min() >= MAX_CONTEXT
            and self.order.max() < len(self.tokens) - 1
        )

    def living(self) -> Iterator[tuple[str, np.ndarray]]:
        ends = np.append(self.starts[1:], len(self.tokens))
        for path, i in self.paths.items():
            if self.alive[i]:
                yield path, self.tokens[self.starts[i] : ends[i] - 1]

    def without(self, paths: Iterator[str]) -> Segment:
        dead = [i for path in paths if (i := self.paths.get(path)) is not None]
        if not dead:
            return self
        alive = self.alive.copy()
        alive[dead] = False
        return replace(self, alive=alive)

    def narrow(self, context: Sequence[int], longest: int) -> list[tuple[int, int]]:
        """Ranges of `order` whose contexts end in the last 1, 2, ... tokens, as far as there are any."""
        tokens, order = self.tokens.data, self.order.data
        ranges: list[tuple[int, int]] = []
        low, high = 0, len(order)
        for n in range(min(longest, len(context))):

            def nth_last(place: int, n: int = n) -> int:
                return int(tokens[place - n])

            token = context[-1 - n]
            low = bisect_left(order, token, low, high, key=nth_last)
            high = bisect_right(order, token, low, high, key=nth_last)
            if low == high:
                break
            ranges.append((low, high))
        return ranges

    def following(self, found: tuple[int, int], limit: int, width: int, without: str) -> np.ndarray:
        """int32 [k <= limit, width]: what follows the places of a range, sampled evenly where there are more."""
        places, _ = self._places(found, limit, without)
        ahead = np.minimum(places[:, None] + np.arange(1, width + 1), len(self.tokens) - 1)
        rows = self.tokens[ahead]
        rows[np.logical_or.accumulate(rows == _END, axis=1)] = _END
        return rows

    def positions(self, found: tuple[int, int], limit: int, without: str) -> list[tuple[str, int]]:
        """Path and position in the file of the tokens that follow the places of a range, sampled in the same way."""
        places, owners = self._places(found, limit, without)
        names = tuple(self.paths)
        offsets = places + 1 - self.starts[owners]
        return [
            (names[owner], offset) for owner, offset in zip(owners.tolist(), offsets.tolist(), strict=True)
        ]

    def _places(self, found: tuple[int, int], limit: int, without: str) -> tuple[np.ndarray, np.ndarray]:
        """Living places of a range but those in the path `without`, and the number of the file that each lies in."""
        low, high = found
        rows = (
            np.arange(low, high)
            if high - low <= limit
            else np.linspace(low, high - 1, limit).astype(np.int64)
        )
        places = self.order[rows]
        owners = np.searchsorted(self.starts, places, side="right") - 1
        counts = self.alive[owners] & (owners != self.paths.get(without, -1))
        return places[counts], owners[counts]


def build_segment(files: Mapping[str, np.ndarray]) -> Segment:
    """Sort the tokens (int32, none negative) of files. Takes about half a second per million tokens."""
    end = np.array([_END], np.int32)
    # The marks in front keep a context that is longer than the first file from reading round the end.
    pieces = [np.full(MAX_CONTEXT, _END, np.int32)]
    starts = []
    size = MAX_CONTEXT
    for ids in files.values():
        starts.append(size)
        pieces += [np.asarray(ids, np.int32), end]
        size += len(ids) + 1
    tokens = np.concatenate(pieces)
    paths = {path: i for i, path in enumerate(files)}
    return Segment(tokens, _sorted_places(tokens), np.array(starts), np.ones(len(starts), bool), paths)


def _sorted_places(tokens: np.ndarray) -> np.ndarray:
    """Places of tokens that are followed by one, in the order of the MAX_CONTEXT tokens (or more) up to and with them.

    Prefix doubling: the rank by 2n tokens is the rank of the pair (rank by n here, rank by n n tokens before). It
    begins with as many tokens as one number holds.
    """
    ranks = tokens.astype(np.int64) + 1
    bits = max(1, int(ranks.max(initial=0)).bit_length())
    n = min(MAX_CONTEXT, 63 // bits)
    keys = ranks
    for k in range(1, n):
        keys = keys << bits | _earlier(ranks, k)
    order = np.argsort(keys)
    while n < MAX_CONTEXT:
        ordered = keys[order]
        ranks[order] = np.concatenate([[0], np.cumsum(ordered[1:] != ordered[:-1])])
        keys = ranks * (ranks.max(initial=0) + 1) + _earlier(ranks, n)
        order = np.argsort(keys)
        n *= 2
    followed = np.zeros(len(tokens), bool)
    followed[:-1] = (tokens[:-1] != _END) & (tokens[1:] != _END)
    return order[followed[order]].astype(np.int32)


def _earlier(values: np.ndarray, n: int) -> np.ndarray:
    """What stands n places before; 0 in front of the first."""
    moved = np.zeros_like(values)
    moved[n:] = values[:-n]
    return moved


class SuffixIndex:
    """Token sequences by path. One thread may change it while others search; each search sees one state."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._segments: tuple[Segment, ...] = ()
        self.version = 0  # grows with every change

    def update(self, files: Mapping[str, np.ndarray | None]) -> None:
        """Files have these tokens now (int32 [n], none negative), sorted at once; None: it is gone."""
        with self._changing:
            kept = [segment.without(iter(files)) for segment in self._segments]
            new = {path: ids for path, ids in files.items() if ids is not None and len(ids)}
            self._segments = tuple(_merged(kept, new))
            self.version += 1

    def adopt(self, segments: Sequence[Segment]) -> None:
        """Consist of these segments, sorted elsewhere, and of no others."""
        with self._changing:
            self._segments = tuple(segments)
            self.version += 1

    def find(
        self,
        context: Sequence[int],
        *,
        longest: int = MAX_CONTEXT,
        shortest: int = 2,
        limit: int = 256,
        width: int = 10,
        without: str = "",
    ) -> Match:
        """The longest end of `context`, of `longest` to `shortest` tokens, that occurs, and what followed it."""
        found = self.matches(
            context, longest=longest, shortest=shortest, limit=limit, width=width, without=without
        )
        return next(found, Match(0, np.zeros((0, width), np.int32)))

    def matches(
        self,
        context: Sequence[int],
        *,
        longest: int = MAX_CONTEXT,
        shortest: int = 2,
        limit: int = 256,
        width: int = 10,
        without: str = "",
    ) -> Iterator[Match]:
        """Matches of the longest end of `context` that occurs, then of shorter ones, each with all it has in common
        with the longer ones; lengths that add no place are left out.

        At most `limit` places of each length, spread evenly. `without`: a path that does not count. Raises ValueError
        when `longest` is over MAX_CONTEXT.
        """
        if longest > MAX_CONTEXT:
            raise ValueError(f"contexts are sorted by {MAX_CONTEXT} tokens, {longest} were asked for")
        found = [(segment, segment.narrow(context, longest)) for segment in self._segments]
        n_before = 0
        for length in range(max((len(ranges) for _, ranges in found), default=0), shortest - 1, -1):
            here = [(segment, ranges[length - 1]) for segment, ranges in found if len(ranges) >= length]
            n_places = sum(high - low for _, (low, high) in here)
            if n_places == n_before:
                continue
            rows = np.concatenate([segment.following(part, limit, width, without) for segment, part in here])
            if len(rows):
                n_before = n_places
                yield Match(length, _sample(rows, limit))

    def positions(
        self, context: Sequence[int], *, longest: int = MAX_CONTEXT, limit: int = 64, without: str = ""
    ) -> list[tuple[str, int]]:
        """Where an end of `context` stands: path and position in the file of the token behind it.

        At most `limit`; where more tokens match comes first, and of equal ones what is first by path and position.
        """
        found = [(segment, segment.narrow(context, longest)) for segment in self._segments]
        positions: dict[tuple[str, int], None] = {}
        for length in range(max((len(ranges) for _, ranges in found), default=0), 0, -1):
            parts = [(segment, ranges[length - 1]) for segment, ranges in found if len(ranges) >= length]
            here = [
                position for segment, part in parts for position in segment.positions(part, limit, without)
            ]
            positions.update(dict.fromkeys(sorted(here)))
            if len(positions) >= limit:
                break
        return list(positions)[:limit]


def _merged(segments: Sequence[Segment], new: Mapping[str, np.ndarray]) -> Iterator[Segment]:
    """Segments with `new` as the last one; it takes in what is dead for the most part or not twice as large as it."""
    files = dict(new)
    size = sum(map(len, files.values()))
    kept: list[Segment] = []
    for segment in reversed(segments):
        n_alive = segment.n_alive
        if n_alive <= 2 * size or 2 * n_alive < len(segment.tokens):
            files = {**dict(segment.living()), **files}
            size += n_alive
        else:
            kept.append(segment)
    yield from reversed(kept)
    if files:
        yield build_segment(files)


def _sample(rows: np.ndarray, limit: int) -> np.ndarray:
    return rows if len(rows) <= limit else rows[np.linspace(0, len(rows) - 1, limit).astype(np.int64)]
