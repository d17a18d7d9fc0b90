"""Checkpoints that survive kill -9: written beside, flushed, then renamed over the old one."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from threading import Event
from typing import Any

import torch


def save_checkpoint(file: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists and dicts of them) atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".tmp")
    with beside.open("wb") as out:
        torch.save(state, out)
        out.flush()
        os.fsync(out.fileno())
    os.replace(beside, file)


def load_checkpoint(file: Path) -> dict[str, Any] | None:
    """The last complete checkpoint, or None before the first."""
    if not file.exists():
        return None
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def stop_on_signals() -> Event:
    """An event that SIGINT and SIGTERM set: the stage saves and ends instead of dying in a step."""
    stopping = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


class Journal:
    """Measurements of a run, one JSON line each. A resumed run forgets the lines behind its checkpoint."""

    def __init__(self, file: Path, step: int) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_journal(file) if line["step"] <= step]
        file.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self._file = file

    def write(self, **values: float | str) -> None:
        with self._file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(values) + "\n")


def read_journal(file: Path) -> list[dict[str, Any]]:
    """The complete lines of a journal; a line that kill -9 cut short is left out."""
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]
