"""Signatures of the packages that a repository's Python files import: read where they are installed, or a team's.

What was read before is in the user's cache; then the team's store is asked, if there is one; what it has not and is
installed is read. On a thread that nobody waits for, the packages that are imported most first.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from indexer.ecosystems import MAX_PACKAGES
from indexer.installed import Package, installed, site_packages
from indexer.newest_wish import NewestWish
from indexer.package_headers import headers_for, imported_tops
from indexer.pins import is_version, normalized, pinned
from indexer.query import Hit, Query
from indexer.sharing import PackageStore
from indexer.signature_cache import SignatureCache
from indexer.signatures import SignatureTable, signatures_of

AGAIN_SECONDS = 300.0  # after trouble with the store
_BEFORE = 1  # hits that stand before those of packages
_MAX_ROWS = 200_000  # of all packages, some 60 MB
_WANTED = 8 * MAX_PACKAGES


class SearchesPackages(Protocol):
    """What searches the vectors of packages (`package_vectors.PackageVectors`)."""

    def take(self, name: str, package: Package, store: PackageStore, stopped: Callable[[], bool]) -> None:
        """Have the store's vectors of a package; as long as that takes. Raises nothing."""
        ...

    def search(self, query: Query, names: Collection[str], most: int) -> list[Hit]:
        """At most `most` hits of level PACKAGE in those packages, from any thread."""
        ...

    def close(self) -> None: ...


class PackageSignatures:
    """Those of one repository. `tables` may be read, `follow` and `stop` called from any thread."""

    def __init__(
        self,
        root: Path,
        home: Path,
        store: PackageStore | None,
        kept: Path,
        searching: SearchesPackages | None = None,
    ) -> None:
        """`home`: the folder for all caches; `kept`: a folder for what is worth keeping of the store; `searching`: what
        takes the store's vectors, if the user wants them."""
        self.tables: Mapping[str, SignatureTable] = MappingProxyType({})  # by the name that is imported
        self.problem = ""  # a sentence about the store
        self._root = root
        self._store = store
        self.searching = searching
        self._kept = kept
        self._cache = SignatureCache(home)
        self._asked_at = 0.0
        self._wishes = NewestWish("hef-signatures", self._take_in)

    def follow(self, imports: Counter[str]) -> None:
        """Take in what is imported most; returns at once, and does nothing where that has not changed, but for asking a
        store again that was in trouble."""
        own = Counter({name: n for name, n in imports.items() if ":" not in name})
        wanted = [name for name, _ in own.most_common(_WANTED)]
        if wanted or self.tables:
            again = bool(self.problem) and time.monotonic() - self._asked_at > AGAIN_SECONDS
            self._wishes.make(own, tuple(sorted(wanted)), again=again)

    def stop(self) -> None:
        self._wishes.stop()
        if self.searching:
            self.searching.close()

    def wait(self, timeout: float) -> None:
        """Until everything that is followed is taken in, at most so many seconds."""
        self._wishes.wait(timeout)

    def among(self, hits: list[Hit], query: Query, most: int) -> list[Hit]:
        """A search's hits with those of packages behind the best of them, for which every prompt has room."""
        told = headers_for(query, self.tables, most)
        if self.searching and most:
            told += self.searching.search(query, imported_tops(query), most)
        return [*hits[:_BEFORE], *told, *hits[_BEFORE:]]

    def _take_in(self, imports: Counter[str]) -> None:
        self.problem, self._asked_at = "", time.monotonic()
        names = [name for name, _ in imports.most_common(_WANTED)]
        found = installed(site_packages(self._root), names)
        pins = pinned(self._root) if self._store else {}
        chosen = [name for name in names if name in found or normalized(name) in pins][:MAX_PACKAGES]
        known = {name: table for name, table in self.tables.items() if name in chosen}
        for name in chosen:
            if self._wishes.stopped:
                return
            table = self._table(name, found.get(name), pins)
            known = {other: its for other, its in known.items() if other != name}
            if table is not None and sum(len(its.rows) for its in (*known.values(), table)) <= _MAX_ROWS:
                known[name] = table
            self.tables = MappingProxyType(known)
        for name in chosen:
            if self.searching and self._store and name in found and not self._wishes.stopped:
                self.searching.take(name, found[name], self._store, lambda: self._wishes.stopped)
        self._cache.forget_gone()

    def _table(self, name: str, package: Package | None, pins: Mapping[str, str]) -> SignatureTable | None:
        """Of the version that is installed, else of the one that is pinned."""
        distribution = normalized(package.name.removesuffix(f".{name}") if package else name)
        version = package.version if package else pins[distribution]
        before = self.tables.get(name)
        if before is not None and (before.package, before.version) == (distribution, version):
            return before
        cached = self._cache.get(package, distribution) if package else None
        if cached is not None:
            return cached
        return self._stored(distribution, version) or (self._read(package, distribution) if package else None)

    def _stored(self, distribution: str, version: str) -> SignatureTable | None:
        if self._store is None or not distribution or not is_version(version):
            return None
        answer = self._store.signatures(distribution, version, self._kept)
        self.problem = answer.problem or self.problem
        return answer.table

    def _read(self, package: Package, distribution: str) -> SignatureTable | None:
        table = signatures_of(package, distribution, lambda: self._wishes.stopped)
        if table is not None:
            self._cache.put(package, table)
        return table
