"""Stores of other embedders and older formats: deleted when nobody has opened them for a month."""

from __future__ import annotations

import logging
import re
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from indexer.database import connect, database_path

_log = logging.getLogger(__name__)

UNUSED_DAYS = 30
_STORE = re.compile(r"v\d+-[0-9a-f]{12}(\.deleted)?")


def delete_unused(current: Path) -> list[Path]:
    """Delete the other stores of one repository that were not opened lately and that no process holds; which ones."""
    oldest = time.time() - UNUSED_DAYS * 86_400
    others = [folder for folder in current.parent.iterdir() if _STORE.fullmatch(folder.name) and folder != current]
    others.sort(key=lambda folder: not folder.suffix)  # what a killed deletion left stands in the way of the next
    return [folder for folder in others if _last_used(folder) < oldest and _delete(folder)]


def _last_used(folder: Path) -> float:
    """Seconds since 1970: opening a store touches its file."""
    times = [path.stat().st_mtime for path in folder.iterdir() if path.exists()]
    return max(times, default=folder.stat().st_mtime)


def _delete(folder: Path) -> bool:
    if _is_held(folder):
        return False
    try:
        # Under another name first: a process that opens the store meanwhile begins a new one.
        aside = folder if folder.suffix else folder.rename(folder.with_name(folder.name + ".deleted"))
    except OSError:
        return False
    shutil.rmtree(aside, ignore_errors=True)
    _log.info("deleted the unused cache %s", folder.name)
    return True


def _is_held(folder: Path) -> bool:
    """Whether a process has the store open: then SQLite refuses to take it out of WAL mode."""
    if not database_path(folder).exists():
        return False
    try:
        with closing(connect(folder)) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError:
        return True
    except sqlite3.DatabaseError:
        return False  # damaged: nobody can use it
    return False
