"""Stage `validate`: what each kind of context is worth on repositories that nothing was trained on.

The mean loss of the middles, of the very same cursors in every mode: differences far too small for an exact match
over some hundred tasks show here. What the coder makes of useless vectors is measured beside it (robustness), and how
much of a chunk can be had from its vectors (recite: its own text behind them, against vectors of another repository).
What the coder alone makes of each language is measured on whole files (`bits.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.checkpoint.adapter import AdapterConfig, read_config
from model.checkpoint.opening import open_checkpoint
from model.engines.torch.adapter import load_fuser, load_projector
from model.families import FimOrder
from model.loading import fim_order
from model.training.batches import AdapterBatch, Batcher
from model.training.bits import bits_table, held_out_files, measure_bits, save_bits
from model.training.config import ConfigError, from_table
from model.training.contexts import ModeMix, RowBuilder, RowShape
from model.training.losses import mean_pairwise_cosine, middle_losses, middles_right
from model.training.network import Network, load_coder
from model.training.samples import RepositorySamples, read_samples
from model.training.writing import Written, write
from model.vocabulary import Vocabulary

_RESAMPLES = 1000


@dataclass(frozen=True)
class ValidateConfig:
    """Settings of the stage."""

    model: Path  # folder with coder and adapter, or with a frozen coder's adapter alone
    samples: Path  # of repositories outside the training corpus
    out: Path  # a JSON Lines file
    coder: str = (
        ""  # whose adapter lies in `model`: folder, hub id or embedded-large; empty: `model` has both
    )
    modes: tuple[str, ...] = ()  # of MIXES, with those that they are compared with; none: all
    batches: int = 40
    batch: int = 8
    chunk_tokens: int = 192
    written: int = 0  # cursors at which the coder also writes, in each mode; takes a pass for each token
    written_tokens: int = 50
    held_out: tuple[Path, ...] = ()  # archives of repositories, whose files the coder alone foresees
    held_out_files: int = 64  # of each language
    held_out_tokens: int = 1024  # of each file, at most
    threads: int = 2
    seed: int = 1
    shape: dict[str, Any] = field(default_factory=dict)  # fields of contexts.RowShape


@dataclass(frozen=True)
class ModeLoss:
    """`loss` in nats per token of the middle; `difference` to the mode's base on the same rows, with its 95 % interval.

    `cosine`: mean pairwise cosine of the projected vectors, None where the mode shows none. `found`: share of the
    queries that are nearest to the chunk that helps most, among all of the batch; None where there are none. `right`:
    share of the middles whose every token is the likeliest. `em`, `es`: of the answers written at the first cursors,
    None where nothing was written.
    """

    mode: str
    n: int
    loss: float
    difference: float
    interval: tuple[float, float]
    cosine: float | None
    found: float | None
    right: float = 0.0
    em: float | None = None
    es: float | None = None


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
    """Measure every mode; one JSON line each goes to `config.out`, and beside it to `bits.jsonl` what every language of
    `held_out` takes. Raises ConfigError where there are no samples, unless nothing but that can be measured."""
    torch.set_num_threads(config.threads)
    if config.held_out:
        write_bits(config)
        if not config.samples.exists():
            return []
    repositories = tuple(read_samples(config.samples))
    if not any(repository.samples for repository in repositories):
        raise ConfigError(f"{config.samples} has no samples: make them with the stage `samples`")
    measured = list(measure(config, repositories))
    save(measured, config.out)
    return measured


def write_bits(config: ValidateConfig) -> None:
    """Bits per byte of the coder alone by language, as JSON lines and as a table for people."""
    checkpoint = open_checkpoint(config.coder or str(config.model))
    vocabulary = Vocabulary.load(checkpoint.folder / "tokenizer.json")
    files = held_out_files(config.held_out, config.held_out_files)
    found = measure_bits(load_coder(checkpoint, False).eval(), vocabulary, files, config.held_out_tokens)
    save_bits(found, config.out.with_name("bits.jsonl"))
    print(bits_table(found))


def save(measured: Sequence[ModeLoss], file: Path) -> None:
    """One JSON line each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(asdict(m)) + "\n" for m in measured), encoding="utf-8")


def read(file: Path) -> list[ModeLoss]:
    """What `save` wrote to `file`."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [ModeLoss(**(line | {"interval": tuple(line["interval"])})) for line in lines]


@torch.no_grad()
def measure(config: ValidateConfig, repositories: Sequence[RepositorySamples]) -> Iterator[ModeLoss]:
    """The modes in the order of MIXES. Raises WeightsError when there is no coder with an adapter, ConfigError where it
    is another coder's."""
    judged = _Judged.load(config)
    shape = from_table(RowShape, dict(config.shape))
    measured: dict[str, np.ndarray] = {}
    for name in config.modes or MIXES:
        mix, base = MIXES[name]
        rows = RowBuilder(judged.vocabulary, judged.order, shape, judged.served.per_node, judged.reader)
        batcher = Batcher(repositories, rows, mix, config, shape.length, judged.vocabulary)
        found = judged.measure(batcher, config)
        measured[name] = losses = np.array(found.losses)
        difference, interval = _difference(losses - measured[base])
        yield ModeLoss(
            name,
            len(losses),
            float(losses.mean()),
            difference,
            interval,
            _mean(found.cosines),
            _mean(found.found),
            float(np.mean(found.right)),
            _mean([w.exact for w in found.written]),
            _mean([w.similarity for w in found.written]),
        )


@dataclass
class _Found:
    """Of each row its loss, and whether it is right; of the batches that have vectors, their cosine and what queries
    found; what was written."""

    losses: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Judged:
    """A coder with its adapter. `reader`: the fuser's vocabulary."""

    network: Network
    served: AdapterConfig
    vocabulary: Vocabulary
    reader: Vocabulary
    order: FimOrder

    @classmethod
    def load(cls, config: ValidateConfig) -> _Judged:
        folder = config.model
        checkpoint, served = open_checkpoint(config.coder or str(folder)), read_config(folder)
        if served.base != checkpoint.fingerprint():
            raise ConfigError(f"the adapter in {folder} is not one for {config.coder or 'the coder there'}")
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        parts = load_fuser(folder, served), load_projector(folder, served)
        network = Network(load_coder(checkpoint, False, dtype), *parts).to(device).eval()
        vocabulary = Vocabulary.load(checkpoint.folder / "tokenizer.json")
        reader = Vocabulary.load(folder / "tokenizer.json")
        return cls(network, served, vocabulary, reader, fim_order(checkpoint, vocabulary))

    def measure(self, batcher: Batcher, config: ValidateConfig) -> _Found:
        """Score the batches, and write at the first cursors."""
        network, found = self.network, _Found()
        for number in range(config.batches):
            batch = batcher.batch(number, 1.0, None).to(network.coder.head.device)
            projected = None
            if batch.leaves:
                keys, _, _, projected = network.pseudo_tokens(batch)
                found.cosines.append(mean_pairwise_cosine(projected.flatten(0, 1)))
                found.found += _found(network, batch, keys)
            vectors = network.rows(batch, projected)
            scores = network.token_scores(vectors, batch)
            found.losses += middle_losses(scores, batch.middles).tolist()
            found.right += middles_right(scores, batch.middles).tolist()
            left = config.written - number * config.batch
            if left > 0:
                found.written += write(
                    network.coder, vectors, batch, self.vocabulary, left, config.written_tokens
                )
        return found


def _found(network: Network, batch: AdapterBatch, keys: Tensor) -> list[bool]:
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
