"""What of the hub lies on this disk, in the layout of huggingface_hub: blobs by checksum, a folder of links per commit.

Asked without the library, whose import takes half a second. https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

SILENT_SECONDS = 10.0  # of a hub, unless the user says otherwise

_TRUE = frozenset({"1", "ON", "YES", "TRUE"})
_COMMIT = re.compile("[0-9a-f]{40}")
_PREFIX, _SEPARATOR = "models--", "--"


def hub_cache() -> Path:
    """Where the hub's files are kept, there or not; the user's own variables move it."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return _expanded(named)
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return _expanded(os.environ.get("HF_HOME") or os.path.join(caches, "huggingface")) / "hub"


def is_offline() -> bool:
    """Whether the user's environment forbids to ask the hub."""
    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in _TRUE


def silent_seconds() -> float:
    """How long a hub may send nothing; the variable is that of the hub's own library."""
    said = os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT", "")
    return float(said) if said.isdecimal() and int(said) else SILENT_SECONDS


def cached_models() -> list[str]:
    """Hub ids of all models of which something lies here, by name."""
    folders = hub_cache().glob(f"{_PREFIX}*{_SEPARATOR}*")
    return sorted(hub_name_of(folder / "snapshots" / "any") for folder in folders)


def hub_name_of(folder: Path) -> str:
    """The hub id of which a folder is a commit, "" of any other folder."""
    model = folder.parent.parent.name
    is_commit = folder.parent.name == "snapshots" and model.startswith(_PREFIX)
    return model.removeprefix(_PREFIX).replace(_SEPARATOR, "/", 1) if is_commit else ""


@dataclass(frozen=True)
class HubFolder:
    """One model's folder in the cache. `name`: a hub id, such as Qwen/Qwen2.5-Coder-0.5B."""

    name: str

    @property
    def folder(self) -> Path:
        return hub_cache() / (_PREFIX + self.name.replace("/", _SEPARATOR))

    @property
    def blobs(self) -> Path:
        return self.folder / "blobs"

    def snapshot(self, commit: str) -> Path:
        """The folder of a commit, there or not."""
        return self.folder / "snapshots" / commit

    def ref(self, revision: str) -> Path:
        """The file that says which commit a branch or tag was. Raises ValueError for what would lie elsewhere."""
        if ".." in revision.split("/") or not revision.strip("/") or "\0" in revision:
            raise ValueError(f"{revision!r} is no revision")
        return self.folder / "refs" / revision.strip("/")

    def found(self, revision: str) -> Path | None:
        """The folder that a branch, tag or commit had when it was fetched, whole or not."""
        try:
            commit = self.ref(revision).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            commit = revision
        folder = self.snapshot(commit)
        return folder if _COMMIT.fullmatch(commit) and folder.is_dir() else None

    def partial_bytes(self) -> int:
        """Of files that were fetched in part."""
        return sum(file.stat().st_size for file in self.blobs.glob("*.incomplete"))


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(os.path.expanduser(path)))
