"""Where nothing is suggested, and why: switches of the user, ignored files, secrets; and where a model is
unsure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from indexer import IGNORED, LOOKS_SECRET, SECRET
from lsp_server.documents import name_of
from lsp_server.settings import Settings
from lsp_server.verdicts import UNKNOWN, Question, Verdict, Verdicts

LOOK_SECONDS = 0.5  # that the disk may take to say what a document is


@dataclass(frozen=True)
class Refusal:
    """Two sentences for the user who wonders why nothing comes."""

    reason: str
    next_step: str


SECRET_FILE = Refusal(
    "The file's name says that it holds secrets: nothing is suggested in it, nor from it.",
    "Secrets are never completed in; give the file another name if it holds none.",
)
IGNORED_FILE = Refusal(
    "The file is ignored: nothing is suggested in it, nor from it.",
    "Bring it back with `!pattern` in .hefignore.",
)
LOOKS_SECRET_FILE = Refusal(
    "The text looks like a secret (a private key, or a service's): nothing is suggested in it, nor from it.",
    "Take the secret out, or name the file in index.notSecret if it is none.",
)
UNKNOWN_FILE = Refusal(
    "The disk does not say whether the file is ignored or secret: nothing is suggested until it does.",
    "Look after the drive that it lies on.",
)
_REFUSALS = {
    SECRET: SECRET_FILE,
    IGNORED: IGNORED_FILE,
    LOOKS_SECRET: LOOKS_SECRET_FILE,
    UNKNOWN: UNKNOWN_FILE,
}

TOO_LARGE = Refusal(
    "The document is too large: nothing is suggested in it.",
    "Raise completion.maxFileChars, if the editor stays quick.",
)
UNSURE = Refusal(
    "The newest suggestion was held back: it is unsure to be right.",
    "Ask for it by a key, or lower completion.minConfidence.",
)


class OpenDocument(Protocol):
    """What is asked about: a snapshot or a buffer."""

    @property
    def uri(self) -> str: ...
    @property
    def path(self) -> Path | None: ...
    @property
    def language(self) -> str: ...
    @property
    def size(self) -> int:
        """Characters."""

    @property
    def parts(self) -> tuple[str, ...]: ...


class Switches:
    """Asked at every keystroke, on the event loop. Remembers what the disk said, and nothing else."""

    def __init__(self, verdicts: Verdicts | None = None) -> None:
        self._verdicts = verdicts or Verdicts()

    async def refusal(
        self, settings: Settings, root: Path | None, document: OpenDocument, *, newest: bool = False
    ) -> Refusal | None:
        """Why nothing is suggested in a document, None where something may be. `root`: the folder it lies in.

        Waits for the disk a short while at most, and not at all where it is known what it said; `newest`:
        asks again.
        """
        if refusal := _switched_off(settings, root, document):
            return refusal
        question = _question(settings, root, document)
        return _refusal(await self._verdicts.ask(question, LOOK_SECONDS, newest=newest))

    def known_refusal(self, settings: Settings, root: Path | None, document: OpenDocument) -> Refusal | None:
        """The same without waiting: what is not known is refused."""
        off = _switched_off(settings, root, document)
        return off or _refusal(self._verdicts.known(_question(settings, root, document)))

    def forget(self, uri: str) -> None:
        """The document was closed."""
        self._verdicts.forget(uri)

    def keep(self, roots: Collection[Path]) -> None:
        """Only these folders are open."""
        self._verdicts.keep(roots)


def _switched_off(settings: Settings, root: Path | None, document: OpenDocument) -> Refusal | None:
    """What the user has switched off."""
    if not settings.completion.enabled:
        return Refusal("Suggestions are off.", "Set completion.enabled to true.")
    if document.size > settings.completion.max_file_chars:
        return TOO_LARGE
    if document.language in settings.completion.disabled_languages:
        reason = f"Suggestions are off for {document.language}."
        return Refusal(reason, "Take it out of completion.disabledLanguages.")
    path = _path(document)
    relative = path.relative_to(root).as_posix() if document.path and root else path.name
    for pattern in settings.completion.disabled_files:
        if fnmatchcase(path.name, pattern) or fnmatchcase(relative, pattern):
            return Refusal(f"Suggestions are off in {pattern}.", "Take it out of completion.disabledFiles.")
    return None


def _path(document: OpenDocument) -> Path:
    """A document that is not on this disk, or not yet, has a name all the same."""
    return document.path or Path(name_of(document.uri))


def _question(settings: Settings, root: Path | None, document: OpenDocument) -> Question:
    return Question(document.uri, _path(document), root, settings.index, document.parts)


def _refusal(verdict: Verdict | None) -> Refusal | None:
    if verdict is None:
        return UNKNOWN_FILE
    return _REFUSALS[verdict.why] if verdict.why else None
