"""What a coder reads where the settings leave it open, by what it was taught. The measurements are in LOG.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model.families import FimOrder


@dataclass(frozen=True)
class Reading:
    """`context`: mode `auto` of a coder without an adapter; `below`: whether the text below the cursor's line is a
    block."""

    context: str
    below: bool


_FILLS = Reading(context="snippets", below=False)  # the suffix stands in its prompt
READINGS: Mapping[FimOrder, Reading] = {
    "spm": _FILLS,
    "psm": _FILLS,
    # "A coder that fills no holes", 2026-11-26.
    "ltr": Reading(context="blocks", below=True),
}
