"""What is installed beside a repository, as tokens: the standard library and the packages that its files import.

Sorted once per package, version and tokenizer, on a thread that nobody waits for; kept in the user's cache, mapped into
memory, and so shared by all workspaces and processes. Bounded per package, per workspace and on disk.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import numpy as np

from indexer.suffix_index import MAX_CONTEXT, Segment, SuffixIndex, build_segment
from indexer.token_cache import Tokenizer

MAX_PACKAGES = 8  # of a workspace, the standard library among them
MAX_CHARS = 6_000_000  # of a package
MAX_KEPT = 64  # on disk per tokenizer; the least recently used go first
_SKIPPED = frozenset(
    {"test", "tests", "testing", "site-packages", "idlelib", "lib2to3", "encodings", "turtledemo", "pydoc_data"}
)
_LAYOUTS = ("lib/python3*/site-packages", "Lib/site-packages")  # of virtual environments
_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """`place` is a folder or a module; `name` and `version` together say what is in it."""

    name: str
    version: str
    place: Path

    def files(self) -> Iterator[Path]:
        if self.place.is_file():
            yield self.place
        for parent, folders, names in os.walk(self.place):
            folders[:] = sorted(set(folders) - _SKIPPED)
            yield from (Path(parent, name) for name in sorted(names) if name.endswith(".py"))


def imported(text: str) -> frozenset[str]:
    """Top-level modules that a Python file names in its import statements."""
    return frozenset(_IMPORT.findall(text))


def standard_library() -> Package:
    return Package("python", sys.version.partition(" ")[0], Path(sysconfig.get_path("stdlib")))


def site_packages(root: Path) -> Path:
    """Where a repository's packages are installed: its own environment, the active one, or that of this process."""
    homes = [root / ".venv", root / "venv", Path(os.environ.get("VIRTUAL_ENV") or sys.prefix)]
    found = (folder for home in homes for layout in _LAYOUTS for folder in home.glob(layout))
    return next((folder for folder in found if folder.is_dir()), Path(sysconfig.get_path("purelib")))


def installed(folder: Path, names: Iterable[str]) -> dict[str, Package]:
    """Those of some importable names that a distribution in `folder` provides."""
    wanted, found = set(names), {}
    for distribution in distributions(path=[str(folder)]):
        name = distribution.metadata["Name"] or ""
        tops = (distribution.read_text("top_level.txt") or name.replace("-", "_")).split()
        for top in wanted.intersection(tops):
            place = next((path for path in (folder / top, folder / f"{top}.py") if path.exists()), None)
            if place:
                found[top] = Package(f"{name}.{top}", distribution.version, place)
    return found


class PackageTokens:
    """The packages of one workspace. `follow` and `stop` on one thread; `tokens` are searched from any."""

    def __init__(
        self, root: Path, cache: Path, tokenizer: Tokenizer, tell: Callable[[bool], None] = lambda reading: None
    ) -> None:
        """`tell` is called on the thread that reads them, as it begins and as it ends."""
        self.tokens = SuffixIndex()
        self._tell = tell
        self._root = root
        self._cache = cache / re.sub(r"\W", "_", tokenizer.fingerprint)
        self._tokenizer = tokenizer
        self._wanted: tuple[str, ...] | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, imports: Counter[str]) -> None:
        """Take in what is imported most; returns at once, and does nothing where that has not changed."""
        wanted = tuple(sorted(name for name, _ in imports.most_common(8 * MAX_PACKAGES)))
        busy = self._thread is not None and self._thread.is_alive()
        if wanted != self._wanted and not busy and not self._stopped.is_set():
            self._wanted = wanted
            arguments = (imports,)
            self._thread = threading.Thread(target=self._run, args=arguments, name="hef-packages", daemon=True)
            self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def wait(self, timeout: float) -> None:
        """Until everything that is followed is taken in."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self, imports: Counter[str]) -> None:
        _lower_priority()
        self._tell(True)
        try:
            self._take_in(imports)
        finally:
            self._tell(False)

    def _take_in(self, imports: Counter[str]) -> None:
        found = installed(site_packages(self._root), imports)
        ranked = sorted(found, key=lambda name: -imports[name])[: MAX_PACKAGES - 1]
        segments = []
        for package in [standard_library(), *(found[name] for name in ranked)]:
            with suppress(OSError):  # a full or read-only disk: drafts have one source less
                segment = load_or_build(package, self._cache, self._tokenizer, self._stopped.is_set)
                segments += [segment] if segment else []
                self.tokens.adopt(segments)
            if self._stopped.is_set():
                return
        with suppress(OSError):  # there is none where nothing could be read
            _delete_unused(self._cache)


def load_or_build(package: Package, cache: Path, tokenizer: Tokenizer, stopped: Callable[[], bool]) -> Segment | None:
    """A package's tokens, mapped from the cache; built first where they are not there. None when stopped, or nothing
    can be read. Raises OSError when the cache cannot be written."""
    folder = cache / f"{package.name}-{package.version}"
    if not (folder / "order.npy").exists():
        ids = _tokenized(package, tokenizer, stopped)
        if ids is None:
            return None
        _write(folder, build_segment({package.name: ids}))
    os.utime(folder)
    try:
        tokens, order = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("tokens", "order"))
    except ValueError:  # cut short or foreign: built anew next time
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return Segment(tokens, order, np.array([MAX_CONTEXT]), np.ones(1, bool), {package.name: 0})


def _tokenized(package: Package, tokenizer: Tokenizer, stopped: Callable[[], bool]) -> np.ndarray | None:
    """All files one after the other; where two meet, a few contexts that nobody writes are the price."""
    pieces, n_chars = [], 0
    for file in package.files():
        if stopped():
            return None
        with suppress(OSError, UnicodeDecodeError):
            text = file.read_text(encoding="utf-8")
            n_chars += len(text)
            if n_chars > MAX_CHARS:
                break
            pieces.append(np.array(tokenizer.encode(text), np.int32))
    return np.concatenate(pieces) if pieces else None


def _write(folder: Path, segment: Segment) -> None:
    """All or nothing: another process may be doing the same."""
    draft = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}")
    draft.mkdir(mode=0o700, parents=True)
    try:
        np.save(draft / "tokens.npy", segment.tokens)
        np.save(draft / "order.npy", segment.order)
        draft.rename(folder)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not folder.exists():
            raise


def _delete_unused(cache: Path) -> None:
    folders = [folder for folder in cache.iterdir() if folder.is_dir()]
    for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime)[:-MAX_KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


def _lower_priority() -> None:
    """Of this thread, where a thread has one of its own (Linux)."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
