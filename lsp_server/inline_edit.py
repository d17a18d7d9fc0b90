"""The messages of next edits, as GitHub's Copilot language server has them: other clients know these, too.

The request has a document with its version and a position; the answer is `edits`, each with `text`, `textDocument`,
`range` and `command`, which the client has executed when the edit was applied. `textDocument/didShowInlineEdit` tells
that an item was shown. Source: the README of @github/copilot-language-server, "Next Edit Suggestions".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from lsprotocol import types

from lsp_server.next_edits import EditOffer
from lsp_server.settings import SECTION
from lsp_server.snapshot import Buffer, position_at

INLINE_EDIT = "textDocument/copilotInlineEdit"
DID_SHOW = "textDocument/didShowInlineEdit"
ACCEPTED, REFUSED = f"{SECTION}.editAccepted", f"{SECTION}.editRefused"
CAPABILITIES = {"copilotInlineEdit": {"accepted": ACCEPTED, "refused": REFUSED}}  # `experimental` ones
NO_EDITS: dict[str, Any] = {"edits": []}


@dataclass(frozen=True)
class InlineEditRequest:
    """What is asked. `version` is None where the client does not say."""

    uri: str
    version: int | None
    position: types.Position


def request_of(params: object) -> InlineEditRequest | None:
    """A client may send anything: None for what is no such request."""
    uri, version = _field(params, "textDocument", "uri"), _field(params, "textDocument", "version")
    line, character = (_field(params, "position", name) for name in ("line", "character"))
    if not isinstance(uri, str) or not _is_count(line) or not _is_count(character):
        return None
    return InlineEditRequest(uri, version if _is_count(version) else None, types.Position(line, character))


def shown_number(params: object) -> int | None:
    """The offer that `textDocument/didShowInlineEdit` is about."""
    arguments = _field(params, "item", "command", "arguments")
    return number_in(arguments) if isinstance(arguments, Sequence) else None


def number_in(arguments: Sequence[object]) -> int | None:
    """The offer that a command is about; a client may send anything."""
    number = arguments[0] if arguments else None
    return number if _is_count(number) else None


def answer(offer: EditOffer, buffer: Buffer, uri: str, encoding: str) -> dict[str, Any]:
    """`buffer`: the document that is edited, which the client calls `uri`."""
    command = {"title": "Accepted", "command": ACCEPTED, "arguments": [offer.number]}
    document = {"uri": uri, "version": buffer.version}

    def place(offset: int) -> dict[str, int]:
        at = position_at(buffer.text, offset, encoding)
        return {"line": at.line, "character": at.character}

    edits = [
        {
            "text": one.text,
            "textDocument": document,
            "range": {"start": place(one.start), "end": place(one.end)},
            "command": command,
        }
        for one in offer.proposals
    ]
    return {"edits": edits}


def _field(value: object, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
