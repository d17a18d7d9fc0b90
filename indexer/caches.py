"""What the caches hold and of whom, and deleting it: only in the cache home, only what we made, never through a link.

The cache home has a folder per repository with a store per format and embedder in it, and folders that all repositories
share. A user may point it at a place that holds other things, so each part is known by the names that we give.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from indexer.cache_folder import FORMAT_VERSION, cache_home, default_cache_dir, write_whole
from indexer.damage import reading
from indexer.database import connect, database_path
from indexer.reading import read_regular

_log = logging.getLogger(__name__)

VANISHED = "its folder is gone"
OLD_FORMAT = "of another version"
SUPERSEDED = "of another model than was used last"
LEFT_OVER = "half deleted"
IN_USE = "in use"
_PROJECT, _MAX_PROJECT_BYTES = "project.json", 65_536
_DELETED = ".deleted"  # behind the name of what is being deleted
_REPOSITORY = re.compile(r".+-[0-9a-f]{12}", re.DOTALL)
_STORE = re.compile(r"v(\d+)-[0-9a-f]{12}")
_BLOCKS = re.compile(r"blocks-[0-9a-f]{12}")  # in a store: what one coder has computed of its texts
# What is shared: our name for it, the folder in the cache home, and the folders in that which count as ours.
_SHARED = (
    ("prepared graphs of models", re.compile("graphs"), re.compile(r"[a-z]+-[0-9a-f]{16}|\.[\w-]{8,}")),
    ("tokens of installed packages", re.compile("packages"), re.compile("[0-9a-f]{12}")),
    ("signatures of installed packages", re.compile("signatures"), re.compile("[0-9a-f]{12}")),
    ("tokens of installed packages, older", re.compile("[0-9a-f]{16}"), re.compile(".+-.+")),
    ("checksums of models' files", re.compile("checksums"), re.compile("[0-9a-f]{16}")),
    ("how fast models are here", re.compile("paces"), re.compile("[0-9a-f]{16}")),
    ("files of libraries", re.compile("libraries"), re.compile("matplotlib|inductor|triton")),
)


@dataclass(frozen=True)
class Cache:
    """One part of the cache home. `project`: the repository's path, "" of an unknown one; `shared`: what it is instead.

    `last_used`: seconds since 1970. `stale`: why it may go, "" where it may be wanted.
    """

    folder: Path
    parts: tuple[Path, ...]  # the folders that are deleted with it
    project: str
    shared: str
    bytes: int
    last_used: float
    stale: str


def remember_project(cache_dir: Path, root: Path) -> None:
    """Write down whose caches these are. Where that cannot be written nothing else is lost."""
    if _project_of(cache_dir) == str(root):
        return
    with suppress(OSError):
        write_whole(cache_dir / _PROJECT, json.dumps({"project": str(root)}).encode("ascii"))


def caches(keep_days: int) -> list[Cache]:
    """All caches, those of repositories first, by path."""
    home = cache_home()
    repositories = _folders(home, _REPOSITORY)
    stores = [_described(store, keep_days) for folder in repositories for store in _folders(folder, _STORE)]
    shared = [
        Cache(folder, parts, "", name, sum(map(_size, parts)), max(map(_last_used, parts)), "")
        for name, outer, inner in _SHARED
        for folder in _folders(home, outer)
        if (parts := tuple(_folders(folder, inner)))
    ]
    return stores + shared


def has_index(root: Path) -> bool:
    """Whether a store that can be used is kept of a folder, of whatever embedder."""
    return any(_format_of(store) == FORMAT_VERSION for store in _folders(default_cache_dir(root), _STORE))


def delete(cache: Cache) -> str:
    """Delete one cache. "" when it is gone, else why it is not: IN_USE or what the system said."""
    problems = [problem for part in cache.parts if (problem := _delete(part))]
    _tidy(cache.folder if cache.shared else cache.folder.parent)
    return problems[0] if problems else ""


def delete_unused(current: Path, keep_days: int) -> list[Path]:
    """Delete the stores that nobody opened lately, that no process holds and that nobody will want: those of vanished
    and unknown projects, of other formats, and of other embedders than a repository was opened with last. Which ones.

    A project on a disk that is not there looks vanished, hence the time; one that is there keeps its store.
    """
    oldest = time.time() - keep_days * 86_400
    repositories = [current.parent]
    if current.parent.parent == cache_home():
        repositories = _folders(cache_home(), _REPOSITORY)
    stores = [store for folder in repositories for store in _folders(folder, _STORE)]
    # What a killed deletion left stands in the way of the next. Only of old stores it is asked where their project is:
    # a network drive may take its time to answer.
    stores.sort(key=lambda store: store.suffix != _DELETED)
    old = [store for store in stores if store != current and _last_used(store) < oldest]
    for blocks in _folders(current, _BLOCKS):  # of coders that the repository was not read with lately
        if _last_used(blocks) < oldest:
            _delete(blocks)
    unwanted = [store for store in old if not _project_of(store.parent) or _why_unwanted(store)]
    gone = [store for store in unwanted if not _delete(store)]
    for repository in {store.parent for store in gone}:
        _tidy(repository)
    return gone


def _described(store: Path, keep_days: int) -> Cache:
    used = _last_used(store)
    days = int((time.time() - used) / 86_400)
    stale = _why_unwanted(store) or (f"unused for {days} days" if days >= max(keep_days, 1) else "")
    return Cache(store, (store,), _project_of(store.parent), "", _size(store), used, stale)


def _why_unwanted(store: Path) -> str:
    """Whatever its age; "" for the store that a repository which is there was opened with last."""
    if _format_of(store) is None:
        return LEFT_OVER
    if _format_of(store) != FORMAT_VERSION:
        return OLD_FORMAT
    project = _project_of(store.parent)
    if project and not os.path.isdir(project):
        return VANISHED
    usable = [other for other in _folders(store.parent, _STORE) if _format_of(other) == FORMAT_VERSION]
    return "" if store == max(usable, key=_last_used, default=store) else SUPERSEDED


def _format_of(store: Path) -> int | None:
    """The format that its name says; None for what is half deleted."""
    matched = _STORE.fullmatch(store.name)
    return int(matched[1]) if matched else None


def _project_of(cache_dir: Path) -> str:
    try:
        project = json.loads(read_regular(cache_dir / _PROJECT, _MAX_PROJECT_BYTES))["project"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return project if isinstance(project, str) else ""


def _folders(parent: Path, pattern: re.Pattern[str]) -> list[Path]:
    """Folders with such names, in order; links to folders are none."""
    with suppress(OSError), os.scandir(parent) as entries:
        folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return [parent / name for name in sorted(folders) if pattern.fullmatch(name.removesuffix(_DELETED))]
    return []


def _files(folder: Path) -> Iterator[os.stat_result]:
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # SQLite's log vanishes meanwhile
                yield os.lstat(os.path.join(parent, name))


def _size(folder: Path) -> int:
    return sum(file.st_size for file in _files(folder))


def _last_used(folder: Path) -> float:
    """Seconds since 1970: opening a store touches its file."""
    times = [file.st_mtime for file in _files(folder)]
    with suppress(OSError):
        times = times or [folder.lstat().st_mtime]
    return max(times, default=0.0)


def _delete(folder: Path) -> str:
    """What `delete` returns, for one folder. Whoever gave us the name, a link is not followed."""
    if _is_held(folder):
        return IN_USE
    try:
        # Under another name first: a process that opens the store meanwhile begins a new one.
        aside = (
            folder if folder.suffix == _DELETED else folder.rename(folder.with_name(folder.name + _DELETED))
        )
        shutil.rmtree(aside)
    except OSError as error:
        return error.strerror or type(error).__name__
    _log.info("deleted the cache %s", folder.name)
    return ""


def _tidy(folder: Path) -> None:
    """Remove a folder in which nothing of ours is left; what is not ours stays, and the folder with it."""
    with suppress(OSError):
        names = os.listdir(folder)
        if not any(_STORE.fullmatch(name.removesuffix(_DELETED)) for name in names):
            for name in names:
                if name == _PROJECT or name.startswith(f".{_PROJECT}-"):
                    (folder / name).unlink()
        folder.rmdir()


def _is_held(folder: Path) -> bool:
    """Whether a process has the store open: then SQLite refuses to take it out of WAL mode."""
    try:
        if not stat.S_ISREG(database_path(folder).lstat().st_mode):
            return False  # not ours to open: its target would be changed
        with reading(), closing(connect(folder)) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA journal_mode = DELETE")
    except OSError:
        return False
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    except sqlite3.DatabaseError:
        return False  # damaged: nobody can use it
    return False
