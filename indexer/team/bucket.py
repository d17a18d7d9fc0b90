"""The object store, through obstore: S3, Google, Azure or a folder. Nothing waits without a bound, nothing is read
without one, and what goes wrong is told in our words: the library's quote addresses."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az", "file")
CONNECT_SECONDS, READ_SECONDS, REQUEST_SECONDS = 2.0, 5.0, 120.0
_RETRIES = 3  # of who writes; a reader has its own machine to fall back to
_LOCK_SECONDS = 30.0  # of a folder: what is older was left by a killed process
_PIECE = 1_000_000  # bytes that a read takes at a time
_ALLOW_HTTP = ("AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP")
_URL = re.compile(r"(s3|gs|az)://([A-Za-z0-9][A-Za-z0-9._-]{0,99})((?:/[A-Za-z0-9._+-]{1,100}){0,8})/?")


class BucketError(OSError):
    """The store cannot be used: the message is a sentence without an address, a name or a credential."""


class AbsentObjectError(BucketError):
    """There is no such object."""


class LostRaceError(BucketError):
    """Somebody else has replaced the object meanwhile."""


class Bucket:
    """One store, used by one thread at a time. `requests`: how many were made."""

    def __init__(self, url: str, *, writes: bool = False) -> None:
        """`url`: s3://, gs:// or az://BUCKET/PREFIX, or a folder. Credentials come from where the cloud's own tools
        have them. No connection is opened. Raises BucketError."""
        self.requests = 0
        self._folder: Path | None = None
        self._store = self._opened(url, writes)

    def get(self, path: str, max_bytes: int) -> tuple[bytes, str | None]:
        """An object and its ETag. Raises BucketError, AbsentObjectError among them, where it is larger or cannot be
        had."""
        import obstore

        self.requests += 1
        with _in_our_words():
            found = obstore.get(self._store, path)
            if found.meta["size"] > max_bytes:
                raise BucketError("An object of the team's store is larger than it may be.")
            content = bytearray()
            for piece in found.stream(min_chunk_size=_PIECE):
                content += piece
                if len(content) > max_bytes:
                    raise BucketError("An object of the team's store is larger than it may be.")
            return bytes(content), found.meta["e_tag"]

    def get_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Parts of an object, each from a first byte to before another; a request each."""
        import obstore

        self.requests += len(ranges)
        starts, ends = [start for start, _ in ranges], [end for _, end in ranges]
        with _in_our_words():
            found = [
                bytes(part)
                for part in obstore.get_ranges(self._store, path, starts=starts, ends=ends, coalesce=0)
            ]
        if [len(part) for part in found] != [end - start for start, end in ranges]:
            raise BucketError("The team's store gave other bytes than were asked for.")
        return found

    def create(self, path: str, content: bytes) -> bool:
        """Write an object that never changes. False where it is there already."""
        from obstore.exceptions import AlreadyExistsError

        try:
            self._put(path, content, "create")
        except AlreadyExistsError:
            return False
        return True

    def swap(self, path: str, content: bytes, e_tag: str | None) -> None:
        """Replace an object if it still has this ETag (None: if it is not there). Raises LostRaceError where not."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        if e_tag is not None and self._folder is not None:
            self._swap_in_folder(self._folder, path, content, e_tag)
            return
        try:
            self._put(path, content, "create" if e_tag is None else {"e_tag": e_tag})
        except (AlreadyExistsError, PreconditionError):
            raise LostRaceError("Somebody else published at the same time.") from None

    def _put(self, path: str, content: bytes, mode: Any) -> None:
        import obstore

        self.requests += 1
        with _in_our_words():
            obstore.put(self._store, path, content, mode=mode, use_multipart=False)

    def _swap_in_folder(self, folder: Path, path: str, content: bytes, e_tag: str) -> None:
        """A folder has no compare-and-swap: whoever holds the lock file has the ref to himself."""
        lock = folder / f"{path}.lock"
        with suppress(OSError):
            if time.time() - lock.stat().st_mtime > _LOCK_SECONDS:
                lock.unlink()
        try:
            lock.touch(exist_ok=False)
        except FileExistsError:
            raise LostRaceError("Somebody else publishes at the same time.") from None
        except OSError as error:
            raise BucketError(f"The team's folder cannot be written: {error.strerror}.") from None
        try:
            if self.get(path, len(content) + 100_000_000)[1] != e_tag:
                raise LostRaceError("Somebody else published at the same time.")
            self._put(path, content, "overwrite")
        finally:
            lock.unlink(missing_ok=True)

    def _opened(self, url: str, writes: bool) -> ObjectStore:
        try:
            from obstore.store import LocalStore, from_url
        except ImportError:
            raise BucketError("team.store needs obstore: pip install 'hef-lsp[team]'.") from None
        folder = folder_of(url)
        if folder is None and not _URL.fullmatch(url):
            raise BucketError(f"team.store must be a folder or {', '.join(f'{name}://' for name in SCHEMES[:3])} and "
                              "a bucket, without credentials.")  # fmt: skip
        with _in_our_words():
            if folder is not None:
                self._folder = folder
                return LocalStore(folder, mkdir=writes)
            client: Any = {
                "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "read_timeout": timedelta(seconds=READ_SECONDS),
                "timeout": timedelta(seconds=REQUEST_SECONDS),
                # What the environment says of the client is not asked for once anything is said here.
                "allow_http": any(os.environ.get(name, "").lower() == "true" for name in _ALLOW_HTTP),
            }
            retry: Any = {
                "max_retries": _RETRIES if writes else 0,
                "retry_timeout": timedelta(seconds=REQUEST_SECONDS),
            }
            return from_url(url, client_options=client, retry_config=retry)


def folder_of(url: str) -> Path | None:
    """The folder that `team.store` names, None for a bucket."""
    if url.startswith("file://"):
        return Path(url.removeprefix("file://"))
    place = Path(url).expanduser() if url.startswith("~") else Path(url)
    return place if place.is_absolute() else None


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Around what the library does: its errors become ours, but for those that the caller waits for."""
    from obstore import exceptions

    try:
        yield
    except (BucketError, exceptions.AlreadyExistsError, exceptions.PreconditionError):
        raise
    except FileNotFoundError:
        raise AbsentObjectError("The team's store has no such object.") from None
    except Exception as error:
        raise BucketError(_sentence(error)) from None


def _sentence(error: Exception) -> str:
    """What went wrong, without a word of the library's."""
    said, _, _ = str(error).partition("Debug source")  # which names every setting of the client
    denied = type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError", "PermissionError")
    if "ExpiredToken" in said or "TokenRefreshRequired" in said or "expired" in said.lower():
        return "The credentials for the team's store have expired."
    if denied or "InvalidAccessKeyId" in said or "SignatureDoesNotMatch" in said:
        return "The team's store does not accept these credentials."
    if "credential" in said.lower() or "169.254." in said:
        return "There are no credentials for the team's store."
    if "timed out" in said or "TimedOut" in str(error):
        return "The team's store does not answer in time."
    return "The team's store cannot be reached, or answers what no store answers."
