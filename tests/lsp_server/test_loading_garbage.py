"""What loading a model does to the process around it."""

from __future__ import annotations

import gc

from lsp_server.loading import load_coder
from lsp_server.settings import Settings, override
from tests import tiny_coder


def test_what_stays_is_not_looked_through_for_garbage() -> None:
    gc.unfreeze()
    try:
        load_coder(override(Settings(), (tiny_coder.ASSIGNMENT,)))
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < 10_000
    finally:
        gc.unfreeze()
