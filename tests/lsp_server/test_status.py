"""The words that users read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lsp_server.status import READING_PACKAGES, FolderStatus, progress_line, seconds_left, status_of
from model.checkpoint.files import WeightsError

READY = FolderStatus("repo", files=1200, chunks=9000)
BUSY = FolderStatus("repo", stage="reading", done=120, total=450, seconds_left=12.3)


@pytest.mark.parametrize(
    ("about", "state", "message"),
    [
        ({"model": None}, "loading", "Loading the model."),
        ({"folders": [READY]}, "ready", "Ready: 1,200 files, 9,000 chunks indexed."),
        (
            {"folders": [replace(READY, background=READING_PACKAGES)]},
            "ready",
            "Ready: 1,200 files, 9,000 chunks indexed; reading installed packages for drafts.",
        ),
        ({}, "ready", "Ready, without a folder to index."),
        ({"folders": [READY, BUSY]}, "indexing", "Indexing repo: reading 120 of 450, about 12 s left"),
        ({"folders": [BUSY], "paused": True}, "paused", "Indexing is paused."),
        ({"folders": [BUSY], "enabled": False}, "disabled", "Suggestions are off."),
        ({"folders": [FolderStatus("repo", error="disk full")]}, "error", "Indexing repo failed."),
        ({"model_error": WeightsError("no weights")}, "error", "No model: suggestions are empty."),
    ],
)
def test_the_status_says_what_matters_most(about: dict[str, object], state: str, message: str) -> None:
    status = status_of(**{"model": "tiny", "model_error": None, **about})  # type: ignore[arg-type]

    assert (status.state, status.message) == (state, message)
    assert bool(status.reason) == bool(status.next_step) == (state in ("error", "disabled", "paused"))


def test_a_missing_package_is_named() -> None:
    status = status_of(model=None, model_error=ModuleNotFoundError("No module named 'torch'", name="torch"))

    assert "torch" in status.reason
    assert "Install torch" in status.next_step


def test_estimates_are_shown_only_when_they_are_worth_it() -> None:
    assert seconds_left(done=3, total=100, elapsed=5) is None
    assert seconds_left(done=50, total=100, elapsed=0.5) is None
    assert seconds_left(done=50, total=100, elapsed=10) == pytest.approx(10)
    assert progress_line(FolderStatus("repo", done=0, total=0)) == "Indexing repo: looking for files"
