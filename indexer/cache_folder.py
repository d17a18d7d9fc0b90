"""Where caches lie: one folder for all, in it one per repository, in that one per store; for this user alone."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from platformdirs import user_cache_path

from indexer.damage import CacheError, cache_error

FORMAT_VERSION = 2  # of the store


def default_cache_dir(root: Path) -> Path:
    """The folder for one repository's caches, outside of it."""
    resolved = root.resolve()
    return cache_home() / f"{resolved.name or 'root'}-{_short_hash(str(resolved))}"


def cache_home() -> Path:
    """The folder for all caches: HEF_CACHE_DIR, else the user's cache folder; the same as `model.privacy`'s."""
    named = os.environ.get("HEF_CACHE_DIR")
    return Path(named) if named else user_cache_path("hef-lsp", appauthor=False, opinion=False)


def store_folder(cache_dir: Path, fingerprint: str) -> Path:
    """One folder per format version and embedder, so that vectors of another model are never read."""
    return cache_dir / f"v{FORMAT_VERSION}-{_short_hash(fingerprint)}"


def _short_hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()


def write_whole(file: Path, content: bytes) -> None:
    """Write a small file of a cache, for this user alone: others see all of it, or what was there before. OSError is
    the caller's."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    os.chmod(draft, 0o600)  # whatever the umask
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    os.replace(draft, file)


def make_private(folder: Path) -> None:
    """Create a folder and those above it that are missing, all for this user alone whatever the umask.

    Raises CacheError when it cannot be written or belongs to another user, who could read or replace what is in it.
    """
    home = (
        cache_home() if "HEF_CACHE_DIR" not in os.environ else folder
    )  # a folder that the user named stays as it is
    missing = [level for level in (folder, *folder.parents) if not level.exists()]
    try:
        for level in reversed(missing):
            with suppress(FileExistsError):  # another process was faster
                level.mkdir(0o700)
            level.chmod(0o700)
        for level in (folder, *folder.parents):
            if hasattr(os, "geteuid") and level.stat().st_uid != os.geteuid():
                raise _of_another(level)
            level.chmod(0o700)
            if level == home or not level.is_relative_to(home):
                break
    except OSError as error:
        raise error if isinstance(error, CacheError) else cache_error(error, folder) from None


def _of_another(folder: Path) -> CacheError:
    step = "Give it to yourself or delete it, or set HEF_CACHE_DIR to a folder of your own."
    return CacheError(f"The cache folder {folder} belongs to another user.", step)
