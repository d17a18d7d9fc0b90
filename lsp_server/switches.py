"""Where nothing is suggested, and why: switches of the user, ignored files, secrets."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from lsp_server.documents import name_of
from lsp_server.settings import Settings
from lsp_server.silence import MANUAL, OFF, SUBTLE, UNKNOWN_FILE, Silence, off_for, off_in, too_large
from lsp_server.verdicts import Judge, Question, Verdict, Verdicts

LOOK_SECONDS = 0.5  # that the disk may take to say what a document is


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
    ) -> Silence | None:
        """Why nothing is suggested in a document, None where something may be. `root`: the folder it lies in.

        Waits for the disk a short while at most, and not at all where it is known what it said; `newest`:
        asks again.
        """
        if refusal := _switched_off(settings, root, document):
            return refusal
        question = _question(settings, root, document)
        return _refusal(await self._verdicts.ask(question, LOOK_SECONDS, newest=newest))

    def known_refusal(self, settings: Settings, root: Path | None, document: OpenDocument) -> Silence | None:
        """The same without waiting: what is not known is refused."""
        off = _switched_off(settings, root, document)
        return off or _refusal(self._verdicts.known(_question(settings, root, document)))

    def forget(self, uri: str) -> None:
        """The document was closed."""
        self._verdicts.forget(uri)

    def keep(self, roots: Collection[Path]) -> None:
        """Only these folders are open."""
        self._verdicts.keep(roots)


def everywhere(settings: Settings) -> Silence | None:
    """Why nothing comes by itself in any document; None where it may."""
    if not settings.completion.enabled:
        return OFF
    if not settings.completion.automatic:
        return MANUAL
    return SUBTLE if settings.completion.subtle else None


def refusal_once(settings: Settings, root: Path, document: OpenDocument) -> Silence | None:
    """`Switches.refusal` for a command, which asks once and may wait for the disk."""
    return _switched_off(settings, root, document) or Judge()(_question(settings, root, document))


def _switched_off(settings: Settings, root: Path | None, document: OpenDocument) -> Silence | None:
    """What the user has switched off."""
    wanted = settings.completion
    if not wanted.enabled:
        return OFF
    if document.size > wanted.max_file_chars:
        return too_large(document.size, wanted.max_file_chars)
    if document.language in wanted.disabled_languages:
        return off_for(document.language)
    path = _path(document)
    relative = path.relative_to(root).as_posix() if document.path and root else path.name
    for pattern in wanted.disabled_files:
        if fnmatchcase(path.name, pattern) or fnmatchcase(relative, pattern):
            return off_in(pattern)
    return None


def _path(document: OpenDocument) -> Path:
    """A document that is not on this disk, or not yet, has a name all the same."""
    return document.path or Path(name_of(document.uri))


def _question(settings: Settings, root: Path | None, document: OpenDocument) -> Question:
    return Question(document.uri, _path(document), root, settings.index, document.parts)


def _refusal(verdict: Verdict | None) -> Silence | None:
    return verdict.why if verdict else UNKNOWN_FILE
