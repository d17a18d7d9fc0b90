"""The imports that an accepted suggestion needs: written where it is taken, as the repository writes them elsewhere.

Names in the suggestion's lines that nothing binds get the import line that the repository has for them. An item of the
menu carries it as an additional edit; behind an inline suggestion, which cannot carry one, the client is asked to apply
it once it was taken. Only for languages of which it is known what binds a name (`Language.scoped`).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from indexer import LineIndex, Syntax, is_scoped, with_import
from lsp_server.aside import aside
from lsp_server.client import ANSWER_SECONDS
from lsp_server.documents import buffer_of
from lsp_server.edits.history import changed_span
from lsp_server.offers import Offer
from lsp_server.presentation import inserted
from lsp_server.requests import name_in
from lsp_server.session import Session
from lsp_server.snapshot import Buffer, Snapshot, behind, offset_at, position_at, take, unix
from lsp_server.trouble import described

log = logging.getLogger(__name__)

NOTEBOOK = ".ipynb"
MOST_CHARS = 400_000  # of a document, which is parsed for it
MENU_SECONDS = 0.05  # that a menu waits for it; later it comes as behind an inline suggestion
TRIES = 3  # while the user types on


@dataclass(frozen=True)
class ImportEdit:
    """What takes the place of `before[start:end]`, and the text with it."""

    before: str
    start: int
    end: int
    after: str

    @property
    def text(self) -> str:
        return self.after[self.start : self.end + len(self.after) - len(self.before)]

    def as_lsp(self, encoding: str) -> types.TextEdit:
        start, end = (position_at(self.before, offset, encoding) for offset in (self.start, self.end))
        return types.TextEdit(types.Range(start, end), self.text)


def import_edit(text: str, start: int, end: int, path: str, lines: LineIndex) -> ImportEdit | None:
    """The imports of what is used between two offsets and bound nowhere; None where there are none to add, or no clear
    place above `start`. `path`: the document's in the repository. Takes as long as parsing the text twice."""
    unbound = Syntax(text).unbound(start, end)
    found = [lines.imports.import_of(name, path, used) for name, used in unbound.items()]
    after, own = text, lines.imports.own_modules(path) if any(found) else frozenset()
    for wanted in found:
        after = (wanted and with_import(after, wanted, own)) or after
    first, last, _ = changed_span(text, after)
    return ImportEdit(text, first, last, after) if after != text and last <= start else None


class ImportAdder:
    """Lives on the event loop; what is needed is looked for on a thread of its own."""

    def __init__(self, server: LanguageServer, session: Session) -> None:
        self._server = server
        self._session = session
        self._tasks: set[asyncio.Task[None]] = set()

    def accepted(self, offer: Offer) -> None:
        """An offer was taken: add what it needs, soon."""
        if self._can_apply:
            task = asyncio.get_running_loop().create_task(self._add(offer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def for_item(self, offer: Offer, snapshot: Snapshot) -> list[types.TextEdit]:
        """The edits that an item of the menu carries beside the suggestion."""
        buffer = buffer_of(self._server.workspace, offer.uri)
        if buffer is None or buffer.version != snapshot.version:
            return []
        place = snapshot.range(offer.suggestion.replace)
        now = take(buffer, place.start, snapshot.encoding)
        at, end = _offset(buffer, now), _offset(buffer, take(buffer, place.end, snapshot.encoding))
        text = buffer.text[:at] + inserted(offer.suggestion, snapshot) + buffer.text[end:]
        written = len(text) - len(buffer.text) + end
        try:
            found = await asyncio.wait_for(self._look(buffer, now, text, at, written), MENU_SECONDS)
        except TimeoutError:
            return []
        return [found.as_lsp(snapshot.encoding)] if found else []

    @property
    def _can_apply(self) -> bool:
        workspace = self._server.client_capabilities.workspace
        edits = workspace.workspace_edit if workspace and workspace.apply_edit else None
        # Who has either knows edits of a version (LSP 3.18, `WorkspaceEdit.documentChanges`); Neovim has the second.
        return edits is not None and bool(edits.document_changes or edits.resource_operations)

    async def _add(self, offer: Offer) -> None:
        try:
            tried: int | None = None
            for _ in range(TRIES):
                buffer = buffer_of(self._server.workspace, offer.uri)
                if buffer is None or buffer.version == tried or await self._is_added(offer, buffer):
                    return
                tried = buffer.version
        except (TimeoutError, JsonRpcException):
            log.warning("The editor did not apply an import.")
        except Exception as error:  # a suggestion without its import is one still
            log.error("An import could not be added: %s", described(error))

    async def _is_added(self, offer: Offer, buffer: Buffer) -> bool:
        """Whether all is done; not so where the document has changed meanwhile."""
        begun, ended = behind(offer.prefix, buffer), behind(offer.accepted_prefix, buffer)
        if begun is None or ended is None:
            return True
        end = _offset(buffer, ended)
        found = await self._look(buffer, ended, buffer.text, _offset(buffer, begun), end)
        if found is None:
            return True
        now = buffer_of(self._server.workspace, offer.uri)
        if now is None or now.version != buffer.version:
            return False
        self._session.edits.expect(buffer.uri, found.after)
        if not await self._is_applied(buffer, found):
            return False
        now = buffer_of(self._server.workspace, offer.uri)
        prefix = unix(found.after[: end + len(found.after) - len(found.before)])
        snapshot = behind(prefix, now) if now else None
        if snapshot is None:  # Neovim says so, too, when it did not apply it to a newer version
            return now is None or now.version == buffer.version
        self._session.preload(snapshot)
        return True

    async def _is_applied(self, buffer: Buffer, edit: ImportEdit) -> bool:
        encoding = types.PositionEncodingKind(self._server.workspace.position_encoding).value
        document = types.OptionalVersionedTextDocumentIdentifier(uri=buffer.uri, version=buffer.version)
        change = types.TextDocumentEdit(document, [edit.as_lsp(encoding)])
        params = types.ApplyWorkspaceEditParams(
            types.WorkspaceEdit(document_changes=[change]), label="Import"
        )
        request = self._server.workspace_apply_edit_async(params)
        return (await asyncio.wait_for(request, ANSWER_SECONDS)).applied

    async def _look(
        self, buffer: Buffer, snapshot: Snapshot, text: str, start: int, end: int
    ) -> ImportEdit | None:
        """What lacks between the line of `start` and `end` in a text of the document."""
        is_cell = buffer.before or buffer.after or (buffer.path and buffer.path.suffix == NOTEBOOK)
        inquiry = self._session.inquiry(snapshot)
        lines = inquiry.workspace.lines if inquiry.workspace else None
        is_wanted = inquiry.settings.completion.imports and is_scoped(buffer.language)
        if lines is None or is_cell or not is_wanted or len(text) > MOST_CHARS:
            return None
        path = name_in(inquiry.workspace.root if inquiry.workspace else None, buffer.path)
        first = text.rfind("\n", 0, start) + 1
        return await aside(lambda: import_edit(text, first, end, path, lines))


def _offset(buffer: Buffer, snapshot: Snapshot) -> int:
    """A snapshot's cursor in the buffer's own text."""
    return offset_at(buffer.text, types.Position(snapshot.line, snapshot.start), "utf-32")
