"""The words that users read: one status with a reason and a next step, and the progress of indexing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from lsp_server.coming import Coming
from lsp_server.problems import explain
from lsp_server.silence import Silence
from model.settings import EMBEDDED_TINY

State = Literal["loading", "indexing", "ready", "paused", "disabled", "error"]

READING_PACKAGES = "reading installed packages for drafts"
MAKING_BLOCKS = "reading the repository ahead"
SLOW = (
    "The model is slow here: model.deadlineMs cuts most suggestions short. Raise it, or choose a smaller model or a "
    "faster device."
)


def away(name: str, minutes: float) -> str:
    """Of a model whose memory was given back."""
    return (
        f"{name} rests, because nobody has typed for {minutes:g} minutes (model.idleMinutes): the next key loads it "
        f"again, and {EMBEDDED_TINY} answers until it is there."
    )


@dataclass(frozen=True)
class FolderStatus:
    """One workspace folder. `done` of `total` in a stage ("reading" files, "embedding" chunks) while it is
    indexed, which is a `share` of the whole."""

    name: str
    files: int = 0
    chunks: int = 0
    skipped: int = 0
    stage: str = ""
    done: int | None = None
    total: int | None = None
    share: float = 0.0
    seconds_left: float | None = None
    error: str = ""
    background: str = ""  # what goes on beside, and keeps nothing waiting
    team: str = ""  # a sentence about the vectors that others computed


@dataclass(frozen=True)
class DocumentStatus:
    """Why nothing is or was suggested in a document; None: something is."""

    uri: str
    silence: Silence | None = None

    def to_json(self) -> dict[str, Any]:
        """`suggests`: whether anything may be, wherever the cursor is."""
        why = self.silence
        about = (why.code, why.reason, why.next_step) if why else ("", "", "")
        named = dict(zip(("code", "reason", "nextStep"), about, strict=True))
        return {"uri": self.uri, "suggests": not (why and why.is_refusal), **named}


@dataclass(frozen=True)
class Status:
    """What the server is doing. `reason` and `next_step` are empty when nothing is wrong. `document`: the one that was
    asked about last."""

    state: State
    message: str
    reason: str = ""
    next_step: str = ""
    model: str = ""
    notes: tuple[str, ...] = ()
    folders: tuple[FolderStatus, ...] = ()
    document: DocumentStatus | None = None
    snoozed: str = ""  # until when; "" where suggestions come by themselves
    coming: Coming | None = None  # the model that is to answer later

    def to_json(self) -> dict[str, Any]:
        """As `hef-lsp/status` carries it."""
        about = {"document": self.document.to_json()} if self.document else {}
        if self.coming:
            about["coming"] = self.coming.to_json()
        return {
            **about,
            "state": self.state,
            "message": self.message,
            "reason": self.reason,
            "nextStep": self.next_step,
            "model": self.model,
            "notes": list(self.notes),
            "snoozed": self.snoozed,
            "folders": [_folder_json(folder) for folder in self.folders],
        }


def status_of(
    *,
    model: str | None,
    model_error: Exception | None,
    notes: tuple[str, ...] = (),
    folders: Iterable[FolderStatus] = (),
    background: tuple[str, ...] = (),
    coming: Coming | None = None,
    enabled: bool = True,
    paused: bool = False,
    snoozed: str = "",
) -> Status:
    """The one status that matters most. `model` is None while it loads; `background`: what goes on beside, for all
    folders."""
    folders = tuple(folders)
    if not enabled:
        step = "Set completion.enabled to true."
        return Status(
            "disabled", "Suggestions are off.", "completion.enabled is false.", step, folders=folders
        )
    if model_error is not None:
        return _without_model(model_error)
    if model is None:
        return Status("loading", "Loading the model.")
    found = _at_work(folders, background, paused=paused)
    notes += tuple(dict.fromkeys(folder.team for folder in folders if folder.team))
    return replace(found, model=model, notes=notes, folders=folders, snoozed=snoozed, coming=coming)


def _at_work(folders: tuple[FolderStatus, ...], background: tuple[str, ...], *, paused: bool) -> Status:
    """With a model that answers: what the index is at."""
    failed = next((folder for folder in folders if folder.error), None)
    busy = next((folder for folder in folders if folder.done is not None), None)
    if failed is not None:
        step = "See `hef-lsp --doctor`; suggestions go on without what is missing."
        return Status("error", f"Indexing {failed.name} failed.", failed.error, step)
    if paused:
        return Status("paused", "Indexing is paused.", "You paused it.", "Run the command hef-lsp.resume.")
    if busy is not None:
        return Status("indexing", progress_line(busy))
    return Status("ready", _ready_line(folders, background))


def progress_line(folder: FolderStatus) -> str:
    """ "Indexing NAME: reading 120 of 450, about 12 s left" """
    if not folder.total:
        return f"Indexing {folder.name}: looking for files"
    left = f", about {folder.seconds_left:.0f} s left" if folder.seconds_left else ""
    return f"Indexing {folder.name}: {folder.stage} {folder.done or 0:,} of {folder.total:,}{left}"


def seconds_left(done: int, total: int, elapsed: float) -> float | None:
    """An estimate worth showing, None too early: the first files say little about the rest."""
    return elapsed / done * (total - done) if done >= 10 and elapsed > 1 else None


def _without_model(error: Exception) -> Status:
    reason, step = explain(error), "Run `hef-lsp --doctor`, then restart."
    if isinstance(error, ModuleNotFoundError):
        reason = f"The package {error.name} is not installed."
        step = f"Install {error.name} in the server's Python."
    return Status("error", "No model: suggestions are empty.", reason, step)


def _ready_line(folders: tuple[FolderStatus, ...], background: tuple[str, ...]) -> str:
    if not folders:
        return "Ready, without a folder to index."
    n_files, n_chunks = sum(f.files for f in folders), sum(f.chunks for f in folders)
    line = f"Ready: {n_files:,} files, {n_chunks:,} chunks indexed"
    return "; ".join([line, *sorted({f.background for f in folders if f.background}), *background]) + "."


def _folder_json(folder: FolderStatus) -> Mapping[str, Any]:
    return {
        "name": folder.name,
        "files": folder.files,
        "chunks": folder.chunks,
        "skipped": folder.skipped,
        "stage": folder.stage,
        "done": folder.done,
        "total": folder.total,
        "error": folder.error,
        "background": folder.background,
        "team": folder.team,
    }
