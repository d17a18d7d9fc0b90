"""The lines of `--predictions`: answers with everything that judging, timing and comparing them takes.

A report is made of these files alone, and a run that was cut goes on from its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from model.evaluation.metrics import METRICS, NAME_METRICS, answer
from model.evaluation.tasks import KINDS, PYTHON, EvaluationError, Task
from model.reading import ON_CPU
from model.request import Completion

STAGES = ("retrieve", "prefill", "decode", "total")
WITH_RECALL = " with recall"
_TOTAL = "model.contextTokens="


@dataclass(frozen=True)
class System:
    """What answered: a mode of the evaluation, with a model, under settings that differ from the defaults."""

    mode: str
    model: str  # name, fingerprint and engine
    settings: tuple[str, ...] = ()  # NAME=VALUE of `--set`, sorted
    budget: str = f"total {ON_CPU.context_tokens}"  # what of the prompt was for the document

    @property
    def coder(self) -> str:
        """The model without what recall adds to it."""
        return self.model.removesuffix(WITH_RECALL)


def budget_name(context_tokens: int, window: int | None) -> str:
    """Whether a prompt's tokens are for the document and the context together, or for the document alone."""
    return f"total {context_tokens}" if window is None else f"window {window} + context"


@dataclass(frozen=True)
class Prediction:
    """One answer to one task. `timings_ms`: of STAGES, of an answer that starts with an empty cache.

    `nats`: mean over the first `nats_tokens` tokens of the target (`model.evaluation.nats`); both None where they were
    not asked for, and `nats` where no model was.
    """

    task_id: str
    repo: str
    kind: str
    source: str
    origin: str
    target: str
    system: System
    text: str  # as scored, after the kind's cut
    timings_ms: Mapping[str, float]
    prompt_tokens: int
    tokens: int
    drafted: int
    accepted: int
    forward_passes: int
    nats: float | None = None
    nats_tokens: int | None = None
    reused_tokens: int = 0  # of the prompt's: what needed no forward pass, blocks above all
    language: str = PYTHON
    confidence: float | None = None  # chance of the first line; None where it is unknown

    @cached_property
    def quality(self) -> Mapping[str, float]:
        """Metric -> percent, so that means are percent: matches are 0 or 100."""
        plain = {name: 100.0 * metric(self.text, self.target) for name, metric in METRICS.items()}
        names = NAME_METRICS.items()
        return plain | {name: 100.0 * metric(self.text, self.target, self.language) for name, metric in names}

    def line(self) -> str:
        """As JSON. The first fields are for scripts (DESIGN's contract), the rest is what `read` needs."""
        system = asdict(self.system)
        first = {
            "task_id": self.task_id,
            "mode": system.pop("mode"),
            "text": self.text,
            "em": self.quality["em"],
            "es": round(self.quality["es"], 3),
            "ms": round(self.timings_ms["total"], 3),
            "forward_passes": self.forward_passes,
        }
        rest = {item.name: getattr(self, item.name) for item in fields(self)}
        rest["timings_ms"] = {name: round(ms, 3) for name, ms in self.timings_ms.items()}
        if self.nats_tokens is None:
            del rest["nats"], rest["nats_tokens"]
        return json.dumps(
            first | system | {name: rest[name] for name in rest if name not in (*first, "system")}
        )


def predict(task: Task, system: System, completion: Completion, nats: np.ndarray | None = None) -> Prediction:
    """Keep of an answer what is left after its kind's cut. `nats`: of the target's tokens, where they were weighed."""
    return Prediction(
        task_id=task.task_id,
        repo=task.repo,
        kind=task.kind,
        source=task.source,
        origin=task.origin,
        target=task.target,
        system=system,
        text=answer(task, completion.text),
        timings_ms={stage: completion.timings_ms[stage] for stage in STAGES},
        prompt_tokens=completion.prompt_tokens,
        tokens=completion.tokens,
        drafted=completion.drafted,
        accepted=completion.accepted,
        forward_passes=completion.forward_passes,
        nats=float(nats.mean()) if nats is not None and len(nats) else None,
        nats_tokens=None if nats is None else len(nats),
        reused_tokens=completion.reused_tokens,
        language=task.language,
        confidence=completion.confidence[0] if completion.confidence else None,
    )


def read(file: Path) -> list[Prediction]:
    """All of a file's lines. Raises EvaluationError, naming the one that is wrong."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as problem:
        raise EvaluationError(f"{file} cannot be read: {problem}") from problem
    return [_parse(line, f"{file}, line {n}") for n, line in enumerate(lines, 1) if line]


def resume(file: Path) -> list[Prediction]:
    """What an earlier run left, [] without one; a line that it could not finish is cut off the file."""
    if not file.exists():
        return []
    whole = file.read_bytes().rfind(b"\n") + 1
    os.truncate(file, whole)
    return read(file)


def latest(predictions: Iterable[Prediction]) -> Iterator[Prediction]:
    """One per task and system: the last."""
    return iter({(one.task_id, one.system): one for one in predictions}.values())


def _parse(line: str, where: str) -> Prediction:
    try:
        raw: Any = json.loads(line)
        settings = tuple(raw["settings"])
        system = System(raw["mode"], raw["model"], settings, raw.get("budget") or _old_budget(settings))
        known = {item.name: item.default for item in fields(Prediction) if item.name != "system"}
        values = {name: raw[name] for name, default in known.items() if name in raw or default is MISSING}
    except (KeyError, TypeError, ValueError) as problem:
        raise EvaluationError(f"{where} is not a prediction: {problem!r}") from problem
    if raw["kind"] not in KINDS:
        raise EvaluationError(f"{where} has the unknown kind {raw['kind']!r}")
    return Prediction(system=system, **values)


def _old_budget(settings: tuple[str, ...]) -> str:
    """Of lines that do not tell it yet: the longest prompt was for all."""
    told = [one.removeprefix(_TOTAL) for one in settings if one.startswith(_TOTAL)]
    return budget_name(int(told[-1]), None) if told else System.budget
