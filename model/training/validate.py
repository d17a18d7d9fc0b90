"""Stage `validate`: what each kind of context is worth on repositories that nothing was trained on.

The mean loss of the middles, of the very same cursors in every mode: differences far too small for an exact match
over some hundred tasks show here. What the coder makes of useless vectors is measured beside it (robustness), and how
much of a chunk can be had from its vectors (recite: its own text behind them, against vectors of another repository).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.checkpoint.adapter import read_config
from model.checkpoint.opening import open_checkpoint
from model.engines.torch.adapter import load_fuser, load_projector
from model.loading import fim_order
from model.training.adapter import middle_losses
from model.training.batches import AdapterBatch, Batcher
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
    modes: tuple[str, ...] = ()  # of MIXES, with those that they are compared with; none: all
    batches: int = 40
    batch: int = 8
    chunk_tokens: int = 192
    threads: int = 2
    seed: int = 1
    shape: dict[str, Any] = field(default_factory=dict)  # fields of contexts.RowShape


@dataclass(frozen=True)
class ModeLoss:
    """`loss` in nats per token of the middle; `difference` to the mode's base on the same rows, with its 95 % interval.

    `cosine`: mean pairwise cosine of the projected vectors, None where the mode shows none. `found`: share of the
    queries that are nearest to the chunk that helps most, among all of the batch; None where there are none.
    """

    mode: str
    n: int
    loss: float
    difference: float
    interval: tuple[float, float]
    cosine: float | None
    found: float | None


def _only(mode: str, foreign: float = 0.0, noise: float = 0.0) -> ModeMix:
    shares = dict.fromkeys(("none", "snippets", "pseudo", "hybrid", "blocks", "recite"), 0.0) | {mode: 1.0}
    return from_table(ModeMix, shares | {"recite_until": 2.0, "foreign": foreign, "noise": noise})


# Mode -> what its rows are and the mode, before it or itself, that it is compared with.
MIXES: Mapping[str, tuple[ModeMix, str]] = {
    "none": (_only("none"), "none"),
    "snippets": (_only("snippets"), "none"),
    "pseudo": (_only("pseudo"), "none"),
    "hybrid": (_only("hybrid"), "none"),
    "blocks": (
        _only("blocks"),
        "none",
    ),  # on top of the same prompt; the others share its length with their context
    "pseudo, vectors of another repository": (_only("pseudo", foreign=1.0), "none"),
    "pseudo, random vectors": (_only("pseudo", noise=1.0), "none"),
    "recite, vectors of another repository": (
        _only("recite", foreign=1.0),
        "recite, vectors of another repository",
    ),
    "recite": (_only("recite"), "recite, vectors of another repository"),
}


def run(config: ValidateConfig) -> list[ModeLoss]:
    """Measure every mode; one JSON line each goes to `config.out`."""
    torch.set_num_threads(config.threads)
    measured = list(measure(config))
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.out.write_text("".join(json.dumps(asdict(m)) + "\n" for m in measured), encoding="utf-8")
    return measured


def read(file: Path) -> list[ModeLoss]:
    """What `run` wrote to `file`."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [ModeLoss(**(line | {"interval": tuple(line["interval"])})) for line in lines]


@torch.no_grad()
def measure(config: ValidateConfig) -> Iterator[ModeLoss]:
    """The modes in the order of MIXES. Raises WeightsError when the folder holds no model with an adapter."""
    network, m = _load(config.model)
    vocabulary = Vocabulary.load(config.model / "tokenizer.json")
    order = fim_order(open_checkpoint(str(config.model)), vocabulary)
    shape = from_table(RowShape, dict(config.shape))
    repositories = tuple(read_samples(config.samples))
    measured: dict[str, np.ndarray] = {}
    for name in config.modes or MIXES:
        mix, base = MIXES[name]
        rows = RowBuilder(vocabulary, order, shape, m)
        batcher = Batcher(repositories, rows, mix, config, shape.length, vocabulary)
        losses, cosine, found = _losses(network, batcher, config.batches)
        measured[name] = losses
        difference, interval = _difference(losses - measured[base])
        yield ModeLoss(name, len(losses), float(losses.mean()), difference, interval, cosine, found)


def _load(folder: Path) -> tuple[Network, int]:
    coder = load_coder(folder, trained=False)
    config = read_config(folder)
    return Network(coder, load_fuser(folder, config), load_projector(folder, config)).eval(), config.fuser.m


def _losses(
    network: Network, batcher: Batcher, batches: int
) -> tuple[np.ndarray, float | None, float | None]:
    """Loss of each row, float64 [n], the mean cosine over the batches that have vectors, and what queries found."""
    losses: list[float] = []
    cosines: list[float] = []
    found: list[bool] = []
    for number in range(batches):
        batch = batcher.batch(number, 1.0, None)
        projected = None
        if batch.leaves:
            keys, _, _, projected = network.pseudo_tokens(batch)
            cosines.append(mean_pairwise_cosine(projected.flatten(0, 1)))
            found += _found(network, batch, keys)
        losses += middle_losses(network.token_losses(network.rows(batch, projected), batch), batch).tolist()
    return np.array(losses), _mean(cosines), _mean(found)


def _found(network: Network, batch: AdapterBatch, keys: torch.Tensor) -> list[bool]:
    """Whether each query is nearest to the key, of keys [n, d_key], that it should find."""
    if not batch.queries:
        return []
    before, after = zip(*batch.queries, strict=True)
    nearest = (network.fuser.encode_query(before, after, batch.mark).key @ keys.T).argmax(dim=1)
    return [i == positive for i, positive in zip(nearest.tolist(), batch.positives, strict=True)]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _difference(differences: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Mean and its 95 % bootstrap interval."""
    drawn = np.random.default_rng(0).choice(differences, (_RESAMPLES, len(differences))).mean(axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(differences.mean()), (float(low), float(high))
