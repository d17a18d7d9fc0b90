"""What ends a command: one sentence, never a traceback. Imports nothing heavy, as what it is for may come
early."""

from __future__ import annotations

import errno
import sqlite3

from lsp_server.visible import visible

_FULL = "The disk is full. Free some space; HEF_CACHE_DIR moves the cache to another disk."


class UserMustActError(Exception):
    """One sentence that says what is wrong and what to do. Exit code 1."""


class UsageError(ValueError):
    """One sentence about what was asked for. Exit code 2."""


EXPECTED = (UsageError, UserMustActError, OSError, sqlite3.Error)  # of which a sentence says it all


def explain(error: BaseException) -> str:
    """What is wrong and what to do, in one line without control characters."""
    if isinstance(error, sqlite3.Error):
        return _of_the_store(error)
    if isinstance(error, OSError):
        return _of_the_system(error)
    return visible(" ".join(str(error).split())) or type(error).__name__


def _of_the_store(error: sqlite3.Error) -> str:
    said = str(error)
    if "locked" in said:
        return "Another process keeps the index locked. Wait for it or end it, then try again."
    if "full" in said:
        return _FULL
    if "readonly" in said or "unable to open" in said:
        return "The index cannot be written. Make the cache folder yours and writable, or set HEF_CACHE_DIR to another."
    return f"The index cannot be used: {visible(said)}. Delete it with `hef-lsp --purge`."


def _of_the_system(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return _FULL
    if isinstance(error, BrokenPipeError):
        return "The output was closed before everything was written."
    said = error.strerror or str(error) or type(error).__name__
    return visible(f"{said}: {error.filename}." if error.filename else f"{said.rstrip('.')}.")
