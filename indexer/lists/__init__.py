"""Word lists, kept as data: one word or pattern per line, `#` begins a comment line."""

from __future__ import annotations

from importlib.resources import files


def load(name: str) -> tuple[str, ...]:
    """The lines of one list, in order."""
    lines = files(__name__).joinpath(f"{name}.txt").read_text("utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))
