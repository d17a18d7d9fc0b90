"""Made-up predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from model.evaluation.predictions import STAGES, Prediction, System

TARGET = "    return sum(items)"


def an_answer(mode: str = "none", *, right: bool = False, ms: float = 10.0, **changes: Any) -> Prediction:
    """An answer to a task with the target above, right or half wrong; `ms` in all, half of it in each of two stages."""
    base = Prediction(
        task_id="t",
        repo="r",
        kind="line",
        source="S",
        origin="original",
        target=TARGET,
        system=System(mode, "tiny 0123 cpu float32"),
        text=TARGET if right else "    return max(items)",
        timings_ms=dict(zip(STAGES, (0.0, ms / 2, ms / 2, ms), strict=True)),
        prompt_tokens=100,
        tokens=5,
        drafted=0,
        accepted=0,
        forward_passes=6,
    )
    return replace(base, **changes)
