"""Fetching a checkpoint from the hub into the hub's own cache: bounded in time, resumed, verified.

The client, the token and the errors are huggingface_hub's. The bytes are ours: its downloads retry for minutes where
nobody answers, compare no checksum, and report in pieces of 10 MB.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from model.checkpoint.architecture import check_architecture
from model.checkpoint.files import MAX_TOKENIZER_BYTES, WeightsError, git_sha1_of, read_json, sha256_of
from model.checkpoint.hub_cache import HubFolder, is_offline, silent_seconds
from model.checkpoint.hub_client import HubClient, HubFile, explained, pull_command
from model.checkpoint.sums import kept_sha256
from model.checkpoint.transfer import CutOffError, SilentError, receive, size_of
from model.news import News, Told, to_nobody

_SPARE_BYTES = 50_000_000  # of disk that stay free
_LOOK_SECONDS = 0.5  # between two looks at what another program has fetched
_CONFIG, _TOKENIZER = "config.json", "tokenizer.json"
_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


def fetch(name: str, revision: str, told: Told = to_nobody, seconds: float | None = None) -> Path:
    """The folder of a hub id's newest commit of a revision, with what was missing or damaged fetched. Raises
    WeightsError, at the latest `seconds` after the last byte (None: as many as the user allows).

    What was fetched is kept, whatever happens, and not fetched again.
    """
    if is_offline():
        raise WeightsError(f"{name} is not fetched while HF_HUB_OFFLINE is set: unset it, then try again")
    told(News("fetching"))
    try:
        return _Fetching(name, revision, told, seconds or silent_seconds()).run()
    except (CutOffError, SilentError, OSError, ValueError) as problem:
        raise WeightsError(explained(problem, name, revision)) from problem


class _Fetching:
    """One way from the hub to the disk."""

    def __init__(self, name: str, revision: str, told: Told, seconds: float) -> None:
        self._name, self._revision, self._told = name, revision, told
        self._seconds = seconds
        self._hub = HubFolder(name)
        self._hub.ref(revision)  # raises ValueError
        self._client = HubClient(name, seconds)

    def run(self) -> Path:
        commit, files = self._client.listing(self._revision)
        self._check(files)
        snapshot = self._hub.snapshot(commit)
        for folder in (snapshot, self._hub.blobs):
            folder.mkdir(parents=True, exist_ok=True)
        first = [files[name] for name in (_CONFIG, _INDEX) if name in files]
        self._fetch(commit, first, lambda _done, _total: self._told(News("fetching")))
        rest = [files[_TOKENIZER], *self._weights(snapshot, files)]
        self._check_room(rest)
        self._fetch(commit, rest, lambda done, total: self._told(News("fetching", done, total)))
        ref = self._hub.ref(self._revision)
        if self._revision != commit:
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(commit, encoding="ascii")
        return snapshot

    def _check(self, files: Mapping[str, HubFile]) -> None:
        for name in (_CONFIG, _TOKENIZER):
            if name not in files:
                raise WeightsError(
                    f"{self._name} has no {name}, so it is no coder: choose another model.name"
                )
        for name in (_CONFIG, _TOKENIZER, _INDEX):
            if name in files and files[name].size > MAX_TOKENIZER_BYTES:
                what = f"{name} of {self._name} is too large for what it should be"
                raise WeightsError(f"{what}: choose another model.name")

    def _weights(self, snapshot: Path, files: Mapping[str, HubFile]) -> list[HubFile]:
        """What is to be fetched of gigabytes, once it is known that it can be used. Raises WeightsError."""
        check_architecture(read_json(snapshot / _CONFIG), snapshot, self._name)
        names = {_WHOLE}
        if _INDEX in files:
            table = read_json(snapshot / _INDEX, files[_INDEX].size).get("weight_map")
            names = set(table.values()) if isinstance(table, dict) else set()
        wanted = [files[name] for name in sorted(map(str, names)) if name in files]
        if not wanted or len(wanted) < len(names):
            raise WeightsError(
                f"{self._name} has no safetensors, and nothing else is loaded: choose another model.name"
            )
        return wanted

    def _check_room(self, files: Sequence[HubFile]) -> None:
        missing = sum(file.size - min(self._have(file), file.size) for file in files)
        free = shutil.disk_usage(self._hub.blobs).free - _SPARE_BYTES
        if missing > free:
            raise WeightsError(
                f"{self._name} takes {missing / 1e9:.1f} GB more and {max(free, 0) / 1e9:.1f} GB are free in "
                f"{self._hub.folder.parent}: free some, or set HF_HUB_CACHE to a folder on another disk"
            )

    def _have(self, file: HubFile) -> int:
        blob = self._hub.blobs / file.blob
        return size_of(blob) or size_of(blob.with_name(f"{file.blob}.incomplete"))

    def _fetch(self, commit: str, files: Sequence[HubFile], told: Callable[[int, int], None]) -> None:
        """`told`: of how many bytes of all of them are here, and how many that will be."""
        total, before = sum(file.size for file in files), 0
        for file in files:

            def received(done: int, before: int = before) -> None:
                told(before + done, total)

            self._fetch_one(commit, file, received)
            received(file.size)
            _link(self._hub.blobs / file.blob, self._hub.snapshot(commit) / file.name)
            before += file.size

    def _fetch_one(self, commit: str, file: HubFile, received: Callable[[int], None]) -> None:
        blob = self._hub.blobs / file.blob
        linked = (
            self._hub.snapshot(commit) / file.name
        )  # where there are no links, the file itself lies there
        with self._alone(file, received):
            if any(_is_sound(file, there, self._told, kept=True) for there in (blob, linked)):
                return
            partial = blob.with_name(f"{file.blob}.incomplete")
            receive(partial, file.size, self._client.stream(commit, file), received, self._seconds)
            if not _is_sound(file, partial, self._told):
                partial.unlink()
                step = f"`{pull_command(self._name, self._revision)}` fetches it again"
                what = f"came with a wrong checksum and was deleted ({file.name})"
                raise WeightsError(f"{self._name} {what}: {step}")
            partial.replace(blob)

    @contextmanager
    def _alone(self, file: HubFile, received: Callable[[int], None]) -> Iterator[None]:
        """Whoever fetches the same file, the hub's own command too, is waited for as long as its file grows."""
        from huggingface_hub.utils import WeakFileLock

        lock = self._hub.folder.parent / ".locks" / self._hub.folder.name / f"{file.blob}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        most, grew_at = -1, time.monotonic()
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(WeakFileLock(lock, timeout=min(_LOOK_SECONDS, self._seconds)))
                    break
                except TimeoutError:
                    received(have := self._have(file))
                if have > most:
                    most, grew_at = have, time.monotonic()
                elif time.monotonic() - grew_at > self._seconds:
                    step = "wait for it or end it, then try again"
                    raise WeightsError(f"another program is fetching {self._name}: {step}")
            yield


def _link(blob: Path, linked: Path) -> None:
    """As the hub's library does: a relative link, or where the system has none the file itself."""
    if linked.exists() and (not blob.exists() or linked.resolve() == blob.resolve()):
        return
    linked.unlink(missing_ok=True)
    try:
        linked.symlink_to(os.path.relpath(blob, linked.parent))
    except OSError:
        blob.replace(linked)


def _is_sound(expected: HubFile, file: Path, told: Told, *, kept: bool = False) -> bool:
    """Whether a file holds what the hub says; `kept`: a sum that was computed before will do."""
    if size_of(file) != expected.size:
        return False
    if expected.is_small:
        return git_sha1_of(file) == expected.blob
    if kept:
        return kept_sha256(file, told) == expected.blob
    return sha256_of(file, lambda done: told(News("checking", done, expected.size))) == expected.blob
