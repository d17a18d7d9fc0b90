"""Vectors of installed packages that a team has computed: each package is indexed like a repository, without computing.

What the store has not is not embedded here. Where texts are those that were published their digests say, and of each
pack some vectors are computed again, as for a repository's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType

from indexer.hierarchy import Embedder
from indexer.index import Index
from indexer.installed import Package
from indexer.pins import normalized
from indexer.progress import IndexStage, Progress
from indexer.query import PACKAGE, Hit, Query
from indexer.settings import IndexSettings, RetrievalSettings
from indexer.sharing import PackageStore, TeamVectors


class PackageVectors:
    """The indexes of one workspace's packages. `take` on one thread, `search` on any; see `SearchesPackages`."""

    def __init__(self, embedder: Embedder, settings: IndexSettings, retrieval: RetrievalSettings) -> None:
        self._embedder = embedder
        self._settings = settings
        self._retrieval = replace(retrieval, files=0, directories=0, repository=0, packages=0)
        self._indexes: Mapping[str, tuple[Package, Index]] = MappingProxyType({})
        self._is_closed = False

    def take(self, name: str, package: Package, store: PackageStore, stopped: Callable[[], bool]) -> None:
        """See `SearchesPackages`."""
        known = self._indexes.get(name)
        if (known and known[0] == package) or not package.place.is_dir():
            return
        distribution = normalized(package.name.removesuffix(f".{name}"))
        theirs = store.vectors(distribution, package.version)
        if theirs is None:
            return
        with suppress(Exception):  # of a cache or an embedder: the package is not searched
            index = self._filled(package, theirs, stopped)
            self._indexes = MappingProxyType({**self._indexes, name: (package, index)})
            if known:
                known[1].close()
            if self._is_closed:
                self.close()

    def search(self, query: Query, names: Collection[str], most: int) -> list[Hit]:
        """See `SearchesPackages`."""
        found: list[Hit] = []
        for name, (_, index) in self._indexes.items():
            if name in names:
                elsewhere = replace(query, path="", exclude_lines=(1, 1))
                hits = index.search(elsewhere, most, self._retrieval)
                found += [replace(hit, path=f"{name}/{hit.path}", level=PACKAGE) for hit in hits if hit.text]
        return sorted(found, key=lambda hit: -hit.score)[:most]

    def close(self) -> None:
        """Let go of the files."""
        self._is_closed = True
        indexes, self._indexes = self._indexes, MappingProxyType({})
        for _, index in indexes.values():
            index.close()

    def _filled(self, package: Package, theirs: TeamVectors, stopped: Callable[[], bool]) -> Index:
        """Its index with what the store has; once that is taken in, no more than the batch in hand is embedded."""
        index = Index.open(package.place, self._embedder, settings=self._settings, team=theirs)
        is_pulled = False

        def progress(news: Progress) -> None:
            nonlocal is_pulled
            is_pulled = news.stage == IndexStage.EMBEDDING

        try:
            index.update(progress=progress, cancelled=lambda: is_pulled or stopped())
        except BaseException:
            index.close()
            raise
        return index
