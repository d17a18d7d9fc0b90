"""What a run says while it goes on: a line now and then, rewritten in place on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Protocol, TextIO

_SMOOTH = 0.95  # of the averages, per step
_BAR = 24  # characters


class Told(Protocol):
    """Hears of each step: its number, the seconds spent, the share of the budget, and what was measured."""

    def __call__(self, step: int, seconds: float, progress: float, measured: Mapping[str, float]) -> None: ...


class ProgressLine:
    """Loss and exact match, averaged over the last twenty steps or so, on a stream for people."""

    def __init__(self, out: TextIO | None = None, every: float = 30.0) -> None:
        """`out`: the error stream unless told. `every`: seconds between two lines where it is no terminal."""
        self._out, self._every = out or sys.stderr, every
        self._means: dict[str, float] = {}
        self._last: float | None = None

    def __call__(self, step: int, seconds: float, progress: float, measured: Mapping[str, float]) -> None:
        """Say it, if it is time."""
        for name, value in measured.items():
            self._means[name] = _SMOOTH * self._means.get(name, value) + (1 - _SMOOTH) * value
        now, terminal = time.monotonic(), self._out.isatty()
        is_due = self._last is None or now - self._last >= (0.2 if terminal else self._every)
        if is_due or progress >= 1.0:
            self._last = now
            end = "\n" if progress >= 1.0 or not terminal else ""
            line = self.line(step, seconds, progress)
            self._out.write(f"\r\x1b[K{line}{end}" if terminal else line + end)
            self._out.flush()

    def line(self, step: int, seconds: float, progress: float) -> str:
        """What is said of a step."""
        filled = round(_BAR * progress)
        parts = [f"[{'#' * filled}{'.' * (_BAR - filled)}] {progress:4.0%}", f"step {step}"]
        parts += [f"{name} {self._means[name]:.3f}" for name in ("loss", "policy") if name in self._means]
        parts += [
            f"exact match {name.removeprefix('em_')} {100 * value:.1f} %"
            for name, value in self._means.items()
            if name.startswith("em_")
        ]
        if "cosine" in self._means:
            parts.append(f"cosine {self._means['cosine']:.2f}")
        left = seconds / progress - seconds if progress else 0.0
        parts.append(f"{seconds / max(step, 1):.1f} s a step, {left / 60:.0f} minutes left")
        return ", ".join(parts)
