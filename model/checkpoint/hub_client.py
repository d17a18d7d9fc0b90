"""What the hub is asked, and what its answers mean to the user. https://huggingface.co/docs/hub/api"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from model.checkpoint.files import WeightsError
from model.checkpoint.hub_cache import HubFolder
from model.checkpoint.transfer import CutOffError, SilentError, Stream, within

_CONNECT_SECONDS = 4.0  # to one of a host's addresses
_MAX_LISTING_BYTES = 20_000_000
_BLOB = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository, `size` in bytes. `blob`: its name in the cache, the sha256 of a large file or git's hash
    of a small one."""

    name: str
    size: int
    blob: str

    @property
    def is_small(self) -> bool:
        return len(self.blob) == 40


class HubClient:
    """Asks about one model. Its methods raise what `within` does."""

    def __init__(self, name: str, seconds: float) -> None:
        """`seconds`: that the hub may be silent. Imports its library, which takes half a second."""
        from huggingface_hub import constants, get_session
        from huggingface_hub.utils import build_hf_headers

        get_session()  # which takes its time as well, and is not the hub's silence
        self._name, self._seconds = name, seconds
        self._hub = constants.ENDPOINT
        self._headers = build_hf_headers(library_name="hef-lsp") | {"Accept-Encoding": "identity"}

    def listing(self, revision: str) -> tuple[str, dict[str, HubFile]]:
        """The commit that a revision is now, and the files in its top folder by name. Raises WeightsError, too."""
        url = f"{self._hub}/api/models/{self._name}/revision/{quote(revision, safe='')}?blobs=true"
        content = b""
        for chunk in within(self._seconds, lambda: self._get(url, 0)):
            content += chunk
            if len(content) > _MAX_LISTING_BYTES:
                break
        try:
            raw = json.loads(content)
            commit = raw["sha"]
            files = {file.name: file for file in map(_file, raw["siblings"]) if "/" not in file.name}
            if not _COMMIT.fullmatch(commit) or not all(
                _BLOB.fullmatch(file.blob) for file in files.values()
            ):
                raise ValueError("no checksums")
        except (ValueError, KeyError, TypeError, RecursionError) as problem:
            host = urlsplit(self._hub).netloc
            raise WeightsError(
                f"{host} does not answer as the hub does ({problem}): see the variable HF_ENDPOINT, and whether this "
                "network asks for a login first"
            ) from problem
        return commit, files

    def stream(self, commit: str, file: HubFile) -> Stream:
        """A file of a commit, from a place on."""
        url = f"{self._hub}/{self._name}/resolve/{commit}/{quote(file.name)}"
        return lambda begin: self._get(url, begin)

    def _get(self, url: str, begin: int) -> Iterator[bytes]:
        from huggingface_hub import get_session
        from huggingface_hub.utils import hf_raise_for_status

        headers = self._headers | ({"Range": f"bytes={begin}-"} if begin else {})
        later = 2 * self._seconds  # `within` has given up by then, and the thread ends
        timeout = (min(_CONNECT_SECONDS, self._seconds), later, later, later)  # connect, read, write, pool
        with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
            if response.status_code >= 400:
                response.read()
                hf_raise_for_status(response)
            skipped = begin if response.status_code == 200 else 0  # some servers begin at 0 all the same
            for chunk in response.iter_bytes():
                yield chunk[skipped:]
                skipped = max(0, skipped - len(chunk))


def pull_command(name: str, revision: str = "main") -> str:
    """What fetches it by hand."""
    return f"hef-lsp --models pull {name}" + (
        f" --set model.revision={revision}" if revision != "main" else ""
    )


def explained(problem: Exception, name: str, revision: str) -> str:
    """What kept a model from being fetched, and the next step, in a sentence."""
    from huggingface_hub import constants, errors

    pull, page = f"`{pull_command(name, revision)}`", f"{constants.ENDPOINT}/{name}"
    if isinstance(problem, errors.GatedRepoError):
        return f"{name} is gated: accept its terms at {page}, log in with `hf auth login`, then {pull}"
    if isinstance(problem, errors.RevisionNotFoundError):
        return f"{name} has no revision {revision}: set model.revision to one of {page}/commits"
    if isinstance(problem, errors.RepositoryNotFoundError):
        return f"the hub has no {name}, or it is private: see model.name, or log in with `hf auth login`, then {pull}"
    if isinstance(problem, errors.HfHubHTTPError):
        code = problem.response.status_code
        return f"the hub answers {code} for {name}: try {pull} later, which goes on where it stopped"
    if isinstance(problem, SilentError | CutOffError):
        return _unreachable(problem, urlsplit(constants.ENDPOINT).netloc, name, pull)
    if isinstance(problem, OSError):
        return _of_the_disk(problem, HubFolder(name))
    return f"{name} cannot be fetched: {problem}; see model.revision"


def _unreachable(problem: Exception, host: str, name: str, pull: str) -> str:
    kept = HubFolder(name).partial_bytes()
    so_far = f", {kept / 1e6:,.1f} MB are kept" if kept else ""
    return f"{name} cannot be fetched from {host} ({problem}){so_far}: see the network, then {pull}"


def _of_the_disk(problem: OSError, hub: HubFolder) -> str:
    step = "set HF_HUB_CACHE to a folder that is yours"
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "free some space, or set HF_HUB_CACHE to a folder on another disk"
    return f"{hub.name} cannot be written to {hub.folder.parent} ({problem.strerror or problem}): {step}"


def _file(raw: Any) -> HubFile:
    """One of the `siblings`. Raises KeyError, TypeError, ValueError on what is none."""
    large = raw.get("lfs") or {}
    return HubFile(
        str(raw["rfilename"]), int(large.get("size", raw["size"])), large.get("sha256") or raw["blobId"]
    )
