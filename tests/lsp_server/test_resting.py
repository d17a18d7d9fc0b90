"""Once nobody types the coder is asked whether it has something to do, though it wanted nothing when it answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lsp_server import served_model
from lsp_server.settings import Settings
from model.settings import EMBEDDED_TINY
from tests.lsp_server.test_blocks import TYPED, Document, root, served
from tests.lsp_server.waiting import until

__all__ = ["root"]


@pytest.mark.asyncio
async def test_after_the_last_key_the_coder_is_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_model, "REST_SECONDS", 0.2)
    base = Settings()
    settings = replace(base, model=replace(base.model, name=EMBEDDED_TINY, context="none"))
    async with served(root, settings) as (session, recorder):
        document = Document(session, root / "open.py")
        for key in TYPED[:3]:
            await document.type(key)
        await until(lambda: bool(recorder.steps))
