"""The mirrors of one index: that of the tokenizer that is spoken, and another one while another coder is about to take
over. Lines are there once, and so is what the build files say of imports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from indexer.line_index import LineIndex
from indexer.mirror import Mirror
from indexer.module_maps import ModuleMaps
from indexer.rules import Rules
from indexer.settings import IndexSettings
from indexer.suffix_index import SuffixIndex
from indexer.token_cache import TokenCaches, Tokenizer

GoesOn = Callable[[int, int, str], bool]
Excludes = Callable[[str], bool]
OnPackages = Callable[[bool], None]


@dataclass(frozen=True, eq=False)
class Tokenized:
    """What one coder reads: the files, and what is installed and imported (None: that is not read)."""

    tokens: SuffixIndex
    packages: SuffixIndex | None
    wait: Callable[[float], None]  # until the packages are read, at most so many seconds


def _wait_for_nothing(seconds: float) -> None:
    """No packages are read."""


class Mirrors:
    """Any thread."""

    def __init__(
        self,
        root: Path,
        folder: Path,
        tokenizer: Tokenizer | None,
        settings: IndexSettings,
        on_packages: OnPackages | None,
    ) -> None:
        """`folder`: where the tokens are cached. The others: see `Mirror`."""
        self.lines = LineIndex()
        self.maps = ModuleMaps()
        self._root, self._settings = root, settings
        self._caches = TokenCaches(folder)
        self._changing = threading.Lock()  # which mirrors there are, and what they hold of the files
        self._showing = threading.Lock()  # so that a new mirror misses no document
        self._spoken = self._mirror(tokenizer, on_packages)
        self._spoken.lines = self.lines
        self._others: tuple[Mirror, ...] = ()

    @property
    def tokens(self) -> SuffixIndex:
        return self._spoken.tokens

    @property
    def packages(self) -> SuffixIndex | None:
        return self._spoken.package_tokens

    @property
    def has_followed(self) -> bool:
        return self._spoken.has_followed

    def follow(
        self, digests: Mapping[str, bytes], goes_on: GoesOn, excludes: Excludes = lambda path: False
    ) -> None:
        """See `Mirror.follow`; `maps` follows them, too."""
        self.maps = self.maps.follow(self._root, digests)
        with self._changing:
            for mirror in (self._spoken, *self._others):
                mirror.follow(digests, goes_on, excludes)
            self._caches.keep_only(digests.values())

    def show_document(self, path: str, text: str | None) -> None:
        """See `Mirror.show_document`."""
        with self._showing:
            for mirror in (self._spoken, *self._others):
                mirror.show_document(path, text)

    def read_as(
        self,
        tokenizer: Tokenizer,
        on_packages: OnPackages | None,
        digests: Callable[[], Mapping[str, bytes]],
        goes_on: GoesOn,
    ) -> Tokenized:
        """Have files and packages as this tokenizer's tokens, too. Takes as long as reading all files; what is missing
        when it does not go on comes with `follow`."""
        with self._changing:
            mirror = self._of(tokenizer)
            if mirror is None:
                mirror = self._mirror(tokenizer, on_packages)
                with self._showing:
                    for path, text in self._spoken.documents.items():
                        mirror.show_document(path, text)
                    self._others = (*self._others, mirror)
                mirror.follow(digests(), goes_on, Rules(self._root, self._settings).excludes)
            wait = mirror.packages.wait if mirror.packages else _wait_for_nothing
            return Tokenized(mirror.tokens, mirror.package_tokens, wait)

    def speak(self, tokenizer: Tokenizer) -> None:
        """From now on `tokens` and `packages` are this tokenizer's, if all was `read_as` it; the others' are gone."""
        with self._changing:
            known, spoken = (self._spoken, *self._others), self._of(tokenizer) or self._spoken
            with self._showing:
                spoken.lines = self.lines
                self._spoken, self._others = spoken, ()
        for mirror in known:
            if mirror is not spoken:
                mirror.close()

    @property
    def has_traces(self) -> bool:
        """Whether tokens of deleted texts may still be found in a cache's file."""
        return self._caches.has_traces

    def wipe(self) -> None:
        self._caches.wipe()

    def close(self) -> None:
        for mirror in (self._spoken, *self._others):
            mirror.close()
        self._caches.close()

    def _of(self, tokenizer: Tokenizer) -> Mirror | None:
        known = (self._spoken, *self._others)
        return next((mirror for mirror in known if mirror.fingerprint == tokenizer.fingerprint), None)

    def _mirror(self, tokenizer: Tokenizer | None, on_packages: OnPackages | None) -> Mirror:
        cache = self._caches.of(tokenizer) if tokenizer else None
        return Mirror(self._root, cache, tokenizer, self._settings, on_packages)
