"""Graphs that were built once, kept in the user's cache folder: they are derived from a checkpoint and may be deleted.

A graph's folder appears complete or not at all, is checked before it is used, and the least recently used go when
there are more than a few.

Checked is damage, not malice: who may write to the folder may write its checksums, too. So a file is read whole, which
is 270 MB for a coder of 135M, only where it is not the one that was found sound before: of the same inode, size and
times, of which a change is the kernel's to note.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from model.checkpoint.files import WeightsError, read_bytes, sha256_of, stamp
from model.privacy import cache_home

GRAPHS_KEPT = 8
BYTES_KEPT = 8 << 30  # beside the one in use
_CHECKSUMS, _FOUND_SOUND = "SHA256SUMS", "FOUND_SOUND"
_MAX_LIST_BYTES = 100_000
_SETTLED_SECONDS = 2.0  # since the last change: clocks of file systems tick up to so slowly
_DRAFT_SECONDS = 86_400  # no build takes so long


@contextmanager
def graph_folder(key: str, build: Callable[[Path], None]) -> Iterator[Path]:
    """The folder that `build` fills for `key`, built now unless it is there and whole.

    Where the cache cannot be written the folder is a temporary one and gone behind the `with`. Raises WeightsError
    where there is no room for that either.
    """
    home = cache_home() / "graphs"
    folder = home / key
    try:
        _own(home)
        if not _is_whole(folder):
            _install(folder, build)
        with suppress(OSError):
            os.utime(folder)
            _forget_old(home, folder)
    except OSError:
        with _temporary(build) as elsewhere:
            yield elsewhere
        return
    yield folder


@contextmanager
def _temporary(build: Callable[[Path], None]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hef-lsp-", ignore_cleanup_errors=True) as folder:
        try:
            build(Path(folder))
        except OSError as problem:
            where = f"{cache_home()} and {tempfile.gettempdir()}"
            raise WeightsError(
                f"the model's graphs can be written neither to {where} ({problem})"
            ) from problem
        yield Path(folder)


def _own(home: Path) -> None:
    """The folder, for its user alone whatever the umask. Raises OSError where it is another user's, who could change a
    graph behind our back."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = home.stat()
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise PermissionError(f"{home} belongs to somebody else")
    if stat.S_IMODE(found.st_mode) != 0o700:
        home.chmod(0o700)


def _install(folder: Path, build: Callable[[Path], None]) -> None:
    """Build beside the target and rename: two servers that start at once do no harm."""
    draft = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    try:
        built, damaged = draft / "built", draft / "damaged"
        built.mkdir()
        built.chmod(0o700)
        build(built)
        lines = [f"{sha256_of(file)}  {file.name}\n" for file in sorted(built.iterdir())]
        (built / _CHECKSUMS).write_text("".join(lines), encoding="utf-8")
        if not _is_whole(folder):  # unless the other server was faster, which has it open by now
            with suppress(FileNotFoundError):
                folder.rename(damaged)
            built.rename(folder)
    except OSError:
        if not _is_whole(folder):  # the other server was faster
            raise
    finally:
        _remove(draft)


def _is_whole(folder: Path) -> bool:
    """Whether every file is there with its checksum, and no other."""
    try:
        lines = read_bytes(folder / _CHECKSUMS, _MAX_LIST_BYTES).decode("utf-8").splitlines()
        known = {name: checksum for checksum, name in (line.split(maxsplit=1) for line in lines)}
        present = {file.name for file in folder.iterdir()} - {_CHECKSUMS, _FOUND_SOUND}
        if folder.is_symlink() or not known or present != known.keys():
            return False
        files = {folder / name: checksum for name, checksum in known.items()}
        return _was_sound(folder) or _is_sound(folder, files)
    except (OSError, ValueError, WeightsError):
        return False


def _is_sound(folder: Path, files: Mapping[Path, str]) -> bool:
    """Whether the files have their checksums; it is noted for `_was_sound`, but of what is so new that a change might
    leave its times as they are."""
    stamps = _stamps(folder)
    if not all(sha256_of(file) == checksum for file, checksum in files.items()):
        return False
    changed = max(max(file.lstat().st_mtime, file.lstat().st_ctime) for file in files)
    if changed < time.time() - _SETTLED_SECONDS:
        with suppress(OSError), tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as draft:
            noted = Path(draft, _FOUND_SOUND)
            noted.write_text(stamps, encoding="utf-8")
            noted.replace(folder / _FOUND_SOUND)
    return True


def _was_sound(folder: Path) -> bool:
    """Raises WeightsError where something stands in the note's place that is no file."""
    noted = folder / _FOUND_SOUND
    return os.path.lexists(noted) and read_bytes(noted, _MAX_LIST_BYTES) == _stamps(folder).encode()


def _stamps(folder: Path) -> str:
    """What changes with any file of a folder but the note: a line for each."""
    found = ((file.name, file.lstat()) for file in sorted(folder.iterdir()) if file.name != _FOUND_SOUND)
    return "".join(f"{name} {stamp(at)}\n" for name, at in found)


def _forget_old(home: Path, used: Path) -> None:
    """Remove all but the graphs used last, as many as fit, and what a build that was killed left. What a process has
    mapped stays alive for it."""
    others = [(entry.stat().st_mtime, entry) for entry in home.iterdir() if entry != used]
    graphs = sorted(((when, entry) for when, entry in others if not entry.name.startswith(".")), reverse=True)
    size = 0
    for n, (_, folder) in enumerate(graphs):
        size += sum(file.lstat().st_size for file in folder.rglob("*"))
        if n >= GRAPHS_KEPT - 1 or size > BYTES_KEPT:
            _remove(folder)
    for when, draft in others:
        if draft.name.startswith(".") and when < time.time() - _DRAFT_SECONDS:
            _remove(draft)


def _remove(entry: Path) -> None:
    """A folder, or whatever stands in its place."""
    with suppress(OSError):
        if entry.is_symlink() or not entry.is_dir():
            entry.unlink()
    shutil.rmtree(entry, ignore_errors=True)
