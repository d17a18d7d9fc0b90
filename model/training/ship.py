"""Stage `ship`: an export and the records of its runs -> the folder that the package carries, with its model card."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from model.checkpoint.opening import write_checksums
from model.evaluation.tasks import PYTHON
from model.training.bits import bits_table, read_bits
from model.training.checkpoint import read_journal

_SMOOTH = 50  # steps that one point of a curve averages


@dataclass(frozen=True)
class ShipConfig:
    """Settings of the stage."""

    export: Path  # what stage `adapter` wrote
    corpus: Path
    pretrain_journals: tuple[Path, ...]  # of the sittings, in their order
    adapter_journals: tuple[Path, ...]
    notes: Path  # Markdown put on top of the card: intended use, evaluation, limits
    out: Path
    bits: Path | None = None  # what stage `validate` found of each language: bits.jsonl


def run(config: ShipConfig) -> None:
    """Replace the model files in `config.out`."""
    config.out.mkdir(parents=True, exist_ok=True)
    for old in (*config.out.glob("*.safetensors"), *config.out.glob("*.json")):
        old.unlink()
    for file in (*config.export.glob("*.safetensors"), *config.export.glob("*.json")):
        shutil.copyfile(file, config.out / file.name)
    pretraining, adapter = read_sittings(config.pretrain_journals), read_sittings(config.adapter_journals)
    draw_curves(pretraining, adapter, config.out / "loss_curves.png")
    manifest = json.loads((config.corpus / "manifest.json").read_text(encoding="utf-8"))
    card = model_card(config, pretraining, adapter, manifest)
    (config.out / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    write_checksums(config.out)


def read_sittings(journals: Sequence[Path]) -> list[dict[str, Any]]:
    """The journals of runs that went on from each other, as one: steps, tokens and seconds count on."""
    lines: list[dict[str, Any]] = []
    for journal in journals:
        before = {name: lines[-1].get(name, 0) if lines else 0 for name in ("step", "tokens", "seconds")}
        lines += [
            {name: v + before.get(name, 0) for name, v in line.items()} for line in read_journal(journal)
        ]
    return lines


def model_card(
    config: ShipConfig,
    pretraining: Sequence[dict[str, Any]],
    adapter: Sequence[dict[str, Any]],
    manifest: dict[str, Any],
) -> str:
    """The notes, then what the files and journals say."""
    parts = [
        config.notes.read_text(encoding="utf-8").rstrip(),
        "",
        "## Parameters",
        "",
        "| part | parameters |",
        "| --- | --- |",
    ]
    parts += [
        f"| {stem} | {count_parameters(config.out, stem):,} |" for stem in ("model", "fuser", "projector")
    ]
    parts += [
        "",
        "## Training",
        "",
        *_training_facts(pretraining, adapter),
        "",
        "![Loss curves](loss_curves.png)",
        "",
    ]
    if config.bits:
        parts += ["## Languages", "", bits_table(read_bits(config.bits)), ""]
    return "\n".join([*parts, *_data(manifest)]) + "\n"


def count_parameters(folder: Path, stem: str) -> int:
    """Values in `stem*.safetensors`."""
    total = 0
    for file in folder.glob(f"{stem}*.safetensors"):
        with safe_open(file, framework="np") as tensors:
            for name in tensors.keys():  # noqa: SIM118  # not a dict
                size = 1
                for n in tensors.get_slice(name).get_shape():
                    size *= n
                total += size
    return total


def _training_facts(pretraining: Sequence[dict[str, Any]], adapter: Sequence[dict[str, Any]]) -> list[str]:
    facts = []
    if pretraining:
        last = pretraining[-1]
        facts.append(
            f"- Pretraining: {last['step']:,} steps, {last['tokens']:,} tokens seen, {last['seconds'] / 60:.0f} minutes"
            f"; loss {mean_of(pretraining, 'loss'):.3f} nats per token over the last {_SMOOTH} steps."
        )
    if adapter:
        facts.append(f"- Adapter: {adapter[-1]['step']:,} steps, {adapter[-1]['seconds'] / 60:.0f} minutes.")
        modes = ("none", "snippets", "pseudo", "hybrid")
        found = ", ".join(f"{mode} {mean_of(adapter, f'loss_{mode}'):.3f}" for mode in modes)
        facts.append(
            f"- Nats per token of the middle over the last {_SMOOTH} adapter steps that saw each mode: {found}."
        )
        cosines = [line["cosine"] for line in adapter if "cosine" in line]
        facts.append(
            f"- Mean pairwise cosine of projected vectors: {cosines[0]:.3f} at the first step, "
            f"{mean_of(adapter, 'cosine'):.3f} at the end (1 would be total collapse)."
        )
    return facts


def mean_of(journal: Sequence[dict[str, Any]], name: str) -> float:
    """Mean of the last values of a measurement; not every line has every one."""
    values = [line[name] for line in journal if name in line][-_SMOOTH:]
    return sum(values) / len(values) if values else float("nan")


def _data(manifest: dict[str, Any]) -> list[str]:
    entries = manifest["repositories"]
    left_out = ", ".join(f"{reason} {n:,}" for reason, n in manifest["left_out"].items())
    total = [sum(e[key] for e in entries) for key in ("files", "bytes", "tokens")]
    return [
        "## Training data",
        "",
        f"{len(entries)} repositories, {total[0]:,} files, {total[1] / 1e6:.0f} MB, {total[2]:,} tokens. "
        f"Left out (repositories and files): {left_out}.{_languages(entries)}",
        "",
        "| repository | version or commit | license | files | kB |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {e['name']} | {e['version'][:12]} | {e['license']} | {e['files']} | {e['bytes'] // 1000} |"
            for e in sorted(entries, key=lambda e: str(e["name"]))
        ),
    ]


def _languages(entries: Sequence[dict[str, Any]]) -> str:
    """Which part of the tokens is of which language; nothing where all is Python."""
    tokens: Counter[str] = Counter()
    for entry in entries:
        tokens[entry.get("language", PYTHON)] += entry["tokens"]
    if set(tokens) <= {PYTHON}:
        return ""
    shares = (f"{name} {100 * n / tokens.total():.1f} %" for name, n in tokens.most_common())
    return f" Of the tokens {', '.join(shares)}."


def draw_curves(pretraining: Sequence[dict[str, Any]], adapter: Sequence[dict[str, Any]], file: Path) -> None:
    """Loss against tokens (pretraining) and against steps per context mode (adapter), smoothed."""
    from matplotlib.figure import Figure  # an extra of training, not of the package

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(*smoothed([(line["tokens"] / 1e6, line["loss"]) for line in pretraining]))
    left.set(title="Pretraining", xlabel="million tokens", ylabel="nats per token")
    for mode in ("none", "snippets", "pseudo", "hybrid"):
        points = [(line["step"], line[f"loss_{mode}"]) for line in adapter if f"loss_{mode}" in line]
        right.plot(*smoothed(points), label=mode)
    right.set(title="Adapter: loss of the middle", xlabel="steps")
    right.legend()
    figure.savefig(file, dpi=100)


def smoothed(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Running means of `_SMOOTH` points, as x and y."""
    width = min(_SMOOTH, max(1, len(points) // 4))
    at = range(0, len(points) - width + 1, max(1, width // 4)) if points else range(0)
    windows = [points[i : i + width] for i in at]
    return [w[-1][0] for w in windows], [sum(y for _, y in w) / len(w) for w in windows]
