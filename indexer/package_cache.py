"""The tokens of installed packages in the user's cache: a folder per tokenizer and place where one is installed.

Two arrays, mapped into memory and so shared by all workspaces and processes, and beside them what they were made of and
their checksums. What does not fit them is built anew. Folders are named by digests: names of packages are strangers'.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np

from indexer.files import unfit
from indexer.installed import Package
from indexer.reading import ReadingError, read_inside, read_regular
from indexer.secret_contents import looks_secret
from indexer.secret_names import SecretNames
from indexer.settings import IndexSettings
from indexer.suffix_index import MAX_CONTEXT, Segment, build_segment
from indexer.token_cache import Tokenizer

MAX_CHARS = 6_000_000  # of a package
MAX_FILE_BYTES = 2_000_000  # of one of its files; larger ones are data
MAX_SECONDS = 120.0  # of the processor's time for one; what it has by then is all
MAX_KEPT = 64  # on disk per tokenizer; the least recently used go first
UNUSED_DAYS = 30  # after which others go as well
_JUDGED = IndexSettings()
_ARRAYS = ("tokens.int32", "order.int32")
_ABOUT = "package.json"
_MAX_ABOUT_BYTES = 65_536
_CACHES = "packages"  # in the cache home
_HASH = re.compile(r"[0-9a-f]{12}")
_DRAFT_SECONDS = 3_600.0  # what is older was left by a killed process
_OLD_ARRAYS = {
    "tokens.npy",
    "order.npy",
}  # of the format before, in folders named as the packages call themselves


def cache_of(home: Path, tokenizer: Tokenizer) -> Path:
    """The folder for all packages of one tokenizer."""
    return home / _CACHES / short_hash(tokenizer.fingerprint)


def load_or_build(
    package: Package, cache: Path, tokenizer: Tokenizer, stopped: Callable[[], bool]
) -> Segment | None:
    """A package's tokens, mapped from the cache; built first where they are not there, or damaged. None when stopped,
    or nothing can be read. Raises OSError when the cache cannot be written."""
    folder = cache / short_hash(str(package.place))
    segment = _load(folder, package)
    if segment is None:
        ids = _tokenized(package, tokenizer, stopped)
        built = None if ids is None else build_segment({package.name: ids})
        if built is None or not len(built.order):
            return None
        _write(folder, package, built)
        segment = _load(folder, package)
    return segment


def forget_gone(home: Path) -> None:
    """Delete what is kept of packages that are no longer there, of those unused for long or beyond MAX_KEPT, what a
    killed process left behind, and everything in the format before. What cannot be deleted stays."""
    for cache in filter(_is_ours, _folders(home / _CACHES)):
        ours = filter(_is_ours, _folders(cache))
        kept = [folder for folder in ours if not (_is_over(folder) and _delete(folder))]
        for folder in sorted(kept, key=_last_used)[:-MAX_KEPT]:
            _delete(folder)
    for cache in _folders(home):
        old = [folder for folder in _folders(cache) if (names := _names(folder)) and names <= _OLD_ARRAYS]
        for folder in old:
            _delete(folder)
        if old:
            with suppress(OSError):  # it holds something else
                cache.rmdir()


def _load(folder: Path, package: Package) -> Segment | None:
    about = _about(folder)
    if about is None or any(about[key] != value for key, value in _made_of(package).items()):
        return None
    try:
        tokens, order = (_mapped(folder / name) for name in _ARRAYS)
    except (OSError, ValueError):  # not there, or cut within a number
        return None
    # The very memory that is searched afterward is what is summed up. 25 ms for a large package, without Python's lock.
    if [_checksum(tokens), _checksum(order)] != about["checksums"]:
        return None
    segment = Segment(tokens, order, np.array([MAX_CONTEXT]), np.ones(1, bool), {package.name: 0})
    if not segment.is_sound():
        return None
    with suppress(OSError):
        os.utime(folder)
    return segment


def _made_of(package: Package) -> dict[str, str]:
    return {"name": package.name, "version": package.version, "place": str(package.place)}


def _about(folder: Path) -> dict[str, object] | None:
    try:
        about = json.loads(read_regular(folder / _ABOUT, _MAX_ABOUT_BYTES))
    except (ReadingError, ValueError, RecursionError):
        return None
    names = {"name", "version", "place", "checksums"}
    return (
        about
        if isinstance(about, dict) and about.keys() == names and isinstance(about["place"], str)
        else None
    )


def _mapped(file: Path) -> np.ndarray:
    if not stat.S_ISREG(file.lstat().st_mode):
        raise ValueError("not a regular file")
    return np.memmap(file, np.int32, mode="r")


def _checksum(array: np.ndarray) -> str:
    return blake2b(array.data, digest_size=16).hexdigest()


def _tokenized(package: Package, tokenizer: Tokenizer, stopped: Callable[[], bool]) -> np.ndarray | None:
    """All files one after the other; where two meet, a few contexts that nobody writes are the price."""
    pieces, n_chars = [], 0
    seen: set[bytes] = set()
    until = time.thread_time() + MAX_SECONDS
    for path in package.files():
        if stopped():
            return None
        if time.thread_time() > until:
            break
        with suppress(OSError, UnicodeDecodeError):
            content = read_inside(package.place.parent, path, MAX_FILE_BYTES)
            if package.sources.judged and not _counts(path, content, seen):
                continue
            text = content.decode("utf-8").replace("\r\n", "\n")
            n_chars += len(text)
            if n_chars > MAX_CHARS:
                break
            pieces.append(np.array(tokenizer.encode(text), np.int32))
    return np.concatenate(pieces) if pieces else None


def _counts(path: str, content: bytes, seen: set[bytes]) -> bool:
    """Whether a file would count in a repository, too: no secret, not minified or generated; and only once."""
    digest = blake2b(content, digest_size=16).digest()
    is_new = digest not in seen
    seen.add(digest)
    is_secret = SecretNames().has(path.encode("utf-8", "surrogateescape"), False)
    return (
        is_new
        and not is_secret
        and unfit(content, _JUDGED) is None
        and not looks_secret(path, content, _JUDGED)
    )


def _write(folder: Path, package: Package, segment: Segment) -> None:
    """All or nothing, in place of what was there: another process may be doing the same."""
    for above in reversed(folder.parents[:3]):  # of parents made on the way the mode is not taken
        above.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft, before = (folder.with_name(f"{folder.name}.{uuid.uuid4().hex}") for _ in range(2))
    draft.mkdir(mode=0o700)
    arrays = (segment.tokens, segment.order)
    about = {**_made_of(package), "checksums": [_checksum(array) for array in arrays]}
    try:
        (draft / _ABOUT).write_text(json.dumps(about), encoding="ascii")
        for name, array in zip(_ARRAYS, arrays, strict=True):
            array.tofile(draft / name)
        with suppress(FileNotFoundError):
            folder.rename(before)
        draft.rename(folder)
    except OSError:
        if not folder.exists():
            raise
    finally:
        for leftover in (draft, before):
            shutil.rmtree(leftover, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    return _HASH.fullmatch(folder.stem) is not None


def _is_over(folder: Path) -> bool:
    """Whether nobody needs it any more: its package is gone, or it has not been used for long."""
    age = time.time() - _last_used(folder)
    if folder.suffix:
        return age > _DRAFT_SECONDS
    about = _about(folder)
    return about is None or age > UNUSED_DAYS * 86_400 or is_gone(str(about["place"]))


def is_gone(place: str) -> bool:
    try:
        os.lstat(place)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:
        return False  # nobody knows
    return False


def _last_used(folder: Path) -> float:
    """Seconds since 1970: loading touches the folder."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return time.time()  # another process deletes it


def _delete(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _folders(above: Path) -> Iterator[Path]:
    try:
        with os.scandir(above) as listing:
            entries = list(listing)
    except OSError:
        return
    yield from (Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def short_hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
