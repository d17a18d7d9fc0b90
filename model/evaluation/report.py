"""Scores into numbers: one summary per kind, source and mode, as a table for people or as JSON lines for scripts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from model.evaluation.tasks import KINDS

_Key = TypeVar("_Key", bound=Hashable)

_RESAMPLES = 1000
_HEAD = ("kind", "source", "mode", "n", "EM %", "95 %", "ES %", "p50 ms", "p95 ms", "prompt", "passes")


@dataclass(frozen=True)
class Score:
    """One answer to one task in one mode. Matches are 0 or 100 and similarity 0 to 100, so that means are percent."""

    task_id: str
    repo: str
    kind: str
    source: str
    origin: str
    mode: str
    text: str  # as scored, after the kind's cut
    em: float
    es: float
    first_line_em: float
    ms: float  # retrieve + prefill + decode of an answer that starts with an empty cache
    prompt_tokens: int
    tokens: int
    forward_passes: int

    def prediction(self) -> dict[str, Any]:
        """The line of `--predictions`."""
        names = ("task_id", "mode", "text", "em", "es", "ms", "forward_passes")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Summary:
    """One line of the report."""

    kind: str
    source: str
    mode: str
    n: int
    em: float  # %
    es: float  # %
    p50_ms: float
    p95_ms: float
    prompt_tokens: float  # mean
    forward_passes: float  # mean
    tokens: float  # mean
    em_interval: tuple[float, float]  # 95 %, bootstrap by repository
    first_line_em: float  # %
    origins: Mapping[str, Mapping[str, float]]  # original, relocated, resampled -> n, em, es

    def json(self) -> dict[str, Any]:
        return {name: _rounded(value) for name, value in vars(self).items()}


def summarize(scores: Iterable[Score]) -> list[Summary]:
    """One summary per kind, source and mode: never one pooled number."""
    groups = _grouped(scores, lambda score: (score.kind, score.source, score.mode))
    modes = list(dict.fromkeys(score.mode for group in groups.values() for score in group))
    order = sorted(groups, key=lambda key: (KINDS.index(key[0]), key[1], modes.index(key[2])))
    return [_summary(*key, groups[key]) for key in order]


def table(summaries: Sequence[Summary]) -> str:
    """The report for people; a group that mixes origins has one more row for each."""
    rows = [_HEAD, *(row for summary in summaries for row in _rows(summary))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(_aligned(row, widths)).rstrip() for row in rows)


def _rows(one: Summary) -> Iterator[tuple[str, ...]]:
    low, high = one.em_interval
    percents = (f"{one.em:.1f}", f"{low:.1f}-{high:.1f}", f"{one.es:.1f}")
    costs = (f"{one.p50_ms:.0f}", f"{one.p95_ms:.0f}", f"{one.prompt_tokens:.0f}", f"{one.forward_passes:.1f}")
    yield (one.kind, one.source, one.mode, str(one.n), *percents, *costs)
    for origin, part in one.origins.items() if len(one.origins) > 1 else ():
        n, em, es = (f"{part['n']:.0f}", f"{part['em']:.1f}", f"{part['es']:.1f}")
        yield ("", f"  {origin}", "", n, em, "", es, "", "", "", "")


def _summary(kind: str, source: str, mode: str, scores: Sequence[Score]) -> Summary:
    ms = [score.ms for score in scores]
    origins = _grouped(scores, lambda score: score.origin)
    return Summary(
        kind=kind,
        source=source,
        mode=mode,
        n=len(scores),
        em=_mean(scores, "em"),
        es=_mean(scores, "es"),
        p50_ms=float(np.percentile(ms, 50)),
        p95_ms=float(np.percentile(ms, 95)),
        prompt_tokens=_mean(scores, "prompt_tokens"),
        forward_passes=_mean(scores, "forward_passes"),
        tokens=_mean(scores, "tokens"),
        em_interval=_interval(scores),
        first_line_em=_mean(scores, "first_line_em"),
        origins={
            origin: {"n": len(part), "em": _mean(part, "em"), "es": _mean(part, "es")}
            for origin, part in sorted(origins.items())
        },
    )


def _interval(scores: Sequence[Score]) -> tuple[float, float]:
    """95 % interval of the exact match when whole repositories are drawn anew: tasks of one are not independent."""
    groups = _grouped(scores, lambda score: score.repo).values()
    sizes = np.array([len(group) for group in groups])
    sums = np.array([sum(score.em for score in group) for group in groups])
    drawn = np.random.default_rng(0).integers(len(sizes), size=(_RESAMPLES, len(sizes)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def _grouped(scores: Iterable[Score], key: Callable[[Score], _Key]) -> dict[_Key, list[Score]]:
    groups: dict[_Key, list[Score]] = defaultdict(list)
    for score in scores:
        groups[key(score)].append(score)
    return groups


def _mean(scores: Sequence[Score], name: str) -> float:
    return float(np.mean([getattr(score, name) for score in scores]))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 2)
    if isinstance(value, tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return value


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    n_words = 3  # kind, source and mode stand left, numbers right
    return [
        cell.ljust(width) if i < n_words else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
