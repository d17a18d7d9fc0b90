"""Stage `pretrain`: the embedded coder from nothing, or on from a finished one (`start`), on one CPU or GPU.

The state of a run is its checkpoint: weights, optimizers, the number of the next row and the time spent. Whoever
starts the command again goes on from there.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from model.checkpoint.coder import Qwen2Config
from model.checkpoint.opening import open_checkpoint
from model.engines.torch.qwen2 import Qwen2
from model.training.block_rows import visible
from model.training.checkpoint import Journal, load_checkpoint, save_checkpoint, stop_on_signals
from model.training.config import ConfigError, from_table
from model.training.export import write_coder
from model.training.network import load_coder
from model.training.optimization import Course, Optimizers
from model.training.scaling import learn_scales, write_scales
from model.training.sequences import Mix, Sequences
from model.training.tokens import TokenFile
from model.training.workers import ALONE, Workers, run_workers
from model.vocabulary import Vocabulary

# The fields of TrainingRow for B rows: ids int64 [B, T + 1], then positions, documents, blocks and weights [B, T].
Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
Write = Callable[[Path], None]  # exports the coder into a folder


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of the stage. A run ends when either budget is spent; the learning rate falls towards that end."""

    corpus: Path
    out: Path
    start: Path | None = None  # folder of a checkpoint to go on from; the shape below is then its own
    scales: bool = False  # of `start`, which is in 4 bits, only what `scaling` says is learned
    seconds: float = 3600.0
    tokens: int = 10**12
    hidden_size: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    mlp: int = 704
    rope_theta: float = 10_000.0
    max_positions: int = 2048
    batch: int = 8
    lr: float = 3e-3
    weight_decay: float = 0.1
    muon: bool = True
    warmup: float = 0.02
    decay: float = 0.3
    checkpoint_seconds: float = 300.0
    compile: bool = True
    threads: int = 2
    workers: int = 1  # processes that share the threads and each batch
    separate: bool = True  # the documents of a row do not see each other; always so where `mix` has blocks
    loaders: int = 0  # processes that make rows ahead; 0: rows are made between steps
    peak_tflops: float = 0.0  # of the device, dense; the journal then has the share that is reached (MFU)
    seed: int = 1
    mix: dict[str, Any] = field(default_factory=dict)  # fields of sequences.Mix


class RowStream(Dataset[tuple[np.ndarray, ...]]):
    """Row number -> the fields of its TrainingRow."""

    def __init__(self, sequences: Sequences) -> None:
        self._sequences = sequences

    def __getitem__(self, number: int) -> tuple[np.ndarray, ...]:
        row = self._sequences.row(number)
        return row.ids, row.positions, row.documents, row.blocks, row.weights


class Batches:
    """Rows `first`, `first + 1`, ... in batches; each worker has its part of every batch."""

    def __init__(self, sequences: Sequences, batch: int, workers: Workers = ALONE, loaders: int = 0) -> None:
        """`batch` rows per step. `loaders`: processes that make rows ahead of a GPU (one makes about 300 a second)."""
        self._rows, self._batch, self._workers, self._loaders = RowStream(sequences), batch, workers, loaders

    def starting_at(self, row: int) -> Iterator[Batch]:
        mine = self._batch // self._workers.count
        first = row + self._workers.rank * mine
        numbers = ([*range(start, start + mine)] for start in itertools.count(first, self._batch))
        return iter(DataLoader(self._rows, batch_sampler=numbers, num_workers=self._loaders))


def run(config: PretrainConfig) -> None:
    """Train until the budget is spent; `config.out` gets checkpoint, journal and an export for serving."""
    run_workers(config.workers, train, config)


def train(workers: Workers, config: PretrainConfig) -> None:
    """One worker's part of the stage."""
    torch.set_num_threads(max(1, config.threads // workers.count))
    torch.manual_seed(config.seed)
    vocabulary = Vocabulary.load(config.corpus / "tokenizer" / "tokenizer.json")
    mix = from_table(Mix, dict(config.mix))
    batches = Batches(
        Sequences(TokenFile.load(config.corpus), vocabulary, mix), config.batch, workers, config.loaders
    )
    coder = first_coder(config, vocabulary)
    pretraining = Pretraining(config, coder, workers, _narrowed(config, coder))
    pretraining.resume()
    pretraining.go(batches, stop_on_signals())


def first_coder(config: PretrainConfig, vocabulary: Vocabulary) -> Qwen2:
    """The coder before the first step: that of `config.start`, else a fresh one.

    Raises ValueError if `config.start` has another tokenizer than the corpus: its weights would mean other tokens.
    """
    if config.start is None:
        return new_coder(config, vocabulary.tokenizer.get_vocab_size())
    theirs = Vocabulary.load(config.start / "tokenizer.json").tokenizer.get_vocab()
    if theirs != vocabulary.tokenizer.get_vocab():
        raise ValueError(f"{config.start}: its tokenizer is not that of the corpus {config.corpus}")
    return load_coder(open_checkpoint(str(config.start)), trained=True)


def _narrowed(config: PretrainConfig, coder: Qwen2) -> Write | None:
    """From now on only the scales are learned, if that is what is wanted, and how they are written."""
    if not config.scales:
        return None
    if config.start is None:
        raise ConfigError("scales: there are none to learn without `start`, a checkpoint in 4 bits")
    checkpoint = open_checkpoint(str(config.start))
    learn_scales(coder, checkpoint)
    return lambda out: write_scales(coder, checkpoint, out)


def new_coder(config: PretrainConfig, vocab_size: int) -> Qwen2:
    """A coder with fresh weights: normal 0.02, residual outputs smaller with depth (GPT-2), biases zero."""
    shape = Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.mlp,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.head_dim,
        rope_theta=config.rope_theta,
        max_position_embeddings=config.max_positions,
    )
    coder = Qwen2(shape)
    for name, parameter in coder.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.ndim == 2:
            residual = name.endswith(("o_proj.weight", "down_proj.weight"))
            nn.init.normal_(parameter, std=0.02 / (2 * config.layers) ** 0.5 if residual else 0.02)
    return coder


def flops_per_token(coder: Qwen2, length: int) -> float:
    """Of training on rows of `length` tokens: 6 per weight that multiplies (the embedding does as the output), and
    attention over half the row on average (PaLM, arXiv 2204.02311, appendix B)."""
    config = coder.config
    weights = sum(p.numel() for p in coder.parameters() if p.ndim == 2)
    return (
        6.0 * weights + 6.0 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * length
    )


class Pretraining:
    """One run: owns the coder, its optimizers and the position in the data."""

    def __init__(
        self, config: PretrainConfig, coder: Qwen2, workers: Workers = ALONE, write: Write | None = None
    ) -> None:
        """`write`: not as a coder of our own is written."""
        self._config, self._workers = config, workers
        self._write = write or (lambda out: write_coder(self.coder, config.corpus / "tokenizer", out))
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.coder = coder.to(self._device).train()
        self._optimizers = Optimizers([(self.coder, config.lr)], config.weight_decay, config.muon)
        self._loss = (
            torch.compile(self._weighted_loss, dynamic=False) if config.compile else self._weighted_loss
        )
        self._course = Course(config.warmup, config.decay)
        self._separate = config.separate or from_table(Mix, dict(config.mix)).block_share > 0
        self._step = self._tokens = self._row = 0
        self._seconds = 0.0

    @property
    def progress(self) -> float:
        return min(1.0, max(self._seconds / self._config.seconds, self._tokens / self._config.tokens))

    def resume(self) -> bool:
        """Take up the last checkpoint, if there is one."""
        state = load_checkpoint(self._config.out / "checkpoint.pt")
        if state is None:
            return False
        self.coder.load_state_dict(state["coder"])
        self._optimizers.load(state["optimizers"])
        torch.set_rng_state(state["rng"])
        self._step, self._row, self._tokens = state["step"], state["row"], state["tokens"]
        self._seconds = state["seconds"]
        return True

    def save(self) -> None:
        """Write all that `resume` needs, and the coder as it is now into `export`, file by file."""
        save_checkpoint(
            self._config.out / "checkpoint.pt",
            {
                "coder": self.coder.state_dict(),
                "optimizers": self._optimizers.state(),
                "rng": torch.get_rng_state(),
                "step": self._step,
                "row": self._row,
                "tokens": self._tokens,
                "seconds": self._seconds,
            },
        )
        export = self._config.out / "export"
        self._write(beside := export.with_suffix(".new"))
        os.makedirs(export, exist_ok=True)
        for file in beside.iterdir():
            os.replace(file, export / file.name)

    def go(self, batches: Batches, stopping: Event) -> None:
        """Train to the end of the budget or until `stopping`, saving as often as the configuration says."""
        leads = self._workers.rank == 0
        journal = Journal(self._config.out / "journal.jsonl", self._step) if leads else None
        saved = begun = time.monotonic()
        seconds = 0.0  # that the step before took, with the making of its rows
        for batch in batches.starting_at(self._row):
            loss, norm, stop = self.step(batch, seconds, stopping.is_set())
            now = time.monotonic()
            seconds, begun = now - begun, now
            if journal:
                speed = self._speed(batch[-1], seconds)
                journal.write(
                    step=self._step, tokens=self._tokens, seconds=self._seconds, loss=loss, norm=norm, **speed
                )
            if leads and now - saved > self._config.checkpoint_seconds:
                self.save()
                saved = now
            if stop or self.progress >= 1.0:
                break
        if leads:
            self.save()

    def step(self, batch: Batch, seconds: float = 0.0, stop: bool = False) -> tuple[float, float, bool]:
        """Learn from one batch, `seconds` after the last; returns its loss in nats per token, the gradient's norm and
        whether worker 0 wants to stop. All workers go by the first one's clock."""
        with self._autocast():
            loss = self._loss(*(part.to(self._device) for part in batch))
        loss.backward()
        parameters = list(self.coder.parameters())
        seconds, stops = self._workers.average(parameters, (seconds, float(stop)))
        norm = self._optimizers.step(self._course.factor(self.progress))
        self._step += 1
        self._seconds += seconds
        n_rows, length = batch[-1].shape
        self._row += n_rows * self._workers.count
        self._tokens += n_rows * length * self._workers.count
        return float(loss.detach()), norm, stops > 0

    def _speed(self, weights: Tensor, seconds: float) -> dict[str, float]:
        """Tokens per second of all workers in a step, and the share of the device's peak."""
        rate = weights.numel() * self._workers.count / seconds
        peak = self._config.peak_tflops * 1e12
        return {"rate": rate} | (
            {"mfu": rate * flops_per_token(self.coder, weights.shape[1]) / peak} if peak else {}
        )

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device.type, torch.bfloat16)

    def _weighted_loss(
        self, ids: Tensor, positions: Tensor, documents: Tensor, blocks: Tensor, weights: Tensor
    ) -> Tensor:
        apart = (positions, visible(documents, blocks)) if self._separate else ()
        hidden = self.coder(self.coder.embed(ids[:, :-1]), *apart)
        logits = self.coder.logits(hidden).float()
        losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        return (losses * weights.flatten()).sum() / weights.sum()
