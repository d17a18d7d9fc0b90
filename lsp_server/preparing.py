"""What has to be there before another coder answers: a quiet machine, its tokens in every folder, its first pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lsp_server.asking import Inquiry
from lsp_server.coder import Cancelled, LoadedCoder
from lsp_server.folders import Folders
from lsp_server.holdings import Reader
from lsp_server.snapshot import Snapshot
from lsp_server.takeover import WarmUp, settled

FIRST_SECONDS = 1.0  # after the tiny coder has loaded: the editor asks for the first time
PAUSE_SECONDS = 1.5  # without a request: nobody types
BUSY_SECONDS = 60.0  # that typing and the first index are waited for
LOOK_SECONDS = 0.25
PREPARE_SECONDS = 120.0  # that the tokens of all folders are waited for
PACKAGES_SECONDS = 30.0  # and those of a folder's installed packages


class Preparing:
    """`Household` of a session. Lives on the event loop."""

    def __init__(
        self,
        folders: Folders,
        readers: Callable[[LoadedCoder], Callable[[Path], Reader]],
        inquiry: Callable[[Snapshot], Inquiry],
    ) -> None:
        """`readers`: a coder as each folder sees it; `inquiry`: what is asked at a place."""
        self._folders = folders
        self._readers = readers
        self._inquiry = inquiry
        self._newest: Snapshot | None = None
        self._asked_at = 0.0

    def asked(self, snapshot: Snapshot) -> None:
        """An answer was asked for here."""
        self._newest, self._asked_at = snapshot, time.monotonic()

    async def until_quiet(self) -> None:
        """See `Household`."""
        await asyncio.sleep(FIRST_SECONDS)
        until = time.monotonic() + BUSY_SECONDS
        while time.monotonic() < until and (
            self._folders.are_busy or time.monotonic() - self._asked_at < PAUSE_SECONDS
        ):
            await asyncio.sleep(LOOK_SECONDS)

    async def prepare(self, coder: LoadedCoder, *, same_index: bool) -> WarmUp:
        """See `Household`."""
        if same_index:
            errands = self._folders.prepare(self._readers(coder))
            with suppress(TimeoutError):  # of a disk that hangs; what is missing comes when it is there
                async with asyncio.timeout(PREPARE_SECONDS):
                    await asyncio.gather(*map(settled, errands), return_exceptions=True)
        holdings = self._folders.holdings(coder.fingerprint)
        inquiry = self._inquiry(self._newest) if self._newest else None

        def warm_up(coder: LoadedCoder, cancelled: Cancelled) -> None:
            for holding in holdings:
                holding.wait(PACKAGES_SECONDS)
            if inquiry:
                inquiry.warm_up(coder, cancelled)

        return warm_up
