"""The end of a run of stage `adapter`: what it is worth on repositories left out, and the lines for the settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from model.training.adapter_config import AdapterStage
from model.training.samples import RepositorySamples
from model.training.validate import ModeLoss, ValidateConfig, measure, save

_MODES = (
    "none",
    "snippets",
    "pseudo",
    "hybrid",
    "pseudo, vectors of another repository",
    "pseudo, random vectors",
)
_OURS = ("pseudo", "hybrid")  # modes that read the adapter's vectors


def conclude(config: AdapterStage, exported: Path, left_out: Sequence[RepositorySamples]) -> list[ModeLoss]:
    """Measure what was exported, print it with the line for the settings, and write `config.out / "left_out.jsonl"`."""
    names = ", ".join(repository.name for repository in left_out)
    print(f"on what was left out ({names}):")
    judged = ValidateConfig(
        model=exported,
        samples=config.samples,
        out=config.out / "left_out.jsonl",
        coder="" if config.train_coder else config.coder,
        modes=_MODES,
        batches=config.validate_batches,
        batch=config.batch,
        chunk_tokens=config.chunk_tokens,
        seed=config.seed,
        shape=config.shape,
    )
    measured = []
    for one in measure(judged, left_out):
        measured.append(one)
        print(line_of(one), flush=True)
    save(measured, judged.out)
    print(verdict(measured))
    print(settings_lines(str(exported) if config.train_coder else config.coder, exported, best_of(measured)))
    return measured


def line_of(one: ModeLoss) -> str:
    """A mode's measures for people."""
    low, high = one.interval
    collapse = "" if one.cosine is None else f", mean cosine of the vectors {one.cosine:.2f}"
    return (
        f"  {one.mode}: {one.loss:.3f} nats per token ({one.difference:+.3f} to none, {low:+.3f} to {high:+.3f}), "
        f"{100 * one.right:.1f} % of {one.n} right to the letter{collapse}"
    )


def best_of(measured: Sequence[ModeLoss]) -> ModeLoss:
    """Of the modes with pseudo-tokens the one with the lowest loss."""
    return min((one for one in measured if one.mode in _OURS), key=lambda one: one.loss)


def verdict(measured: Sequence[ModeLoss]) -> str:
    """Whether the adapter is worth its place, in a sentence."""
    best = best_of(measured)
    others = [one for one in measured if one.mode in ("none", "snippets") and one.loss <= best.loss]
    if others:
        better = min(others, key=lambda one: one.loss)
        return f"not worth using yet: {better.mode} is as good or better; train longer, or on more samples"
    if best.interval[1] >= 0:
        return f"{best.mode} is better than none by less than chance explains; train longer, or measure more"
    return f"{best.mode} is better than none"


def settings_lines(coder: str, exported: Path, best: ModeLoss) -> str:
    """The settings that use the adapter, for a command line and for VS Code."""
    folder = Path(coder).expanduser()
    name = str(folder.resolve()) if folder.is_dir() else coder
    chosen = {"model.name": name, "model.adapter": str(exported.resolve()), "model.context": best.mode}
    flags = " ".join(f"--set {key}={value}" for key, value in chosen.items())
    table = json.dumps({f"hef-lsp.{key}": value for key, value in chosen.items()})
    return (
        f"to use it: hef-lsp {flags}\nor in VS Code's settings: {table.removeprefix('{').removesuffix('}')}"
    )
