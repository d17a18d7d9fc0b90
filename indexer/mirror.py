"""The whole texts of the indexed files in memory, as tokens and as lines: what needs more than chunks reads them here.

Follows the index: files as they were indexed, open documents as they are. Derived and bounded; the texts are read from
the disk, and their tokens from a cache beside the store. What lies on the disk counts only while it is what was
indexed: only of those bytes it is known that they may be shown.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.cache_folder import cache_home
from indexer.ecosystems import imports_of
from indexer.line_index import LineIndex
from indexer.package_cache import forget_gone
from indexer.packages import PackageTokens
from indexer.reading import ReadingError, read_inside
from indexer.settings import IndexSettings
from indexer.suffix_index import SuffixIndex
from indexer.token_cache import TokenCache, Tokenizer, content_digest

# Characters that are read and tokenized before they are sorted, at first and at most. Batches grow fourfold, because
# each one is sorted together with those before it that are not much larger.
_FIRST_BATCH, _LAST_BATCH = 500_000, 8_000_000

_Look = tuple[int, int, int, int] | None


@dataclass(frozen=True, eq=False)
class _Content:
    """A file's text as editors have it, with its token ids, int32 [n]. `digest`: of its bytes on disk, or b""."""

    digest: bytes
    text: str
    ids: np.ndarray
    is_cached: bool = False


class Mirror:
    """Changed by one thread at a time, searched by others beside it."""

    def __init__(
        self,
        root: Path,
        cache: TokenCache | None,
        tokenizer: Tokenizer | None,
        settings: IndexSettings,
        on_packages: Callable[[bool], None] | None = None,
    ) -> None:
        """`cache`: the tokenizer's. Without a tokenizer there are no tokens and no lines. With `on_packages`, what the
        files import is kept as tokens, too; it hears from another thread whether that is being read."""
        self.lines: LineIndex | None = None  # kept here from when it is given
        self.tokens = SuffixIndex()
        self.packages = (
            PackageTokens(root, cache_home(), tokenizer, on_packages) if tokenizer and on_packages else None
        )
        self._root = root
        self._tokenizer = tokenizer
        self._settings = settings
        self._changing = threading.RLock()
        self._digests: Mapping[str, bytes] = {}  # of the files as they were indexed
        self._shown: dict[str, tuple[bytes, int]] = {}  # digest and length of what is here of each file
        self._refused: dict[
            str, tuple[bytes, _Look]
        ] = {}  # files that were not what was indexed, and how they looked
        self._n_chars = 0
        self._documents: dict[str, str] = {}  # texts of the open ones, saved or not
        self._imports: dict[str, frozenset[str]] = {}
        # What the files import as of the last `follow`, each with its ecosystem in front, and how many of them do.
        self.imports: Counter[str] = Counter()
        self._cache = cache

    def close(self) -> None:
        if self.packages:
            self.packages.stop()

    @property
    def fingerprint(self) -> str:
        """Of the tokenizer."""
        return self._tokenizer.fingerprint if self._tokenizer else ""

    @property
    def package_tokens(self) -> SuffixIndex | None:
        """None where no packages are read."""
        return self.packages.tokens if self.packages else None

    @property
    def documents(self) -> Mapping[str, str]:
        """Texts of the open documents."""
        return self._documents

    @property
    def has_followed(self) -> bool:
        return bool(self._digests)

    def follow(
        self,
        digests: Mapping[str, bytes],
        goes_on: Callable[[int, int, str], bool],
        excludes: Callable[[str], bool] = lambda path: False,
    ) -> None:
        """Bring all files but open documents to the contents with these digests, those beside open documents first.

        `goes_on` is asked before each file with how many of how many are done, and may change documents meanwhile;
        what `excludes` names is left out, whatever is known of it.
        """
        if self._tokenizer is None:
            return
        is_first, self._digests = not self.has_followed, digests
        self._refused = {path: seen for path, seen in self._refused.items() if path in digests}
        near = {_folder(path) for path in self._documents}
        stale = sorted(path for path, digest in digests.items() if self._is_stale(path, digest))
        stale.sort(key=lambda path: _folder(path) not in near)
        batch: dict[str, _Content | None] = dict.fromkeys(self._shown.keys() - digests.keys())
        n_chars, enough = 0, _FIRST_BATCH
        for n, path in enumerate(stale):
            if not goes_on(n, len(stale), path):
                break
            room = self._settings.mirror_chars - self._n_chars - n_chars
            content = batch[path] = None if excludes(path) else self._load(path, room)
            n_chars += len(content.text) if content else 0
            if n_chars >= enough:
                self._show(batch)
                batch, n_chars, enough = {}, 0, min(4 * enough, _LAST_BATCH)
        self._show(batch)
        self.imports = Counter(name for names in list(self._imports.values()) for name in names)
        if self.packages:
            self.packages.follow(self.imports)
        elif is_first:
            forget_gone(cache_home())

    def show_document(self, path: str, text: str | None) -> None:
        """An open document's text counts instead of the disk's; None: it was closed."""
        if self._tokenizer is None:
            return
        with self._changing:
            if text is None:
                self._documents.pop(path, None)
                self._show({path: self._load(path, self._settings.mirror_chars)})
            else:
                self._documents[path] = text
                fits = len(text) <= self._settings.mirror_chars
                self._take({path: self._tokenized(text.replace("\r\n", "\n"), b"") if fits else None})

    def _is_stale(self, path: str, digest: bytes) -> bool:
        if path in self._documents or self._shown.get(path, (b"",))[0] == digest:
            return False
        return path not in self._refused or self._refused[path] != (digest, _look(self._root / path))

    def _load(self, path: str, room: int) -> _Content | None:
        """A file as it was indexed, without its text where there is no room for it; None when it is not that file."""
        digest = self._digests.get(path)
        if digest is None:
            return None
        seen = digest, _look(self._root / path)
        content = self._read(path)
        if content is None or content_digest(content) != digest:
            self._refused[path] = seen  # not read again until the one or the other changes
            return None
        self._refused.pop(path, None)
        text = content.decode("utf-8", "replace").replace("\r\n", "\n")
        if len(text) > room:
            return _Content(digest, "", np.zeros(0, np.int32))
        known = self._cache.get([digest]) if self._cache else {}
        return (
            _Content(digest, text, known[digest], True) if digest in known else self._tokenized(text, digest)
        )

    def _read(self, path: str) -> bytes | None:
        try:
            return read_inside(self._root, path, self._settings.max_file_bytes)
        except ReadingError:
            return None

    def _tokenized(self, text: str, digest: bytes) -> _Content:
        assert self._tokenizer is not None  # without one nothing is shown
        return _Content(digest, text, np.array(self._tokenizer.encode(text), np.int32))

    def _show(self, batch: Mapping[str, _Content | None]) -> None:
        """Take files in as they are on disk, but those that are open."""
        with self._changing:
            self._take({path: content for path, content in batch.items() if path not in self._documents})
            new = {c.digest: c.ids for c in batch.values() if c is not None and c.text and not c.is_cached}
            if self._cache:
                self._cache.put(new)

    def _take(self, batch: Mapping[str, _Content | None]) -> None:
        if not batch:
            return
        for path, content in batch.items():
            self._n_chars -= self._shown.pop(path, (b"", 0))[1]
            self._imports.pop(path, None)
            if content is not None:
                self._shown[path] = (content.digest, len(content.text))
                self._n_chars += len(content.text)
                if found := imports_of(path, content.text):
                    self._imports[path] = found
        self.tokens.update({path: content.ids if content else None for path, content in batch.items()})
        if self.lines:
            self.lines.update({path: content.text if content else None for path, content in batch.items()})


def _look(file: Path) -> _Look:
    """What changes with a file's bytes, None where there is none."""
    try:
        status = file.lstat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
