"""Which nodes help at a cursor: dense, lexical and symbol rankings fused by reciprocal rank, a quota per level.

Reciprocal rank fusion (Cormack, Clarke, Büttcher, SIGIR 2009) needs no common scale: an item's score is the sum of
1 / (60 + rank) over the rankings it is in. Ties are broken by path and line, those at the border of the words'
candidates by digest, never by the age of a row, so that an index brought up to date answers as a fresh one does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np

from indexer.dense import DenseKeys
from indexer.hierarchy import CHUNK, DIRECTORY, FILE, REPOSITORY
from indexer.identifiers import terms, terms_of, weighted_identifiers
from indexer.module_maps import ModuleMaps
from indexer.modules import imported_by
from indexer.overlay import Overlay
from indexer.query import DENSE, SYMBOLS, WORDS, Hit, Query
from indexer.reader import Content, Location, StoreReader
from indexer.settings import RetrievalSettings

_QUERY_TERMS = 12
_QUERY_NAMES = 40
_DEFINERS = 8  # a name defined more often says nothing about which definition is meant
_COMMON_SHARE = 20  # a term in more than one chunk of 20 finds nothing in particular, and is slow to look up
_DUPLICATE = 0.85
_EQUAL = 1e-5  # of scores
_SPARE = 8  # found by key beyond the candidates, where they end among equals

_Ranking = list[tuple[int, float]]  # (id, score); ids below zero are chunks of open documents


def quotas(k: int, settings: RetrievalSettings) -> dict[str, int]:
    """Hits per level out of k, in proportion to the settings' shares (largest remainders, chunks first)."""
    shares = {
        CHUNK: settings.chunks,
        FILE: settings.files,
        DIRECTORY: settings.directories,
        REPOSITORY: settings.repository,
    }
    total = sum(shares.values()) or 1
    exact = {level: k * share / total for level, share in shares.items()}
    given = {level: int(count) for level, count in exact.items()}
    for level in sorted(exact, key=lambda level: given[level] - exact[level])[: k - sum(given.values())]:
        given[level] += 1
    return given


class Search:
    """One search over one consistent view; use it inside `reader.snapshot()` and drop it."""

    def __init__(
        self,
        query: Query,
        reader: StoreReader,
        dense: DenseKeys,
        overlay: Overlay,
        settings: RetrievalSettings,
        maps: ModuleMaps,
    ) -> None:
        self._query, self._maps = query, maps
        self._reader = reader
        self._keys = dense
        self._overlay = overlay
        self._open_chunks = list(overlay.chunks())
        self._open_ids = {id(found): -1 - number for number, found in enumerate(self._open_chunks)}
        self._settings = settings
        self._weights = weighted_identifiers(query.before, query.after)
        self._names = sorted(self._weights, key=lambda name: (-self._weights[name], name))[:_QUERY_NAMES]

    def run(self, k: int) -> list[Hit]:
        """Up to k hits: chunks, best first, then what is above them; levels with too few leave places to chunks."""
        wanted = quotas(k, self._settings)
        rank = {DENSE: lambda: self._dense(CHUNK), WORDS: self._lexical, SYMBOLS: self._defined}
        rankings = [rank[name]() for name in self._query.rankings]
        places = self._places({id for ranking in rankings for id, _ in ranking})
        scores = self._fuse(rankings, places)
        levels = (FILE, DIRECTORY, REPOSITORY)
        above = [hit for level in levels for hit in self._above(level, scores, places, wanted[level])]
        chunks = self._choose(scores, places, k - len(above)) if wanted[CHUNK] else []
        return chunks + above

    # -- rankings -----------------------------------------------------------------------------------------------

    def _dense(self, level: str) -> _Ranking:
        if self._query.key is None or DENSE not in self._query.rankings:
            return []
        limit = self._settings.candidates
        ranking = self._candidates(
            self._keys.search(level, self._query.key, limit + _SPARE), self._reader.locations
        )
        if level == CHUNK:
            nearest = self._overlay.nearest(self._query.key, limit)
            ranking += [(self._open_ids[id(found)], score) for found, score in nearest]
        return ranking

    def _lexical(self) -> _Ranking:
        """BM25 over the terms that are rare here and near the cursor."""
        near: dict[str, float] = {}
        for name in self._names:
            weight = self._weights[name]
            for number, term in enumerate(terms_of(name)):
                near[term] = max(near.get(term, 0.0), weight if number == 0 else 0.4 * weight)
        counts = self._reader.document_counts(near)
        total = self._reader.count_chunks()
        ceiling = max(20, total // _COMMON_SHARE)
        rarity = {
            term: math.log(1 + (total - count + 0.5) / (count + 0.5))
            for term in near
            if (count := counts[term]) <= ceiling
        }
        chosen = sorted(rarity, key=lambda term: (-near[term] * rarity[term], term))
        stored = [term for term in chosen if counts[term]][:_QUERY_TERMS]
        ranking = self._reader.lexical(stored, self._settings.candidates) if stored else []
        matches = self._overlay.lexical({term: rarity[term] for term in chosen[: 2 * _QUERY_TERMS]})
        return ranking + [(self._open_ids[id(found)], score) for found, score in matches]

    def _defined(self) -> _Ranking:
        """Chunks that define names used near the cursor; a name with several definitions counts for less each."""
        names = self._names
        found = [(name, self._open_ids[id(chunk)]) for name, chunk in self._overlay.definitions(names)]
        stored = self._reader.definitions(names, _DEFINERS)
        places = self._unmasked({node for _, node in stored})
        places.update({node: [self._open_place(node)] for _, node in found})
        found += [(name, node) for name, node in stored if places[node]]
        definers = Counter(name for name, _ in found)
        imported = imported_by(self._query.before, self._query.path, self._maps)
        scores: dict[int, float] = {}
        for name, node in found:
            likely = 2.0 if any(imported.names(place.path) for place in places[node]) else 1.0
            scores[node] = scores.get(node, 0.0) + likely * self._weights[name] / definers[name]
        return self._candidates(sorted(scores.items(), key=lambda pair: -pair[1]), lambda _: places)

    def _candidates(
        self, ranking: _Ranking, locate: Callable[[Collection[int]], Mapping[int, Sequence[Location]]]
    ) -> _Ranking:
        """The best, as many as are wanted. Where they lie decides which of equals are among them."""
        limit = self._settings.candidates
        if len(ranking) <= limit or ranking[limit - 1][1] - ranking[limit][1] > _EQUAL:
            return ranking[:limit]
        places = {id: found[0] for id, found in locate([id for id, _ in ranking]).items() if found}
        # Keys may know what is gone from the store, or not there yet.
        return sorted((pair for pair in ranking if pair[0] in places), key=_by_score(places))[:limit]

    # -- from rankings to hits ----------------------------------------------------------------------------------

    def _places(self, ids: Collection[int]) -> dict[int, Location]:
        """Chunks that may be shown, each at its best place: open documents mask what the disk says of them."""
        found = {id: [self._open_place(id)] for id in ids if id < 0}
        found.update(self._unmasked([id for id in ids if id >= 0]))
        allowed = {id: [place for place in places if self._is_allowed(place)] for id, places in found.items()}
        return {id: min(places, key=self._distance) for id, places in allowed.items() if places}

    def _unmasked(self, ids: Collection[int]) -> dict[int, list[Location]]:
        """Where stored nodes lie but in open documents, in order of path."""
        masked, stored = self._overlay.documents, self._reader.locations(ids)
        return {id: [place for place in stored.get(id, ()) if place.path not in masked] for id in ids}

    def _open_place(self, id: int) -> Location:
        found = self._open_chunks[-1 - id]
        return Location(found.path, found.chunk.first_line, found.chunk.last_line)

    def _contents(self, ids: Sequence[int]) -> dict[int, Content]:
        found = self._reader.contents([id for id in ids if id >= 0])
        for id in ids:
            if id < 0:
                opened = self._open_chunks[-1 - id]
                memory = np.zeros((0, 0), np.float16) if opened.memory is None else opened.memory
                chunk = opened.chunk
                found[id] = Content(CHUNK, chunk.scope, chunk.text.rstrip(), chunk.signature, memory)
        return found

    def _is_allowed(self, place: Location) -> bool:
        if place.path != self._query.path:
            return True
        first, last = self._query.hidden_lines
        return place.last_line < first or place.first_line > last

    def _distance(self, place: Location) -> tuple[bool, int, str, int]:
        """Of equal chunks the one in another file, in the nearest directory, is shown."""
        here, there = self._query.path.split("/")[:-1], place.path.split("/")[:-1]
        shared = next((depth for depth, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), None)
        depth = min(len(here), len(there)) if shared is None else shared
        return place.path == self._query.path, -depth, place.path, place.first_line

    def _fuse(self, rankings: Sequence[_Ranking], places: Mapping[int, Location]) -> dict[int, float]:
        """id -> fused score, best first."""
        order = _by_score(places)
        scores: dict[int, float] = {}
        for ranking in rankings:
            usable = sorted((pair for pair in ranking if pair[0] in places), key=order)
            rank, last = 0, math.inf
            for position, (id, score) in enumerate(usable, 1):
                # equals share a rank: their order would say something about names only
                if last - score > _EQUAL:
                    rank, last = position, score
                scores[id] = scores.get(id, 0.0) + 1 / (self._settings.rrf_k + rank)
        return dict(sorted(scores.items(), key=order))

    def _choose(self, scores: Mapping[int, float], places: Mapping[int, Location], count: int) -> list[Hit]:
        """The best chunks that are not near copies of a better one; few of the file being edited."""
        hits: list[Hit] = []
        seen: list[frozenset[str]] = []
        from_here = 0
        for id, content in self._in_batches(list(scores), 2 * count):
            if len(hits) >= count:
                break
            here = places[id].path == self._query.path
            words = frozenset(terms(content.text))
            if (here and from_here >= self._settings.same_file) or any(
                _alike(words, other) for other in seen
            ):
                continue
            from_here += here
            seen.append(words)
            hits.append(_hit(places[id], content, scores[id]))
        return hits

    def _in_batches(self, ids: Sequence[int], size: int) -> Iterator[tuple[int, Content]]:
        """(id, content) in order; read as far as they are asked for, because most are not."""
        for start in range(0, len(ids), max(size, 1)):
            batch = ids[start : start + size]
            contents = self._contents(batch)
            yield from ((id, contents[id]) for id in batch if id in contents)

    def _above(
        self, level: str, scores: Mapping[int, float], places: Mapping[int, Location], count: int
    ) -> list[Hit]:
        """Files, directories or the repository: ranked by their own keys and by the best chunk found in them."""
        if not count:
            return []
        votes: dict[str, float] = {}
        for id, score in scores.items():
            for holder in _holders(places[id].path, level):
                votes[holder] = max(score, votes.get(holder, 0.0))
        nodes = self._reader.entry_nodes(votes)
        voted = [(nodes[path], vote) for path, vote in votes.items() if path in nodes]
        dense = self._dense(level)
        found = self._reader.locations({id for id, _ in dense + voted})
        # Not the file being edited: it is in the prompt, and its node may know what is about to be written.
        others = {id: [place for place in all if place.path != self._query.path] for id, all in found.items()}
        usable = {id: min(all, key=self._distance) for id, all in others.items() if all}
        fused = self._fuse([dense, voted], usable)
        shown = [(id, content) for id, content in self._in_batches(list(fused)[: 4 * count], 4 * count)]
        return [_hit(usable[id], content, fused[id]) for id, content in shown if content.memory.size][:count]


def _hit(place: Location, content: Content, score: float) -> Hit:
    lines = place.first_line, place.last_line
    return Hit(place.path, *lines, content.level, score, content.text, content.signature, content.memory)


def _by_score(places: Mapping[int, Location]) -> Callable[[tuple[int, float]], tuple[float, str, int]]:
    """How (id, score) are sorted: best first, equals by where they lie."""

    def order(pair: tuple[int, float]) -> tuple[float, str, int]:
        place = places[pair[0]]
        return -round(pair[1], 5), place.path, place.first_line

    return order


def _alike(a: frozenset[str], b: frozenset[str]) -> bool:
    return bool(a) and bool(b) and len(a & b) >= _DUPLICATE * len(a | b)


def _holders(path: str, level: str) -> list[str]:
    """What of a level holds a file: itself, the two directories nearest to it (the root excepted), the repository."""
    if level == FILE:
        return [path]
    parent = path.rpartition("/")[0]
    return [place for place in (parent, parent.rpartition("/")[0]) if place] if level == DIRECTORY else [""]
