"""Registers next edits: the request, the notification that one is shown, and the commands that tell its end."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from lsprotocol import types

from lsp_server.documents import buffer_of
from lsp_server.inline_edit import (
    ACCEPTED,
    DID_SHOW,
    INLINE_EDIT,
    NO_EDITS,
    REFUSED,
    answer,
    number_in,
    request_of,
    shown_number,
)
from lsp_server.protocol import ArrivalServer
from lsp_server.session import Session
from lsp_server.snapshot import Buffer, offset_at


def register_next_edits(server: ArrivalServer, session: Session) -> None:
    """Called before the server starts; `server.experimental` announces it."""

    @server.feature(INLINE_EDIT)
    async def inline_edit(ls: ArrivalServer, params: Any) -> dict[str, Any]:
        return await _next_edit(ls, session, params)

    @server.feature(DID_SHOW)
    def did_show(ls: ArrivalServer, params: Any) -> None:
        if (number := shown_number(params)) is not None:
            session.edits.shown(number)

    @server.command(ACCEPTED)
    def accepted(ls: ArrivalServer, *arguments: Any) -> None:
        if (number := number_in(arguments)) is not None:
            session.edits.accepted(number)

    @server.command(REFUSED)
    def refused(ls: ArrivalServer, *arguments: Any) -> None:
        if (number := number_in(arguments)) is not None:
            session.edits.refused(number)


async def _next_edit(ls: ArrivalServer, session: Session, params: Any) -> dict[str, Any]:
    """Empty, too, where the document is another one by now: the client's ranges would be wrong."""
    asked = request_of(params)
    buffer = buffer_of(ls.workspace, asked.uri) if asked else None
    if asked is None or buffer is None or asked.version not in (None, buffer.version):
        return NO_EDITS
    encoding = types.PositionEncodingKind(ls.workspace.position_encoding).value
    offset = offset_at(buffer.text, asked.position, encoding)
    await session.edits.quiet(buffer.uri)
    if not _is_current(ls, buffer):
        return NO_EDITS
    offer = await session.next_edit(buffer, offset, _others(ls, buffer))
    edited = buffer_of(ls.workspace, offer.uri) if offer else None
    if offer is None or edited is None or not _is_current(ls, buffer) or edited.text != offer.text:
        return NO_EDITS
    return answer(offer, edited, asked.uri if edited.uri == buffer.uri else edited.uri, encoding)


def _others(ls: ArrivalServer, buffer: Buffer) -> list[Buffer]:
    """The other open documents."""
    uris = [uri for uri in ls.workspace.text_documents if uri != unquote(buffer.uri)]
    found = (buffer_of(ls.workspace, uri) for uri in uris)
    return [other for other in found if other is not None and other.uri != buffer.uri]


def _is_current(ls: ArrivalServer, buffer: Buffer) -> bool:
    now = buffer_of(ls.workspace, buffer.uri)
    return now is not None and now.version == buffer.version
