"""What recall was fitted with: a gate for its share, a forest that ranks lines, and how sure it must be."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.checkpoint.fields import Fields
from model.checkpoint.files import WeightsError, read_json
from model.recall.evidence import NOTHING, gate_features
from model.recall.ranking import Forest

FILE = "recall.json"  # beside the weights
_OLD_FILE = "memory.json"  # what 0.1 called it
_GATE_FEATURES = len(gate_features(NOTHING, NOTHING, np.ones(1), first=True))
LIKELY = 0.5  # so much a line needs to be written without asking the coder


@dataclass(frozen=True, eq=False)
class RecallWeights:
    """Fitted by `python -m model.training recall`. `gate`: float [3, n] over `gate_features`. A line is written when
    `forest` finds it at least `sure` likely; `sure_inside` is the bound behind the beginning of a line."""

    gate: np.ndarray
    forest: Forest
    sure: float
    sure_inside: float
    is_own: bool = True  # fitted to the coder that has them

    @classmethod
    def beside(cls, folder: Path) -> RecallWeights | None:
        """Those of the coder in `folder`; None when there are none. Raises WeightsError."""
        file = next((folder / name for name in (FILE, _OLD_FILE) if (folder / name).exists()), None)
        if file is None:
            return None
        raw = read_json(file)
        try:
            return cls.from_json(Fields(raw))
        except ValueError as problem:
            raise WeightsError(f"{file.name} in {folder} is not recall's ({problem})") from problem

    @classmethod
    def from_json(cls, fields: Fields) -> RecallWeights:
        """Raises ValueError by name."""
        gate = fields.array("gate")
        if gate.shape != (3, _GATE_FEATURES):
            raise ValueError(f"gate is {list(gate.shape)}, not {[3, _GATE_FEATURES]}")
        forest = Forest.from_json(fields.object("forest"))
        return cls(gate, forest, fields.number("sure", 0, 2), fields.number("sure_inside", 0, 2))

    def for_another_coder(self) -> RecallWeights:
        """For a coder that they were not fitted to and that may be a better one: a line must be likelier than not."""
        return replace(
            self, sure=max(self.sure, LIKELY), sure_inside=max(self.sure_inside, LIKELY), is_own=False
        )

    def save(self, folder: Path) -> None:
        raw = {
            "gate": self.gate.round(5).tolist(),
            "forest": self.forest.json(),
            "sure": self.sure,
            "sure_inside": self.sure_inside,
        }
        (folder / FILE).write_text(json.dumps(raw) + "\n", encoding="utf-8")
