"""What was fitted to a coder after its training: recall, and how sure its answers are. Beside its weights or, since
nobody writes into a folder of the hub, beside its adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.confidence import Confidence
from model.recall.weights import RecallWeights


@dataclass(frozen=True, eq=False)
class Fitted:
    """`recall`: None where there is none to take over from another coder either; `confidence` is never taken over."""

    recall: RecallWeights | None
    confidence: Confidence | None


def find_fitted(homes: Sequence[Path], embedded: Path) -> Fitted:
    """What the first of a coder's folders that has it says, of each; else of recall the embedded coder's, with the
    bounds for another coder: it helped a foreign one, too (LOG.md). Raises WeightsError."""
    recall = next(filter(None, map(RecallWeights.beside, homes)), None)
    if recall is None and (others := RecallWeights.beside(embedded)):
        recall = others.for_another_coder()
    return Fitted(recall, next(filter(None, map(Confidence.beside, homes)), None))


def described(recall: RecallWeights | None, confidence: Confidence | None) -> str:
    """Which bounds are in force, in a few words."""
    if recall is None:
        bounds = "no recall"
    else:
        bounds = "recall fitted" if recall.is_own else "recall with the bounds for another coder"
    return f"{bounds}, {'confidence fitted' if confidence else 'confidence unknown'}"
