"""What recall was fitted with: a gate for its share, a forest that ranks lines, and how sure it must be."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from model.recall.ranking import Forest

FILE = "recall.json"  # beside the weights
_OLD_FILE = "memory.json"  # what 0.1 called it
LIKELY = 0.5  # so much a line needs to be written without asking the coder


@dataclass(frozen=True, eq=False)
class RecallWeights:
    """Fitted by `python -m model.training recall`. `gate`: float [3, n] over `gate_features`. A line is written when
    `forest` finds it at least `sure` likely; `sure_inside` is the bound behind the beginning of a line."""

    gate: np.ndarray
    forest: Forest
    sure: float
    sure_inside: float

    @classmethod
    def beside(cls, folder: Path) -> RecallWeights | None:
        """Those of the coder in `folder`; None when there are none."""
        file = next((folder / name for name in (FILE, _OLD_FILE) if (folder / name).exists()), None)
        if file is None:
            return None
        raw: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return cls(
            np.array(raw["gate"]), Forest.from_json(raw["forest"]), float(raw["sure"]), float(raw["sure_inside"])
        )

    def for_another_coder(self) -> RecallWeights:
        """For a coder that they were not fitted to and that may be a better one: a line must be likelier than not."""
        return replace(self, sure=max(self.sure, LIKELY), sure_inside=max(self.sure_inside, LIKELY))

    def save(self, folder: Path) -> None:
        raw = {
            "gate": self.gate.round(5).tolist(),
            "forest": self.forest.json(),
            "sure": self.sure,
            "sure_inside": self.sure_inside,
        }
        (folder / FILE).write_text(json.dumps(raw) + "\n", encoding="utf-8")
