"""What a benchmark reports, and how it is shown to people and to scripts."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Measurement:
    """One row. Names in `values` end with their unit (`p50_ms`); `target` is DESIGN's, where it has one."""

    benchmark: str
    repository: str
    files: int
    case: str
    values: Mapping[str, float]
    target: str = ""
    note: str = ""


@dataclass(frozen=True)
class Machine:
    """Where it was measured. `load` is how busy the machine was with other things (1-minute average) at the start."""

    processor: str
    cores: int
    load: float
    python: str
    onnxruntime: str
    torch: str
    commit: str


def this_machine() -> Machine:
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 0,
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0,
        python=platform.python_version(),
        onnxruntime=version("onnxruntime"),
        torch=version("torch"),
        commit=_commit(),
    )


def percentiles(samples: Sequence[float], unit: str = "ms") -> dict[str, float]:
    """Median and 95th percentile."""
    return {
        f"p50_{unit}": float(np.percentile(samples, 50)),
        f"p95_{unit}": float(np.percentile(samples, 95)),
    }


def heading(machine: Machine) -> str:
    return (
        f"{machine.processor}, {machine.cores} cores, load {machine.load} at the start; "
        f"Python {machine.python}, onnxruntime {machine.onnxruntime}, torch {machine.torch}, commit {machine.commit}"
    )


def row(measurement: Measurement) -> str:
    """A row of the table; two numbers with a stroke between them are median and 95th percentile."""
    values = "  ".join(_cells(measurement.values))
    goal = f"   [{measurement.target}]" if measurement.target else ""
    note = f"   ({measurement.note})" if measurement.note else ""
    return f"  {measurement.case:<26}  {values}{goal}{note}"


def table(measurements: Iterable[Measurement]) -> Iterator[str]:
    """Rows under a headline for each benchmark and repository, in the order they come."""
    last = None
    for measurement in measurements:
        if last != (group := (measurement.benchmark, measurement.repository)):
            yield f"\n{measurement.benchmark}: {measurement.repository}, {measurement.files:,} Python files"
            last = group
        yield row(measurement)


def json_line(measurement: Measurement, machine: Machine) -> str:
    return json.dumps({**asdict(measurement), "machine": asdict(machine)})


def _cells(values: Mapping[str, float]) -> Iterator[str]:
    for name, value in values.items():
        stem, _, unit = name.partition("p50_")
        if unit:
            yield f"{stem.strip('_')} {_number(value)} / {_number(values[f'{stem}p95_{unit}'])} {unit}".strip()
        elif "p95_" not in name:
            yield f"{name} {_number(value)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.3g}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _commit() -> str:
    here = Path(__file__).parent
    command = ("git", "-C", str(here), "describe", "--always", "--dirty")
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # No git, or a copy without a repository.
        return "unknown"
