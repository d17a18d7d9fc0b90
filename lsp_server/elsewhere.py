"""A coder on a server that the user names (`model.server`), with the tiny one beside it."""

from __future__ import annotations

import gc
import time
from pathlib import Path

from lsp_server.coder import LoadedCoder
from lsp_server.settings import Settings

LOOK_SECONDS = 3.0  # that a command waits to hear whether the server works


def load_from_server(settings: Settings, embedded: Path | None = None, *, waits: bool = False) -> LoadedCoder:
    """The coder of `model.server`; it is looked at meanwhile, for which a command `waits`. Raises WeightsError."""
    from model.checkpoint.opening import EMBEDDED_FOLDER
    from model.engines.remote.loading import load_elsewhere

    found = load_elsewhere(settings.model, settings.recall, settings.drafts, embedded or EMBEDDED_FOLDER)
    if waits:
        found.server.wait(LOOK_SECONDS)
    model = found.model
    coder = LoadedCoder(
        completer=found.completer,
        encoder=model.encoder,
        description=f"{model.name} on {found.server.host}",
        notes=model.notes,
        loaded_at=time.monotonic(),
        tokenizer=model.vocabulary,
        fingerprint=model.fingerprint,
        elsewhere=found.completer,
    )
    gc.freeze()  # as `load_coder` does
    return coder
