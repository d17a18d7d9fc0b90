"""Messages to the editor that it did not ask for: status, progress, warnings. Lives on the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from lsp_server.coming import Coming
from lsp_server.settings import SECTION
from lsp_server.status import FolderStatus, Status, progress_line

log = logging.getLogger(__name__)

STATUS = "hef-lsp/status"
ANSWER_SECONDS = 2.0  # an editor that does not answer a question is not waited for longer
REPORT_SECONDS = 0.25  # between two reports of one progress


class EditorClient:
    """The editor, as the session sees it."""

    def __init__(self, server: LanguageServer) -> None:
        self._server = server
        self._bars: dict[Path | None, _WorkDoneBar] = {}  # None: of the model that is on its way
        self._sent: dict[str, Any] | None = None

    def status(self, status: Status) -> None:
        """Send the status when it says something new; of a model that is on its way, progress as well."""
        self._coming(status.coming)
        json = status.to_json()
        if json != self._sent:
            self._sent = json
            self._server.protocol.notify(STATUS, json)

    def warn(self, message: str) -> None:
        """Show a sentence to the user once."""
        self._server.window_show_message(types.ShowMessageParams(types.MessageType.Warning, message))

    def progress(self, root: Path, folder: FolderStatus) -> None:
        """Show how far indexing is, where the editor can show it."""
        share = 100 * (folder.done or 0) // max(folder.total or 0, 1)
        message = progress_line(folder).partition(": ")[2]
        self._report(root, f"hef-lsp: indexing {folder.name}", message, min(share, 100))

    def progress_ended(self, root: Path, message: str) -> None:
        if bar := self._bars.pop(root, None):
            bar.end(message)

    def _coming(self, coming: Coming | None) -> None:
        if coming is not None:
            self._report(None, f"hef-lsp: {coming.name}", coming.message, coming.percentage)
        elif bar := self._bars.pop(None, None):
            bar.end("")

    def _report(self, of: Path | None, title: str, message: str, percentage: int | None) -> None:
        window = self._server.client_capabilities.window
        if window is None or not window.work_done_progress:
            return
        if of not in self._bars:
            self._bars[of] = _WorkDoneBar(self._server, title)
        self._bars[of].report(message, percentage)

    async def configuration(self, folders: Iterable[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The editor's settings for us, of its own and of each folder (URIs); {} where it has none or does
        not say."""
        scopes = [None, *folders]
        workspace = self._server.client_capabilities.workspace
        if workspace is None or not workspace.configuration:
            return {}, [{} for _ in scopes[1:]]
        items = [types.ConfigurationItem(scope_uri=scope, section=SECTION) for scope in scopes]
        try:
            question = self._server.workspace_configuration_async(types.ConfigurationParams(items))
            answers = list(await asyncio.wait_for(question, ANSWER_SECONDS) or ())
        except (TimeoutError, JsonRpcException):
            log.warning("The editor did not answer workspace/configuration; its settings are not used.")
            answers = []
        found, *of_folders = [answer if isinstance(answer, dict) else {} for answer in answers] or [{}]
        return found, of_folders if len(of_folders) == len(scopes) - 1 else [{} for _ in scopes[1:]]

    async def follow_configuration(self) -> None:
        """Ask to be told of changed settings, where the editor wants to be asked."""
        workspace = self._server.client_capabilities.workspace
        changes = workspace.did_change_configuration if workspace else None
        if changes is None or not changes.dynamic_registration:
            return
        options = types.DidChangeConfigurationRegistrationOptions(section=SECTION)
        method = types.WORKSPACE_DID_CHANGE_CONFIGURATION
        registration = types.Registration(id=str(uuid.uuid4()), method=method, register_options=options)
        try:
            request = self._server.client_register_capability_async(types.RegistrationParams([registration]))
            await asyncio.wait_for(request, ANSWER_SECONDS)
        except (TimeoutError, JsonRpcException):
            log.warning("The editor did not let us follow its settings; a restart applies changes.")


class _WorkDoneBar:
    """One work-done progress: asked for, then begun, reported and ended as far as the editor has agreed."""

    def __init__(self, server: LanguageServer, title: str) -> None:
        self._progress = server.work_done_progress
        self._token = str(uuid.uuid4())
        self._title = title
        self._last: tuple[str, int | None] | None = None  # that was to be reported
        self._ended: str | None = None
        self._begun = False
        self._reported = 0.0
        self._task = asyncio.get_running_loop().create_task(self._begin())

    def report(self, message: str, percentage: int | None) -> None:
        self._last = (message, percentage)
        now = time.monotonic()
        if not self._begun or now - self._reported < REPORT_SECONDS:
            return
        self._reported = now
        self._progress.report(
            self._token, types.WorkDoneProgressReport(message=message, percentage=percentage)
        )

    def end(self, message: str) -> None:
        self._ended = message
        if self._begun:
            self._progress.end(self._token, types.WorkDoneProgressEnd(message=message))
            self._progress.tokens.pop(self._token, None)  # pygls keeps it for ever

    async def _begin(self) -> None:
        try:
            await asyncio.wait_for(self._progress.create_async(self._token), ANSWER_SECONDS)
        except (TimeoutError, JsonRpcException):
            return  # the editor refused: no bar
        self._progress.begin(self._token, types.WorkDoneProgressBegin(title=self._title, percentage=0))
        self._begun = True
        if self._last is not None:
            self.report(*self._last)
        if self._ended is not None:
            self.end(self._ended)
