"""Documents that are edited step by step, and what is offered next."""

from __future__ import annotations

from collections.abc import Collection

from lsp_server.edits.changes import Key
from lsp_server.edits.history import History
from lsp_server.edits.meanings import OpenText
from lsp_server.edits.proposing import EditProposal, propose

URI = "file:///a.py"


def history_of(*versions: str, language: str = "python") -> History:
    """A document that had these texts, one after the other."""
    history = History()
    for version in versions:
        history.changed(URI, language, version)
    return history


def proposals(
    *versions: str, language: str = "python", refused: Collection[Key] = (), near: int | None = None
) -> list[EditProposal]:
    """What may come next where a document has had these texts, however unlikely."""
    edits = history_of(*versions, language=language).edits()
    at = (edits[0].start if edits else 0) if near is None else near
    return propose(edits, OpenText(URI, language, versions[-1], at), (), refused)


def applied(text: str, proposal: EditProposal) -> str:
    return text[: proposal.start] + proposal.text + text[proposal.end :]


def all_applied(*versions: str, language: str = "python") -> str:
    """The text once everything that may come next was taken, one by one."""
    texts = list(versions)
    for _ in range(20):
        found = proposals(*texts, language=language)
        if not found:
            break
        texts.append(applied(texts[-1], found[0]))
    return texts[-1]
