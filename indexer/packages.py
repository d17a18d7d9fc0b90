"""What is installed beside a repository, as tokens: the packages that its files import, and Python's standard library.

Sorted once per package, version and tokenizer, on a thread that nobody waits for, and kept in the user's cache. Bounded
per package, per workspace and on disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from indexer.ecosystems import MAX_PACKAGES, packages_for
from indexer.installed import Package, standard_library
from indexer.newest_wish import NewestWish
from indexer.package_cache import cache_of, forget_gone, load_or_build
from indexer.suffix_index import Segment, SuffixIndex
from indexer.token_cache import Tokenizer


class PackageTokens:
    """The packages of one workspace. `follow` and `stop` from any thread, and `tokens` are searched from any."""

    def __init__(
        self,
        root: Path,
        home: Path,
        tokenizer: Tokenizer,
        tell: Callable[[bool], None] = lambda reading: None,
    ) -> None:
        """`home`: the folder for all caches. `tell` is called on the thread that reads them, as it begins and as it
        ends; it must return at once."""
        self.tokens = SuffixIndex()
        self._root = root
        self._home = home
        self._tokenizer = tokenizer
        self._wishes = NewestWish("hef-packages", self._take_in, tell)
        self._loaded: dict[Package, Segment] = {}  # changed by that thread only

    def follow(self, imports: Counter[str]) -> None:
        """Take in what is imported most; returns at once, and does nothing where neither that has changed nor a package
        is gone. Of several wishes that come while it reads, the newest is what it goes on with."""
        wanted = tuple(sorted(name for name, _ in imports.most_common(8 * MAX_PACKAGES)))
        is_gone = not all(package.place.exists() for package in tuple(self._loaded))
        self._wishes.make(imports, wanted, again=is_gone)

    def stop(self, timeout: float = 2.0) -> None:
        self._wishes.stop(timeout)

    def wait(self, timeout: float) -> None:
        """Until everything that is followed is taken in."""
        self._wishes.wait(timeout)

    def _take_in(self, imports: Counter[str]) -> None:
        packages = packages_for(self._root, imports, standard_library)
        self._loaded = {package: self._loaded[package] for package in packages if package in self._loaded}
        for package in packages:
            if package not in self._loaded:
                self._load(package)
            self.tokens.adopt([self._loaded[known] for known in packages if known in self._loaded])
            if self._wishes.stopped:
                return
        forget_gone(self._home)

    def _load(self, package: Package) -> None:
        with suppress(OSError):  # a full or read-only disk: drafts have one source less
            cache = cache_of(self._home, self._tokenizer)
            segment = load_or_build(package, cache, self._tokenizer, lambda: self._wishes.stopped)
            if segment is not None:
                self._loaded = {**self._loaded, package: segment}
