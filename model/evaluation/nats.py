"""Nats of the answer: what the coder alone, forced along a task's target, makes of the prompt that a mode built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.completer import Completer
from model.evaluation.predictions import Prediction, System
from model.evaluation.sampling import interval
from model.repository import Retrieve
from model.request import Completion, Request, never

MOST_TOKENS = 64  # of a target: a long one shall not count for more than others, nor not fit
ALONE = ("none", "plain-none")  # modes that read the file alone; recall does not change what is weighed


class ListeningCompleter(Completer):
    """Remembers what a mode asked for last: the prompt of its answer."""

    asked: tuple[Request, Retrieve | None] | None = None

    def complete(
        self, request: Request, retrieve: Retrieve | None, cancelled: Callable[[], bool] = never
    ) -> Completion:
        """As any completer."""
        self.asked = (request, retrieve)
        return super().complete(request, retrieve, cancelled)

    def nats(self, target: str) -> np.ndarray:
        """Of each of the target's first tokens behind that prompt, float64 [n]; n is 0 for who asked no model, and
        where the target is empty."""
        if self.asked is None or not target:
            return np.zeros(0)
        return -self.log_chances(*self.asked, target, MOST_TOKENS)


@dataclass(frozen=True)
class Nats:
    """Mean over `n` tasks of the nats per token; its difference to those with the file alone on the tasks that have
    both, and the 95 % interval of that, bootstrap by task. Fewer is better."""

    mean: float
    n: int
    difference: float | None = None
    span: tuple[float, float] | None = None

    def json(self) -> dict[str, Any]:
        """Fields of a summary's line."""
        difference = None if self.difference is None else round(self.difference, 4)
        span = [round(end, 4) for end in self.span or ()]
        return {
            "nats": round(self.mean, 4),
            "nats_n": self.n,
            "nats_difference": difference,
            "nats_interval": span,
        }


def nats_with_the_file_alone(answers: Sequence[Prediction], system: System) -> dict[str, float]:
    """Task -> nats, of those answers that read the file alone with this system's coder and settings; with its budget,
    if there are any."""
    alike = {
        one
        for one in {one.system for one in answers}
        if one.mode in ALONE and (one.coder, one.settings) == (system.coder, system.settings)
    }
    alike = {one for one in alike if one.budget == system.budget} or alike
    return {one.task_id: one.nats for one in answers if one.system in alike and one.nats is not None}


def summed_up(answers: Sequence[Prediction], alone: Mapping[str, float]) -> Nats | None:
    """`alone`: task -> nats with the file alone. None where no answer was weighed."""
    found = {one.task_id: one.nats for one in answers if one.nats is not None}
    if not found:
        return None
    mean = float(np.mean(list(found.values())))
    gains = {task: nats - alone[task] for task, nats in found.items() if task in alone}
    if not gains:
        return Nats(mean, len(found))
    return Nats(mean, len(found), float(np.mean(list(gains.values()))), interval([*gains.values()], [*gains]))
