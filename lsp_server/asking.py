"""What is asked of a coder about a document at a cursor; the same of whichever coder answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from lsp_server.coder import Cancelled, LoadedCoder
from lsp_server.holdings import NOTHING, Holding
from lsp_server.job import Job
from lsp_server.kept_blocks import KeptBlocks
from lsp_server.presentation import stop_rule
from lsp_server.requests import request_for, retriever
from lsp_server.settings import Settings
from lsp_server.snapshot import Snapshot
from lsp_server.workspace import Workspace
from model.repository import Retrieve
from model.request import NOT_LATELY, Completion, Lately, Request

PATIENT_MS = 60_000.0  # of a completion that nobody waits for


@dataclass(frozen=True, eq=False)
class Inquiry:
    """`workspace`: which the document lies in, None outside of all."""

    snapshot: Snapshot
    settings: Settings
    workspace: Workspace | None
    lately: Lately = NOT_LATELY

    @property
    def retrieve(self) -> Retrieve | None:
        return retriever(self.workspace) if self.workspace else None

    def holding(self, coder: LoadedCoder) -> Holding:
        """What the coder has of the folder."""
        return self.workspace.holding(coder.fingerprint) if self.workspace else NOTHING

    def request(self, coder: LoadedCoder, deadline_ms: float, finished: Callable[[str], bool]) -> Request:
        """What this coder is asked; see `request_for`."""
        return request_for(
            self.snapshot,
            self.settings,
            self.workspace,
            deadline_ms=deadline_ms,
            finished=finished,
            generation=self.workspace.generation(self.snapshot.path) if self.workspace else 0,
            holding=self.holding(coder),
            lately=self.lately,
        )

    def answer(self, job: Job, coder: LoadedCoder) -> Completion | None:
        """What the coder writes; None where the job is off, or there is no time left for it."""
        if job.cancelled.is_set():
            return None
        job.rule = replace(stop_rule(job.snapshot, self.settings.completion.max_lines), ahead=job.ahead)
        waited_ms = (time.monotonic() - max(job.created, coder.loaded_at)) * 1e3
        left_ms = self.settings.model.deadline_ms - waited_ms
        if left_ms <= 0:
            return None
        request = replace(self.request(coder, left_ms, job.finished), ahead=job.ahead)
        return coder.completer.complete(request, self.retrieve, job.cancelled.is_set)

    def warm_up(self, coder: LoadedCoder, cancelled: Cancelled) -> None:
        """Have the coder compute what an answer here needs, so that the first one does not wait for it."""
        finished = stop_rule(self.snapshot, self.settings.completion.max_lines).finished
        request = self.request(coder, PATIENT_MS, finished)
        coder.completer.prepare(request, self.retrieve)
        coder.completer.complete(request, self.retrieve, cancelled)

    def foresee(self, coder: LoadedCoder) -> KeptBlocks | None:
        """Have the coder want the blocks that a request here will want; the folder in which they are kept."""
        if self.retrieve is None:
            return None
        request = self.request(coder, PATIENT_MS, lambda text: False)
        coder.completer.foresee(request, self.retrieve)
        return self.holding(coder).blocks
