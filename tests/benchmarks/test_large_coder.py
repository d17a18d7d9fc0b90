"""The benchmark of a large coder, with a small one."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.large_coder import Typing, measured
from tests.e2e.editor import ROOT
from tests.tiny_checkpoint import write_tiny_checkpoint


def test_every_key_is_answered_or_superseded(tmp_path: Path) -> None:
    model = write_tiny_checkpoint(tmp_path / "model", adapter=False, fim_order="psm")
    typing = Typing("    x = 1\n", key_seconds=0.2, settle_seconds=0.5)
    [row] = measured(model, [ROOT], tmp_path, typing)
    assert row.values["answered"] + row.values["superseded"] == len(typing.text)
    assert row.values["answered"] > 0
    assert 0 < row.values["p50_ms"] <= row.values["p95_ms"]
