"""The report's plots, as PNG files. matplotlib comes with the extra `train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.evaluation.tasks import EvaluationError
from model.privacy import keep_library_files

_MARKERS = "osD^v<>pPX*h"


@dataclass(frozen=True)
class Point:
    label: str
    x: float
    y: float


@dataclass(frozen=True)
class Curve:
    label: str
    points: Sequence[tuple[float, float]]


def scatter(file: Path, points: Sequence[Point], title: str, x: str, y: str) -> None:
    """Labelled points; x is drawn in decades, because systems differ by orders of magnitude."""
    figure, axes = _figure()
    for number, point in enumerate(points):
        axes.scatter(point.x, point.y, s=36, marker=_MARKERS[number % len(_MARKERS)], label=point.label)
    axes.set_xscale("log", subs=[])
    axes.xaxis.get_major_locator().set_params(subs=(1, 2, 5))
    axes.xaxis.set_major_formatter("{x:g}")
    figure.legend(loc="outside right upper", fontsize=7)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.set_ylim(0, max(1.0, 1.1 * max(point.y for point in points)))
    _save(figure, file)


def curves(
    file: Path,
    drawn: Sequence[Curve],
    title: str,
    x: str,
    *,
    y: str = "exact match, %",
    apart: bool = False,
    decades: bool = False,
) -> None:
    """Lines over one x; `apart`: two quantities, each with an axis of its own, else all are `y`. `decades`: of x."""
    figure, axes = _figure()
    axes.set(title=title, xlabel=x, ylabel=drawn[0].label if apart else y)
    if decades:
        axes.set_xscale("log")
    for number, curve in enumerate(drawn):
        side = axes.twinx() if apart and number else axes
        if side is not axes:
            side.set_ylabel(curve.label)
        side.plot(*zip(*curve.points, strict=True), marker="o", color=f"C{number}", label=curve.label)
        side.set_ylim(
            0, max(1.0, 1.1 * max(max(y for _, y in one.points) for one in ([curve] if apart else drawn)))
        )
    figure.legend(loc="outside lower center", ncol=len(drawn), fontsize=7)
    _save(figure, file)


def _figure() -> tuple[Any, Any]:
    """Without pyplot, which would look for a display."""
    keep_library_files()
    try:
        from matplotlib.figure import Figure
    except ImportError as problem:
        raise EvaluationError("plots need matplotlib: install hef-lsp[train]") from problem
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    return figure, axes


def _save(figure: Any, file: Path) -> None:
    figure.savefig(file, dpi=120)
