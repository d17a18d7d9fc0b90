"""Predictions into numbers: one summary per kind, source and system, as a table for people or as JSON for scripts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from model.evaluation.metrics import METRICS, NAME_METRICS
from model.evaluation.nats import Nats, nats_with_the_file_alone, summed_up
from model.evaluation.predictions import STAGES, Prediction, System
from model.evaluation.sampling import interval
from model.evaluation.tasks import KINDS, PYTHON

_Key = TypeVar("_Key", bound=Hashable)

_HEAD = (
    "kind",
    "source",
    "language",
    "mode",
    "n",
    "EM %",
    "95 %",
    "ES %",
    "p50 ms",
    "p95 ms",
    "prompt",
    "prefilled",
    "passes",
    "budget",
)
_LANGUAGE = _HEAD.index("language")
_NATS_HEAD = ("nats", "to none", "95 %")


@dataclass(frozen=True)
class Difference:
    """A system against a reference on the tasks that both answered; percent points with 95 % intervals."""

    n: int
    em: float
    em_interval: tuple[float, float]
    es: float
    es_interval: tuple[float, float]
    p50_ratio: float  # median latency over the reference's


@dataclass(frozen=True)
class Summary:
    """One kind, source, language and system."""

    kind: str
    source: str
    language: str
    mode: str  # with settings, budget and model where there are several
    budget: str
    n: int
    em: float  # %
    es: float  # %
    p50_ms: float
    p95_ms: float
    prompt_tokens: float  # mean
    prefilled: float  # mean, of these those that went through a forward pass
    forward_passes: float  # mean
    tokens: float  # mean
    drafted: float  # mean
    accepted: float  # mean
    em_interval: tuple[float, float]  # 95 %, bootstrap by repository
    es_interval: tuple[float, float]
    token_em: float  # %, LlavaCode's
    id_em: float  # %, CrossCodeEval's
    id_f1: float  # %
    first_line_em: float  # %
    stages_ms: Mapping[str, tuple[float, float]]  # stage -> p50, p95
    origins: Mapping[str, Mapping[str, float]]  # original, relocated, resampled -> n, em, es
    nats: Nats | None  # None: not weighed

    def json(self) -> dict[str, Any]:
        fields = {name: _rounded(value) for name, value in vars(self).items() if name != "nats"}
        return fields | self.nats.json() if self.nats else fields


def summarize(answers: Iterable[Prediction]) -> list[Summary]:
    """One summary per kind, source, language and system: never one pooled number."""
    listed = list(answers)
    return [
        _summary(*key, group, summed_up(group, nats_with_the_file_alone(listed, group[0].system)))
        for key, group in by_system(listed).items()
    ]


def by_system(answers: Iterable[Prediction]) -> dict[tuple[str, str, str, str], list[Prediction]]:
    """(kind, source, language, label) -> answers; kinds in their order, systems in that of their first answer."""
    listed = list(answers)
    labels = _labels(list(dict.fromkeys(one.system for one in listed)))
    groups = grouped(listed, lambda one: (one.kind, one.source, one.language, labels[one.system]))
    ranks = {label: rank for rank, label in enumerate(labels.values())}
    order = sorted(groups, key=lambda key: (KINDS.index(key[0]), *key[1:3], ranks[key[3]]))
    return {key: groups[key] for key in order}


def difference(answers: Sequence[Prediction], reference: Sequence[Prediction]) -> Difference | None:
    """None without a task in common."""
    other = {one.task_id: one for one in reference}
    pairs = [(one, other[one.task_id]) for one in answers if one.task_id in other]
    if not pairs:
        return None
    repositories = [one.repo for one, _ in pairs]
    gains = {name: [a.quality[name] - b.quality[name] for a, b in pairs] for name in ("em", "es")}
    medians = [float(np.median([pair[side].timings_ms["total"] for pair in pairs])) for side in (0, 1)]
    return Difference(
        n=len(pairs),
        em=float(np.mean(gains["em"])),
        em_interval=interval(gains["em"], repositories),
        es=float(np.mean(gains["es"])),
        es_interval=interval(gains["es"], repositories),
        p50_ratio=medians[0] / medians[1] if medians[1] else float("nan"),
    )


def grouped(answers: Iterable[Prediction], key: Callable[[Prediction], _Key]) -> dict[_Key, list[Prediction]]:
    groups: dict[_Key, list[Prediction]] = defaultdict(list)
    for one in answers:
        groups[key(one)].append(one)
    return groups


def table(summaries: Sequence[Summary]) -> str:
    """The report for people; a group that mixes origins has one more row for each."""
    weighed = any(summary.nats for summary in summaries)
    rows = [(*_HEAD, *_NATS_HEAD), *(row for summary in summaries for row in _rows(summary))]
    rows = rows if weighed else [row[: len(_HEAD)] for row in rows]
    n_words = _HEAD.index("n")
    if all(summary.language == PYTHON for summary in summaries):
        rows, n_words = [row[:_LANGUAGE] + row[_LANGUAGE + 1 :] for row in rows], n_words - 1
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(_aligned(row, widths, n_words)).rstrip() for row in rows)


def _labels(systems: Sequence[System]) -> dict[System, str]:
    """A system's mode, and what tells it from others: its settings; its budget and its model where that is not
    enough."""
    tell_settings = len({system.settings for system in systems}) > 1
    names = {
        system: " ".join([system.mode, *(system.settings if tell_settings else ())]) for system in systems
    }
    for told in (
        {system: f"[{system.budget}]" for system in systems},
        {system: f"({system.model})" for system in systems},
    ):
        if len(set(told.values())) > 1:
            counts = Counter(names.values())
            names = {
                system: name if counts[name] == 1 else f"{name} {told[system]}"
                for system, name in names.items()
            }
    return names


def _rows(one: Summary) -> Iterator[tuple[str, ...]]:
    low, high = one.em_interval
    percents = (f"{one.em:.1f}", f"{low:.1f}-{high:.1f}", f"{one.es:.1f}")
    costs = (
        f"{one.p50_ms:.0f}",
        f"{one.p95_ms:.0f}",
        f"{one.prompt_tokens:.0f}",
        f"{one.prefilled:.0f}",
        f"{one.forward_passes:.1f}",
        one.budget,
    )
    yield (one.kind, one.source, one.language, one.mode, str(one.n), *percents, *costs, *nats_cells(one.nats))
    for origin, part in one.origins.items() if len(one.origins) > 1 else ():
        n, em, es = (f"{part['n']:.0f}", f"{part['em']:.1f}", f"{part['es']:.1f}")
        yield ("", f"  {origin}", "", "", n, em, "", es, *[""] * 9)


def nats_cells(nats: Nats | None) -> tuple[str, str, str]:
    """Mean, difference and interval for people."""
    if nats is None:
        return "", "", ""
    if nats.difference is None or nats.span is None:
        return f"{nats.mean:.3f}", "", ""
    low, high = nats.span
    return f"{nats.mean:.3f}", f"{nats.difference:+.3f}", f"{low:+.3f} to {high:+.3f}"


def _summary(
    kind: str, source: str, language: str, mode: str, answers: Sequence[Prediction], nats: Nats | None
) -> Summary:
    repositories = [one.repo for one in answers]
    quality = {name: [one.quality[name] for one in answers] for name in (*METRICS, *NAME_METRICS)}
    stages = {stage: _percentiles([one.timings_ms[stage] for one in answers]) for stage in STAGES}
    origins = grouped(answers, lambda one: one.origin)
    return Summary(
        kind=kind,
        source=source,
        language=language,
        mode=mode,
        budget=answers[0].system.budget,
        nats=nats,
        n=len(answers),
        p50_ms=stages["total"][0],
        p95_ms=stages["total"][1],
        prompt_tokens=_mean([one.prompt_tokens for one in answers]),
        prefilled=_mean([_prefilled(one) for one in answers]),
        forward_passes=_mean([one.forward_passes for one in answers]),
        tokens=_mean([one.tokens for one in answers]),
        drafted=_mean([one.drafted for one in answers]),
        accepted=_mean([one.accepted for one in answers]),
        em_interval=interval(quality["em"], repositories),
        es_interval=interval(quality["es"], repositories),
        stages_ms=stages,
        origins={origin: _counted(part) for origin, part in sorted(origins.items())},
        **{name: _mean(values) for name, values in quality.items()},
    )


def _counted(answers: Sequence[Prediction]) -> dict[str, float]:
    means = {name: _mean([one.quality[name] for one in answers]) for name in ("em", "es")}
    return {"n": len(answers), **means}


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    return float(np.percentile(values, 50)), float(np.percentile(values, 95))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 2)
    if isinstance(value, tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return value


def _aligned(row: Sequence[str], widths: Sequence[int], n_words: int) -> list[str]:
    """Words stand left, numbers right."""
    return [
        cell.ljust(width) if i < n_words else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _prefilled(answer: Prediction) -> int:
    """None of a prompt where recall has written all and nobody asked the coder."""
    return answer.prompt_tokens - answer.reused_tokens if answer.forward_passes else 0
