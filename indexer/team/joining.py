"""From a user's settings to a team's store: where it is, with which secret, and what the repository is called there.

Nothing of it comes from the repository: the caller hands in the user's own settings, and a file in the repository is no
place for a secret.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from indexer.reading import ReadingError, read_regular
from indexer.settings import TeamSettings
from indexer.team.bucket import Bucket, BucketError
from indexer.team.naming import branch_name, repository_name
from indexer.team.package_reading import StoredPackages
from indexer.team.publishing import PackWriter
from indexer.team.pulling import TeamStore
from indexer.team.refs import ref_path, secret_key

SECRET = "HEF_TEAM_SECRET"
_MAX_SECRET_BYTES = 4_096


def joined(settings: TeamSettings, root: Path, fingerprint: str) -> TeamStore | None:
    """Where an index of `root` finds its team's vectors, None where the user has named no store. Opens nothing."""
    if not settings.store:
        return None
    repository = settings.repository or repository_name(root)
    branches = (branch_name(root) or settings.branch, settings.branch)
    paths = [ref_path(fingerprint, repository, branch) for branch in branches]
    enter = entrance(settings, root)
    vector_bytes = settings.package_megabytes * 1_000_000 if settings.package_vectors else 0
    packages = StoredPackages(fingerprint, enter, vector_bytes) if settings.packages else None
    return TeamStore(fingerprint, paths, enter, settings.wait_ms / 1e3, packages)


def entrance(settings: TeamSettings, root: Path) -> Callable[[], tuple[Bucket, bytes]]:
    """What opens the store for a reader and gives the key. It raises BucketError."""
    return lambda: (Bucket(settings.store), _key(settings, root))


def writer(settings: TeamSettings, root: Path, fingerprint: str) -> PackWriter:
    """Who publishes. Raises BucketError, a sentence, where settings or secret do not allow it."""
    if not settings.store:
        raise BucketError(
            "There is no store to publish to: --set team.store=s3://BUCKET/PREFIX, or a folder."
        )
    return PackWriter(Bucket(settings.store, writes=True), fingerprint, _key(settings, root))


def _key(settings: TeamSettings, root: Path) -> bytes:
    try:
        return secret_key(os.environ.get(SECRET) or _secret_in_file(settings.secret_file, root))
    except ValueError as error:
        raise BucketError(str(error)) from None


def _secret_in_file(named: str, root: Path) -> str:
    if not named:
        raise BucketError(f"There is no secret for the team's store: set {SECRET}, or team.secretFile.")
    file = Path(named).expanduser()
    try:
        if file.resolve().is_relative_to(root.resolve()):
            raise BucketError("team.secretFile lies in the repository, where others can read or write it.")
        if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise BucketError("team.secretFile can be read by others: chmod 600 it.")
        return read_regular(file, _MAX_SECRET_BYTES, follow_link=True).decode("utf-8")
    except BucketError:
        raise
    except (OSError, ReadingError, ValueError, RuntimeError):
        raise BucketError("team.secretFile cannot be read.") from None
