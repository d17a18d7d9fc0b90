"""Graphs that were built once, kept in the user's cache folder: they are derived from a checkpoint and may be deleted.

A graph's folder appears complete or not at all, is checked before it is used, and the least recently used go when
there are more than a few.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from model.checkpoint.opening import sha256_of

GRAPHS_KEPT = 8
_CHECKSUMS = "SHA256SUMS"


def cache_home() -> Path:
    """Where the user's caches are; HEF_CACHE_DIR moves all that this project keeps."""
    if named := os.environ.get("HEF_CACHE_DIR"):
        return Path(named)
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "hef-lsp"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hef-lsp"


@contextmanager
def graph_folder(key: str, build: Callable[[Path], None]) -> Iterator[Path]:
    """The folder that `build` fills for `key`, built now unless it is there and whole.

    Where the cache cannot be written the folder is a temporary one and gone behind the `with`.
    """
    home = cache_home() / "graphs"
    folder = home / key
    try:
        if not _is_whole(folder):
            _install(folder, build)
        with suppress(OSError):
            os.utime(folder)
            _forget_old(home, folder)
    except OSError:
        with tempfile.TemporaryDirectory(prefix="hef-lsp-", ignore_cleanup_errors=True) as temporary:
            build(Path(temporary))
            yield Path(temporary)
        return
    yield folder


def _install(folder: Path, build: Callable[[Path], None]) -> None:
    """Build beside the target and rename: two servers that start at once do no harm."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        build(draft)
        lines = [f"{sha256_of(file)}  {file.name}\n" for file in sorted(draft.iterdir())]
        (draft / _CHECKSUMS).write_text("".join(lines), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # damaged
        draft.rename(folder)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not _is_whole(folder):  # the other server was faster
            raise
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _is_whole(folder: Path) -> bool:
    """Whether every file is there with its checksum."""
    try:
        lines = (folder / _CHECKSUMS).read_text(encoding="utf-8").splitlines()
        entries = [line.split(maxsplit=1) for line in lines]
        return bool(entries) and all(sha256_of(folder / name) == checksum for checksum, name in entries)
    except (OSError, ValueError):
        return False


def _forget_old(home: Path, used: Path) -> None:
    """Remove all but the graphs used last. What a process has mapped stays alive for it."""
    folders = sorted((f for f in home.iterdir() if f != used), key=lambda f: f.stat().st_mtime, reverse=True)
    for folder in folders[GRAPHS_KEPT - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)
