"""Stage `validate`: what each kind of context is worth on repositories that nothing was trained on.

The mean loss of the middles, of the very same cursors in every mode: differences far too small for an exact match
over some hundred tasks show here. What the coder makes of useless vectors is measured beside it (robustness).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.adapter_config import read_config
from model.checkpoint import open_checkpoint
from model.prompt import FimOrder
from model.torch_adapter import load_fuser, load_projector
from model.training.adapter import middle_losses
from model.training.batches import Batcher
from model.training.config import from_table
from model.training.contexts import ModeMix, RowBuilder, RowShape
from model.training.losses import mean_pairwise_cosine
from model.training.network import Network, load_coder
from model.training.samples import read_samples
from model.vocabulary import Vocabulary

_RESAMPLES = 1000


@dataclass(frozen=True)
class ValidateConfig:
    """Settings of the stage."""

    model: Path  # folder with coder and adapter
    samples: Path  # of repositories outside the training corpus
    out: Path  # a JSON Lines file
    batches: int = 40
    batch: int = 8
    chunk_tokens: int = 192
    threads: int = 2
    seed: int = 1
    shape: dict[str, Any] = field(default_factory=dict)  # fields of contexts.RowShape


@dataclass(frozen=True)
class ModeLoss:
    """`loss` in nats per token of the middle; `difference` to mode none on the same cursors, with its 95 % interval.

    `cosine`: mean pairwise cosine of the projected vectors, None where the mode shows none.
    """

    mode: str
    n: int
    loss: float
    difference: float
    interval: tuple[float, float]
    cosine: float | None


def _only(mode: str, foreign: float = 0.0, noise: float = 0.0) -> ModeMix:
    shares = dict.fromkeys(("none", "snippets", "pseudo", "hybrid"), 0.0) | {mode: 1.0}
    return from_table(ModeMix, shares | {"recite": 0.0, "foreign": foreign, "noise": noise})


MIXES: Mapping[str, ModeMix] = {
    "none": _only("none"),
    "snippets": _only("snippets"),
    "pseudo": _only("pseudo"),
    "hybrid": _only("hybrid"),
    "pseudo, vectors of another repository": _only("pseudo", foreign=1.0),
    "pseudo, random vectors": _only("pseudo", noise=1.0),
}


def run(config: ValidateConfig) -> list[ModeLoss]:
    """Measure every mode; one JSON line each goes to `config.out`."""
    torch.set_num_threads(config.threads)
    measured = list(measure(config))
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.out.write_text("".join(json.dumps(asdict(m)) + "\n" for m in measured), encoding="utf-8")
    return measured


@torch.no_grad()
def measure(config: ValidateConfig) -> Iterator[ModeLoss]:
    """The modes in the order of MIXES. Raises WeightsError when the folder holds no model with an adapter."""
    network, m = _load(config.model)
    vocabulary = Vocabulary.load(config.model / "tokenizer.json")
    order: FimOrder = "spm" if open_checkpoint(str(config.model)).config.get("fim_order") == "spm" else "psm"
    shape = from_table(RowShape, dict(config.shape))
    repositories = tuple(read_samples(config.samples))
    base: np.ndarray | None = None
    for name, mix in MIXES.items():
        rows = RowBuilder(vocabulary, order, shape, m)
        batcher = Batcher(repositories, rows, mix, config, shape.length, vocabulary)
        losses, cosine = _losses(network, batcher, config.batches)
        base = losses if base is None else base
        yield ModeLoss(name, len(losses), float(losses.mean()), *_difference(losses - base), cosine)


def _load(folder: Path) -> tuple[Network, int]:
    coder = load_coder(folder, trained=False)
    config = read_config(folder)
    return Network(coder, load_fuser(folder, config), load_projector(folder, config)).eval(), config.fuser.m


def _losses(network: Network, batcher: Batcher, batches: int) -> tuple[np.ndarray, float | None]:
    """Loss of each cursor, float64 [n], and the mean cosine over the batches that have vectors."""
    found: list[float] = []
    cosines: list[float] = []
    for number in range(batches):
        batch = batcher.batch(number, 1.0, None)
        projected = network.pseudo_tokens(batch)[3] if batch.leaves else None
        if projected is not None and len(projected) > 1:
            cosines.append(mean_pairwise_cosine(projected.flatten(0, 1)))
        found += middle_losses(network.token_losses(network.rows(batch, projected), batch), batch).tolist()
    return np.array(found), sum(cosines) / len(cosines) if cosines else None


def _difference(differences: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Mean and its 95 % bootstrap interval."""
    drawn = np.random.default_rng(0).choice(differences, (_RESAMPLES, len(differences))).mean(axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(differences.mean()), (float(low), float(high))
