"""Stage `adapter`: fuser, projector and (unless frozen) coder learn to work together on retrieved contexts.

One step: draw samples and context modes; drop contexts that harm (utility); let the fuser encode the retrieved
chunks and fuse file nodes; put the projected memories into the rows; learn from cross-entropy, the alignment of
cosine matrices (LlavaCode) and the retrieval of the chunk that helps most.
"""

from __future__ import annotations

import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import Tensor, nn

from model.checkpoint.adapter import AdapterConfig, read_config
from model.checkpoint.opening import open_checkpoint, write_checksums
from model.engines.torch.adapter import load_fuser, load_projector, save_adapter
from model.engines.torch.fuser import Fuser
from model.engines.torch.projector import Projector
from model.engines.torch.qwen2 import Qwen2
from model.loading import fim_order
from model.training import losses
from model.training.batches import AdapterBatch, Batcher, Utilities
from model.training.checkpoint import Journal, load_checkpoint, save_checkpoint, stop_on_signals
from model.training.config import from_table
from model.training.contexts import ModeMix, RowBuilder, RowShape
from model.training.export import write_coder
from model.training.network import Network, load_coder, new_projector
from model.training.optimization import Course, Optimizers
from model.training.reinforce import Sampling, self_critical
from model.training.samples import read_samples
from model.training.workers import ALONE, Workers, run_workers
from model.vocabulary import Vocabulary


@dataclass(frozen=True)
class AdapterStage:
    """Settings of the stage."""

    coder: Path  # folder of a checkpoint
    samples: Path
    out: Path
    start: Path | None = None  # folder of an adapter to go on from; its fuser and projector keep their shapes
    seconds: float = 1800.0
    steps: int = 10**9
    batch: int = 12
    train_coder: bool = True  # False for a foreign checkpoint
    fuser_layers: int = 3
    m: int = 8
    d_key: int = 256
    projector_layers: int = 3
    chunk_tokens: int = 192
    coder_lr: float = 8e-4
    lr: float = 1e-3  # of the fuser
    projector_lr: float = 4e-4
    weight_decay: float = 0.05
    muon: bool = True
    warmup: float = 0.03
    decay: float = 0.5
    align: float = 3.0  # of a mean square; below 1 the projected vectors collapsed within ten steps (LOG.md)
    retrieval: float = 0.2
    reinforce: float = 0.0  # weight of the policy term, over the last `reinforce_last` of the budget
    reinforce_last: float = 0.1
    utility: float = 0.25  # share of the batches whose contexts are weighed by their utility
    default_context: str = "hybrid"
    checkpoint_seconds: float = 240.0
    compile: bool = True
    threads: int = 2
    workers: int = 1  # processes that share the threads; `batch` is each one's
    seed: int = 1
    shape: dict[str, Any] = field(default_factory=dict)  # fields of contexts.RowShape
    modes: dict[str, Any] = field(default_factory=dict)  # fields of contexts.ModeMix


def run(config: AdapterStage) -> None:
    """Train until the budget is spent, then export coder and adapter to `config.out / "export"`."""
    run_workers(config.workers, train, config)


def train(workers: Workers, config: AdapterStage) -> None:
    """One worker's part of the stage."""
    torch.set_num_threads(max(1, config.threads // workers.count))
    torch.manual_seed(config.seed)
    vocabulary = Vocabulary.load(config.coder / "tokenizer.json")
    checkpoint = open_checkpoint(str(config.coder))
    shape = from_table(RowShape, dict(config.shape))
    rows = RowBuilder(vocabulary, fim_order(checkpoint, vocabulary), shape, config.m)
    repositories = tuple(read_samples(config.samples))
    modes = from_table(ModeMix, dict(config.modes))
    batcher = Batcher(repositories, rows, modes, config, shape.length, vocabulary)
    training = AdapterTraining(config, load_coder(config.coder, config.train_coder), vocabulary, workers)
    training.resume()
    training.go(batcher, stop_on_signals())
    if workers.rank == 0:
        training.export()


def first_adapter(config: AdapterStage, coder: Qwen2) -> tuple[Fuser, Projector]:
    """Fuser and projector before the first step: those of `config.start`, else new ones for the coder.

    Raises ValueError when those of `config.start` are for a coder of another width or have other read-outs.
    """
    if config.start is None:
        fuser = Fuser.from_coder(coder, config.fuser_layers, m=config.m, d_key=config.d_key)
        return fuser, new_projector(fuser, coder, config.projector_layers)
    served = read_config(config.start)
    fuser, projector = load_fuser(config.start, served), load_projector(config.start, served)
    if (served.hidden_size, fuser.config.m) != (coder.config.hidden_size, config.m):
        wanted = f"a coder {coder.config.hidden_size} wide and m = {config.m}"
        raise ValueError(f"{config.start}: its adapter does not fit {wanted}")
    return fuser.requires_grad_(True), projector.requires_grad_(True)


class AdapterTraining:
    """One run: owns the network, its optimizers and the position in the samples."""

    def __init__(
        self, config: AdapterStage, coder: Qwen2, vocabulary: Vocabulary, workers: Workers = ALONE
    ) -> None:
        self._config, self._vocabulary, self._workers = config, vocabulary, workers
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = Network(coder, *first_adapter(config, coder), config.compile)
        self.network.to(self._device).train()
        parts: list[tuple[nn.Module, float]] = [(self.network.fuser, config.lr)]
        parts.append((self.network.projector, config.projector_lr))
        if config.train_coder:
            parts.append((self.network.coder, config.coder_lr))
        self._optimizers = Optimizers(parts, config.weight_decay, config.muon)
        self._course = Course(config.warmup, config.decay)
        self._step, self._seconds = 0, 0.0

    @property
    def progress(self) -> float:
        return min(1.0, max(self._seconds / self._config.seconds, self._step / self._config.steps))

    def resume(self) -> bool:
        """Take up the last checkpoint, if there is one."""
        state = load_checkpoint(self._config.out / "checkpoint.pt")
        if state is None:
            return False
        self.network.load_state_dict(state["network"])
        self._optimizers.load(state["optimizers"])
        torch.set_rng_state(state["rng"])
        self._step, self._seconds = state["step"], state["seconds"]
        return True

    def save(self) -> None:
        """Write all that `resume` needs; the file before stays until this one is whole."""
        state = {
            "network": self.network.state_dict(),
            "optimizers": self._optimizers.state(),
            "rng": torch.get_rng_state(),
            "step": self._step,
            "seconds": self._seconds,
        }
        save_checkpoint(self._config.out / "checkpoint.pt", state)

    def go(self, batcher: Batcher, stopping: Event) -> None:
        """Train to the end of the budget or until `stopping`."""
        leads = self._workers.rank == 0
        journal = Journal(self._config.out / "journal.jsonl", self._step) if leads else None
        saved = begun = time.monotonic()
        stop = self.progress >= 1.0
        while not stop:
            number = self._step * self._workers.count + self._workers.rank
            batch = batcher.batch(number, self.progress, self._utilities_of(number))
            now = time.monotonic()
            measured, stop = self.step(batch, now - begun, stopping.is_set())
            begun = now
            if journal:
                journal.write(step=self._step, seconds=self._seconds, **measured)
            if leads and now - saved > self._config.checkpoint_seconds:
                self.save()
                saved = now
        if leads:
            self.save()

    def step(
        self, batch: AdapterBatch, seconds: float = 0.0, stop: bool = False
    ) -> tuple[dict[str, float], bool]:
        """Learn from one batch, `seconds` after the last. Returns what was measured (losses in nats, mean cosine of
        projected vectors) and whether the run ends here. All workers go by the first one's clock."""
        batch = batch.to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16):
            total, measured = self.losses(batch)
        if (
            total.requires_grad
        ):  # not so for a frozen coder whose every row has lost its context to the utility filter
            total.backward()
        trained = [p for p in self.network.parameters() if p.requires_grad]
        seconds, stops = self._workers.average(trained, (seconds, float(stop)))
        norm = self._optimizers.step(self._course.factor(self.progress))
        self._step += 1
        self._seconds += seconds
        return measured | {"norm": norm}, stops > 0 or self.progress >= 1.0

    def _utilities_of(self, number: int) -> Utilities | None:
        """What weighs the contexts of this batch; None for those that are taken as they are."""
        asked = random.Random(f"{self._config.seed} utility {number}").random() < self._config.utility
        return self.utilities if asked else None

    def losses(self, batch: AdapterBatch) -> tuple[Tensor, dict[str, float]]:
        """The weighted sum of the terms, and each of them."""
        leaf_keys = parent_keys = memory = projected = None
        if batch.leaves:
            leaf_keys, parent_keys, memory, projected = self.network.pseudo_tokens(batch)
        vectors = self.network.rows(batch, projected)
        tokens = self.network.token_losses(vectors, batch)
        total = (tokens * batch.weights).sum() / batch.weights.sum()
        measured = {"loss": float(total.detach()), **mode_losses(tokens.detach(), batch)}
        if memory is not None and projected is not None and len(memory) > 1:
            flat = projected.flatten(0, 1)
            align = losses.alignment_loss(memory.flatten(0, 1), flat)
            total = total + self._config.align * align
            measured |= {"align": float(align.detach()), "cosine": losses.mean_pairwise_cosine(flat.detach())}
        if leaf_keys is not None and parent_keys is not None:
            found = self._retrieval(batch, leaf_keys, parent_keys)
            if found is not None:
                total = total + self._config.retrieval * found
                measured["retrieval"] = float(found.detach())
        if self._config.reinforce and self.progress >= 1 - self._config.reinforce_last:
            policy = self_critical(self.network.coder, vectors, batch, self._vocabulary, Sampling())
            if policy is not None:
                total = total + self._config.reinforce * policy
                measured["policy"] = float(policy.detach())
        return total, measured

    def _retrieval(self, batch: AdapterBatch, leaves: Tensor, parents: Tensor) -> Tensor | None:
        """Queries find the chunk that helps most, and the file that it is in."""
        if len(batch.queries) < 2:
            return None
        before, after = zip(*batch.queries, strict=True)
        keys = self.network.fuser.encode_query(before, after, batch.mark).key
        found = losses.retrieval_loss(keys, leaves, torch.tensor(batch.positives, device=keys.device))
        if len(parents) > 1:
            of_groups = [i for i in batch.group_queries if i is not None]
            targets = torch.tensor(
                [g for g, i in enumerate(batch.group_queries) if i is not None], device=keys.device
            )
            if of_groups:
                found = found + losses.retrieval_loss(keys[of_groups], parents, targets)
        return found

    @torch.no_grad()
    def utilities(self, without: AdapterBatch, with_text: AdapterBatch) -> Tensor:
        """Gain of log-likelihood per token of the middle, [B], that the context brings as text."""
        self.network.eval()
        with torch.autocast(self._device.type, torch.bfloat16):
            base, given = (
                middle_losses(self.network.token_losses(self.network.rows(batch, None), batch), batch)
                for batch in (without.to(self._device), with_text.to(self._device))
            )
        self.network.train()
        return base - given

    def export(self) -> Path:
        """Write a folder that `model.weights.load_model` serves."""
        out = self._config.out / "export"
        coder, fuser, projector = self.network.coder, self.network.fuser, self.network.projector
        if self._config.train_coder:
            write_coder(coder, self._config.coder, out)
            base = open_checkpoint(str(out)).fingerprint()
        else:
            out.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._config.coder / "tokenizer.json", out / "tokenizer.json")
            base = open_checkpoint(str(self._config.coder)).fingerprint()
        served = AdapterConfig(
            base, coder.config.hidden_size, fuser.config, projector.n_layers, self._config.default_context
        )
        save_adapter(out, served, fuser.to(torch.bfloat16), projector.to(torch.bfloat16))
        write_checksums(out)
        self.network.float()
        return out


def middle_losses(tokens: Tensor, batch: AdapterBatch) -> Tensor:
    """Mean loss of each row's middle, [B]."""
    mask = batch.middles.to(tokens.device)
    return (tokens * mask).sum(1) / mask.sum(1).clamp(min=1)


def mode_losses(tokens: Tensor, batch: AdapterBatch) -> dict[str, float]:
    """Mean loss of the middles per context mode."""
    per_row = middle_losses(tokens, batch).tolist()
    found: dict[str, list[float]] = {}
    for mode, value in zip(batch.modes, per_row, strict=True):
        found.setdefault(mode, []).append(value)
    return {f"loss_{mode}": sum(values) / len(values) for mode, values in found.items()}
