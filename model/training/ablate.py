"""Stage `ablate`: the adapter trained again and again from the same start, each time with one thing changed.

Every variant sees the same samples for as many steps, and is then measured as in stage `validate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from model.training import adapter, validate
from model.training.adapter import AdapterStage
from model.training.checkpoint import read_journal
from model.training.config import from_table, read_config
from model.training.validate import ModeLoss, ValidateConfig


@dataclass(frozen=True)
class AblateConfig:
    """Settings of the stage."""

    adapter: Path  # configuration of stage `adapter`: the variant "all"
    validate: Path  # configuration of stage `validate`
    out: Path  # a folder
    steps: int = 60
    variants: dict[str, Any] = field(default_factory=dict)  # name -> fields of AdapterStage that are other


def run(config: AblateConfig) -> None:
    """Train and measure what is not measured yet; write `config.out / "table.md"` after each variant."""
    base, measure = read_config(AdapterStage, config.adapter), read_config(ValidateConfig, config.validate)
    done: dict[str, Sequence[ModeLoss]] = {}
    for name, changes in {"all": {}, **config.variants}.items():
        folder = config.out / name.replace(" ", "_")
        if not (folder / "losses.jsonl").exists():
            adapter.run(variant(base, changes, folder, config.steps))
            if read_journal(folder / "journal.jsonl")[-1]["step"] < config.steps:
                return  # a signal stopped it; the next call goes on
            validate.run(replace(measure, model=folder / "export", out=folder / "losses.jsonl"))
        done[name] = validate.read(folder / "losses.jsonl")
        (config.out / "table.md").write_text(table(done), encoding="utf-8")


def variant(base: AdapterStage, changes: dict[str, Any], folder: Path, steps: int) -> AdapterStage:
    """`base` with `changes` (tables are laid over those of `base`), for `steps` steps into `folder`."""
    merged = {
        name: {**getattr(base, name), **value} if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    known = from_table(AdapterStage, {"coder": "", "samples": "", "out": "", **merged})
    return replace(
        base, **{name: getattr(known, name) for name in merged}, out=folder, steps=steps, seconds=1e9
    )


def table(done: dict[str, Sequence[ModeLoss]]) -> str:
    """Markdown: a line per variant; differences with their 95 % intervals, in nats per token."""
    head = ("variant", "none", "snippets", "pseudo", "hybrid", "recite", "cosine", "found")
    lines = [head, ("---",) * len(head)]
    for name, losses in done.items():
        of = {one.mode: one for one in losses}
        pseudo = of["pseudo"]
        differences = [_difference(of[mode]) for mode in ("snippets", "pseudo", "hybrid", "recite")]
        lines.append(
            (name, f"{of['none'].loss:.3f}", *differences, _share(pseudo.cosine), _share(pseudo.found))
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _difference(one: ModeLoss) -> str:
    low, high = one.interval
    return f"{one.difference:+.3f} ({low:+.3f} to {high:+.3f})"
