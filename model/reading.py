"""What a coder reads where the settings leave it open, by what it was taught and where it runs. The measurements are in
LOG.md; the arithmetic of a GPU is `tests.benchmarks.gpu_times`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from model.families import FimOrder
from model.settings import AUTOMATIC, ModelSettings

LONG_POSITIONS = 16_384  # that a coder was trained on which reads more on a GPU


@dataclass(frozen=True)
class Reading:
    """`context`: mode `auto` of a coder without an adapter; `below`: whether the text below the cursor's line is a
    block."""

    context: str
    below: bool


@dataclass(frozen=True)
class Budgets:
    """Tokens of what is read where the settings leave it open: of the longest prompt, of the text behind the cursor, of
    retrieved text. The fields are named as theirs."""

    context_tokens: int
    suffix_tokens: int
    snippet_tokens: int

    def fill(self, settings: ModelSettings) -> ModelSettings:
        """The settings with these in place of what they leave open."""
        left_open = {name: n for name, n in asdict(self).items() if getattr(settings, name) == AUTOMATIC}
        return replace(settings, **left_open)


_FILLS = Reading(context="snippets", below=False)  # the suffix stands in its prompt
READINGS: Mapping[FimOrder, Reading] = {
    "spm": _FILLS,
    "psm": _FILLS,
    # "A coder that fills no holes", 2026-11-26.
    "ltr": Reading(context="blocks", below=True),
}

# Prompt and completion inside the 1,024 positions that the tiny embedded coder was trained on, the text behind the
# cursor inside its 192.
ON_CPU = Budgets(context_tokens=960, suffix_tokens=192, snippet_tokens=512)
# "What a GPU reads", 2026-11-27. More than three eighths of a prompt retrieved text never is (`model.context`).
ON_CUDA = Budgets(context_tokens=2048, suffix_tokens=512, snippet_tokens=768)


def budgets_for(device: str, positions: int) -> Budgets:
    """`device` as an engine names it; `positions` that the coder was trained on."""
    return ON_CUDA if device.startswith("cuda") and positions >= LONG_POSITIONS else ON_CPU
