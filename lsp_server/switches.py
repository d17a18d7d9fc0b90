"""Where nothing is suggested, and why: switches of the user, ignored files, secrets; and where a model is unsure."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from indexer import SECRET, Gate
from lsp_server.documents import name_of
from lsp_server.settings import Settings


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
    "The file is ignored: nothing is suggested in it, nor from it.", "Bring it back with `!pattern` in .hefignore."
)


TOO_LARGE = Refusal(
    "The document is too large: nothing is suggested in it.",
    "Raise completion.maxFileChars, if the editor stays quick.",
)
UNSURE = Refusal(
    "The newest suggestion was held back: it is unsure to be right.",
    "Ask for it by a key, or lower completion.minConfidence.",
)


class Document(Protocol):
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


class Switches:
    """Asked at every keystroke. Remembers ignore rules, and nothing else."""

    def __init__(self) -> None:
        self._gate = Gate()

    def refusal(self, settings: Settings, root: Path | None, document: Document) -> Refusal | None:
        """Why nothing is suggested in a document, None where something may be. `root`: the folder it lies in."""
        if not settings.completion.enabled:
            return Refusal("Suggestions are off.", "Set completion.enabled to true.")
        if document.size > settings.completion.max_file_chars:
            return TOO_LARGE
        if document.language in settings.completion.disabled_languages:
            reason = f"Suggestions are off for {document.language}."
            return Refusal(reason, "Take it out of completion.disabledLanguages.")
        # A document that is not on this disk, or not yet, has a name all the same.
        path = document.path or name_of(document.uri)
        relative = path.relative_to(root).as_posix() if document.path and root else path.name
        for pattern in settings.completion.disabled_files:
            if fnmatchcase(path.name, pattern) or fnmatchcase(relative, pattern):
                return Refusal(f"Suggestions are off in {pattern}.", "Take it out of completion.disabledFiles.")
        why = self._gate.refusal(root or Path(path.parent), Path(path), settings.index)
        return SECRET_FILE if why == SECRET else IGNORED_FILE if why else None
