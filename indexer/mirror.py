"""The whole texts of the indexed files in memory, as tokens and as lines: what needs more than chunks reads them here.

Follows the index: files as they were indexed, open documents as they are. Derived and bounded; the texts are read from
the disk, and their tokens from a cache beside the store.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path

import numpy as np

from indexer.database import cache_home
from indexer.line_index import LineIndex
from indexer.packages import PackageTokens, imported
from indexer.suffix_index import SuffixIndex
from indexer.token_cache import TokenCache, Tokenizer, content_digest

_BATCH_CHARS = 500_000  # read, tokenized (some 0.2 s) and sorted at a time


class Mirror:
    """Changed by one thread at a time, searched by others beside it."""

    def __init__(
        self, root: Path, folder: Path, tokenizer: Tokenizer | None, max_chars: int, *, with_packages: bool = False
    ) -> None:
        """`folder`: where the cache lies. Without a tokenizer there are no tokens and no lines. `with_packages`: those
        that the files import are kept as tokens, too."""
        self.tokens = SuffixIndex()
        self.lines = LineIndex()
        self.packages = PackageTokens(root, cache_home(), tokenizer) if tokenizer and with_packages else None
        self._root = root
        self._tokenizer = tokenizer
        self._max_chars = max_chars
        self._changing = threading.RLock()
        self._digests: Mapping[str, bytes] = {}  # of the files as they were indexed
        self._shown: dict[str, tuple[bytes, int]] = {}  # digest and length of what is here of each file
        self._documents: set[str] = set()  # open ones, saved or not
        self._imports: dict[str, frozenset[str]] = {}
        self._cache = TokenCache(folder / _cache_name(tokenizer)) if tokenizer else None

    def close(self) -> None:
        if self.packages:
            self.packages.stop()
        with self._changing:
            if self._cache:
                self._cache.close()

    def follow(self, digests: Mapping[str, bytes], goes_on: Callable[[int, int, str], bool]) -> None:
        """Bring all files but open documents to the contents with these digests.

        `goes_on` is asked before each file with how many of how many are done, and may change documents meanwhile.
        """
        if self._tokenizer is None:
            return
        self._digests = digests
        gone = self._shown.keys() - digests.keys() - self._documents
        self._show(dict.fromkeys(gone))
        stale = sorted(path for path, digest in digests.items() if self._shown.get(path, (b"",))[0] != digest)
        batch: dict[str, bytes | None] = {}
        for n, path in enumerate(stale):
            if not goes_on(n, len(stale), path):
                break
            batch[path] = _read(self._root / path)
            if sum(len(content or b"") for content in batch.values()) >= _BATCH_CHARS:
                self._show(batch)
                batch = {}
        self._show(batch)
        if self._cache and stale:
            self._cache.keep_only(digests.values())
        if self.packages:
            self.packages.follow(Counter(name for names in self._imports.values() for name in names))

    def show_document(self, path: str, text: str | None) -> None:
        """An open document's text counts instead of the disk's; None: it was closed."""
        if self._tokenizer is None:
            return
        with self._changing:
            if text is None:
                self._documents.discard(path)
                on_disk = _read(self._root / path) if path in self._digests else None
                self._show({path: on_disk})
            else:
                self._documents.add(path)
                self._put({path: text}, {})

    def _show(self, contents: Mapping[str, bytes | None]) -> None:
        with self._changing:
            contents = {path: content for path, content in contents.items() if path not in self._documents}
            texts: dict[str, str | None] = {}
            digests = {}
            for path, content in contents.items():
                digests[path] = content_digest(content) if content is not None else b""
                texts[path] = None if content is None else content.decode("utf-8", "replace")
            self._put(texts, digests)

    def _put(self, texts: Mapping[str, str | None], digests: Mapping[str, bytes]) -> None:
        """`digests` of the texts that are on disk: these may be cached."""
        n_chars = sum(length for path, (_, length) in self._shown.items() if path not in texts)
        kept: dict[str, str] = {}
        for path, text in texts.items():
            self._shown.pop(path, None)
            self._imports.pop(path, None)
            if text is not None:
                fits = n_chars + len(text) <= self._max_chars
                self._shown[path] = (digests.get(path, b""), len(text) * fits)
                n_chars += len(text) * fits
                if fits and path.endswith(".py"):
                    self._imports[path] = imported(text)
                if fits:
                    kept[path] = text.replace("\r\n", "\n")
        tokens = self._tokens(kept, digests)
        self.tokens.update({path: tokens.get(path) for path in texts})
        self.lines.update({path: kept.get(path) for path in texts})

    def _tokens(self, texts: Mapping[str, str], digests: Mapping[str, bytes]) -> dict[str, np.ndarray]:
        assert self._tokenizer is not None  # without one nothing is shown
        cached = self._cache.get([digests[path] for path in texts if path in digests]) if self._cache else {}
        found: dict[str, np.ndarray] = {}
        new: dict[bytes, np.ndarray] = {}
        for path, text in texts.items():
            digest = digests.get(path)
            if digest is not None and digest in cached:
                found[path] = cached[digest]
                continue
            found[path] = np.array(self._tokenizer.encode(text), np.int32)
            if digest is not None:
                new[digest] = found[path]
        if self._cache:
            self._cache.put(new)
        return found


def _cache_name(tokenizer: Tokenizer) -> str:
    return f"tokens-{blake2b(tokenizer.fingerprint.encode(), digest_size=6).hexdigest()}.sqlite"


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
