"""What is going on in one open document: the run of the model, and what came of the last one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from lsp_server.job import Job
from lsp_server.offers import Offer, typed_since
from lsp_server.silence import NOTHING, Silence
from lsp_server.snapshot import Snapshot


@dataclass(eq=False)
class DocumentState:
    """Owned by `Completions`, from the document's first request until it is closed. Lives on the event
    loop."""

    job: Job | None = None  # the run under way
    offer: Offer | None = None  # the newest answer
    silent: Job | None = None  # behind which the model has nothing to say
    asked: Snapshot | None = None  # about what the newest request was
    silence: Silence | None = None  # why that one brought nothing

    def supersede(self) -> None:
        """Stop the running job; its request is answered empty."""
        job, self.job = self.job, None
        if job is not None:
            job.stop()

    def begin(self, job: Job) -> None:
        """From now on this is the document's run."""
        self.supersede()
        self.job = job

    def end(self, job: Job) -> bool:
        """The run is over. Whether it still was the document's."""
        if self.job is not job:
            return False
        self.job = None
        return True

    def join(self, snapshot: Snapshot) -> Job | None:
        """The running job, claimed by the request at `snapshot`; None where it cannot answer that."""
        typed = self.job.joins(snapshot) if self.job else None
        if self.job is None or typed is None:
            return None
        self.job.hand_over(asyncio.get_running_loop().create_future(), typed)
        return self.job

    def typed_along(self, snapshot: Snapshot, min_confidence: float) -> Offer | None:
        """What is left of the newest answer where its beginning was typed."""
        rest = self.offer.rest(snapshot) if self.offer else None
        if self.offer is None or rest is None:
            return None
        # Behind more text the model may be surer: what would not be shown is not typed along.
        typed = rest.prefix[len(self.offer.prefix) :]
        return None if typed.strip() and rest.as_sure_as(min_confidence, snapshot) is None else rest

    def silence_at(self, snapshot: Snapshot) -> Silence | None:
        """Why the model is known to have nothing to say at this place of this version; None where it is not."""
        known = self.silent
        if known is None or known.snapshot.version != snapshot.version:
            return None
        return (known.why or NOTHING) if typed_since(known.snapshot, snapshot) == "" else None

    def answered(self, offer: Offer | None, silent: Job | None) -> None:
        """What came of a run: an offer, or none, and then perhaps that there is nothing to say."""
        self.offer, self.silent = offer, silent
