"""Stage `adapter`: fuser, projector and (unless frozen) coder learn to work together on retrieved contexts.

One step: draw samples and context modes; drop contexts that harm (utility); let the fuser encode the retrieved
chunks and fuse file nodes; put the projected memories into the rows; learn from cross-entropy, the alignment of
cosine matrices (LlavaCode) and the retrieval of the chunk that helps most. With repositories left out it ends with
what the adapter is worth on them, and with what to write into the settings.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch

from model.checkpoint.opening import Checkpoint, open_checkpoint
from model.loading import fim_order
from model.training.adapter_config import AdapterStage, check_modes
from model.training.adapter_training import AdapterTraining, encoder_folder
from model.training.batches import Batcher
from model.training.checkpoint import stop_on_signals
from model.training.config import ConfigError, from_table
from model.training.contexts import ModeMix, RowBuilder, RowShape
from model.training.planning import plan
from model.training.progress import ProgressLine
from model.training.samples import RepositorySamples, divide, read_samples
from model.training.verdict import conclude
from model.training.workers import Workers, run_workers
from model.vocabulary import Vocabulary

__all__ = ["AdapterStage", "AdapterTraining", "plan", "run"]


def run(config: AdapterStage) -> None:
    """Train until the budget is spent, then export coder and adapter to `config.out / "export"`. Raises ConfigError."""
    run_workers(config.workers, train, config)


def train(workers: Workers, config: AdapterStage) -> None:
    """One worker's part of the stage."""
    torch.set_num_threads(max(1, config.threads // workers.count))
    torch.manual_seed(config.seed)
    given = prepare(config)
    n_samples = sum(len(repository.samples) for repository in given.learned)
    last_step = config.steps_for(n_samples)
    training = AdapterTraining(config, given.checkpoint, given.vocabulary, workers, last_step)
    training.resume()
    leads = workers.rank == 0
    finished = training.go(given.batcher, stop_on_signals(), ProgressLine() if leads else None)
    if not leads:
        return
    if not finished:
        print(f"stopped; the same command goes on from {config.out / 'checkpoint.pt'}", file=sys.stderr)
        return
    exported = training.export()
    if given.left_out:
        conclude(config, exported, given.left_out)


@dataclass(frozen=True, eq=False)
class Given:
    """What a run starts from. `left_out`: repositories that nothing is learned from."""

    checkpoint: Checkpoint
    vocabulary: Vocabulary
    learned: tuple[RepositorySamples, ...]
    left_out: tuple[RepositorySamples, ...]
    batcher: Batcher


def prepare(config: AdapterStage) -> Given:
    """Open the coder and read the samples. Raises ConfigError and WeightsError."""
    checkpoint = open_checkpoint(config.coder)
    vocabulary = Vocabulary.load(checkpoint.folder / "tokenizer.json")
    modes, shape = from_table(ModeMix, dict(config.modes)), from_table(RowShape, dict(config.shape))
    check_modes(config, modes)
    repositories = tuple(read_samples(config.samples)) if config.samples.is_dir() else ()
    if not any(repository.samples for repository in repositories):
        raise ConfigError(
            f"{config.samples} has no samples: make them with the stage `samples`, or name --repositories"
        )
    learned, left_out = divide(repositories, config.left_out, config.seed)
    taken = encoder_folder(config)
    reader = Vocabulary.load(taken / "tokenizer.json") if taken else vocabulary
    per_node = 1 if config.joined else config.m
    rows = RowBuilder(vocabulary, fim_order(checkpoint, vocabulary), shape, per_node, reader)
    batcher = Batcher(learned, rows, modes, config, shape.length, vocabulary)
    return Given(checkpoint, vocabulary, learned, left_out, batcher)
