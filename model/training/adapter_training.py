"""One run of adapter training: the network, its optimizers, and where in the samples it is."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import torch
from torch import nn

from model.checkpoint.adapter import AdapterConfig, read_config
from model.checkpoint.opening import Checkpoint, find_folder, open_checkpoint, weight_files, write_checksums
from model.engines.torch.adapter import load_fuser, load_projector, save_adapter
from model.engines.torch.fuser import Fuser
from model.engines.torch.projector import Projector
from model.engines.torch.qwen2 import Qwen2
from model.training.adapter_config import AdapterStage
from model.training.adapter_terms import Measured, Terms
from model.training.batches import AdapterBatch, Batcher, Utilities
from model.training.checkpoint import Journal, load_checkpoint, save_checkpoint
from model.training.export import write_coder
from model.training.network import Network, load_coder, new_projector, recompute
from model.training.optimization import Optimizers, course_of
from model.training.progress import Told
from model.training.workers import ALONE, Workers
from model.vocabulary import Vocabulary

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def encoder_folder(config: AdapterStage) -> Path | None:
    """Folder of the adapter whose fuser is taken over, None for a new one. Raises WeightsError."""
    if config.start:
        return config.start
    return find_folder(config.encoder) if config.encoder else None


def first_adapter(config: AdapterStage, coder: Qwen2) -> tuple[Fuser, Projector]:
    """Fuser and projector before the first step: those of `config.start`, else new ones for the coder; the fuser may be
    that of `config.encoder`.

    Raises ValueError when those of `config.start` are for a coder of another width or have other read-outs.
    """
    taken = encoder_folder(config)
    if taken is None:
        fuser = Fuser.from_coder(coder, config.fuser_layers, m=config.m, d_key=config.d_key)
        if not config.train_embedding:
            fuser.encoder.embed_tokens = coder.model.embed_tokens
        return fuser, new_projector(fuser, coder, config.projector_layers, joined=config.joined)
    served = read_config(taken)
    fuser = load_fuser(taken, served)
    if served.fuser.m != config.m:
        raise ValueError(f"{taken}: its fuser has m = {served.fuser.m}, not {config.m}")
    if config.start is None:
        return fuser, new_projector(fuser, coder, config.projector_layers, joined=config.joined)
    width = coder.config.hidden_size
    if (served.hidden_size, served.joined) != (width, config.joined):
        raise ValueError(
            f"{taken}: its adapter does not fit a coder {width} wide and joined = {config.joined}".lower()
        )
    return fuser, load_projector(taken, served)


def build_network(config: AdapterStage, checkpoint: Checkpoint) -> Network:
    """The network before the first step, on the CPU, with what is to be learned marked so."""
    coder = load_coder(checkpoint, config.train_coder, _DTYPES[config.coder_dtype])
    fuser, projector = first_adapter(config, coder)
    fuser.requires_grad_(config.train_fuser)
    fuser.encoder.embed_tokens.requires_grad_(config.train_fuser and config.train_embedding)
    projector.requires_grad_(True)
    network = Network(coder, fuser, projector, config.compile, loss_chunk=config.loss_chunk)
    if config.checkpointing:
        recompute(coder.model)
        if config.train_fuser:
            recompute(fuser.encoder)
    return network


class AdapterTraining:
    """One run: owns the network, its optimizers and the position in the samples."""

    def __init__(
        self,
        config: AdapterStage,
        checkpoint: Checkpoint,
        vocabulary: Vocabulary,
        workers: Workers = ALONE,
        last_step: int | None = None,
    ) -> None:
        """`last_step`: at which the run ends if no time does so before; None: `config.steps`."""
        self._config, self._checkpoint, self._workers = config, checkpoint, workers
        self._last_step = config.steps if last_step is None else last_step
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = build_network(config, checkpoint)
        self.network.to(self._device).train()
        rates = (("fuser", config.lr), ("projector", config.projector_lr), ("coder", config.coder_lr))
        parts: list[tuple[nn.Module, float]] = [(getattr(self.network, name), lr) for name, lr in rates]
        learning = [(m, lr) for m, lr in parts if any(p.requires_grad for p in m.parameters())]
        self._optimizers = Optimizers(learning, config.weight_decay, config.muon)
        self._course = course_of(config.course, config.warmup, config.decay)
        self._terms = Terms(config, self.network, vocabulary)
        self._step, self._seconds = 0, 0.0

    @property
    def progress(self) -> float:
        return min(1.0, max(self._seconds / self._config.seconds, self._step / self._last_step))

    def resume(self) -> bool:
        """Take up the last checkpoint, if there is one. Raises ValueError where it is one of other settings."""
        state = load_checkpoint(self._config.out / "checkpoint.pt")
        if state is None:
            return False
        learned = self.network.trained()
        if state["trained"].keys() != learned.keys():
            raise ValueError(f"{self._config.out}: its checkpoint.pt is of a run that trains other parts")
        self.network.load_state_dict(state["trained"], strict=False)
        self._optimizers.load(state["optimizers"])
        torch.set_rng_state(state["rng"])
        self._step, self._seconds = state["step"], state["seconds"]
        return True

    def save(self) -> None:
        """Write all that `resume` needs, nothing of what is frozen; the file before stays until this one is whole."""
        state = {
            "trained": {name: parameter.detach() for name, parameter in self.network.trained().items()},
            "optimizers": self._optimizers.state(),
            "rng": torch.get_rng_state(),
            "step": self._step,
            "seconds": self._seconds,
        }
        save_checkpoint(self._config.out / "checkpoint.pt", state)

    def go(self, batcher: Batcher, stopping: Event, told: Told | None = None) -> bool:
        """Train to the end of the budget or until `stopping`; returns whether the budget is spent. `told` hears of each
        step."""
        leads = self._workers.rank == 0
        journal = Journal(self._config.out / "journal.jsonl", self._step) if leads else None
        saved = begun = time.monotonic()
        stop = self.progress >= 1.0
        while not stop:
            batches = [
                batcher.batch(number, self.progress, self._utilities_of(number)) for number in self._numbers()
            ]
            now = time.monotonic()
            measured, stop = self.step(batches, now - begun, stopping.is_set())
            begun = now
            if journal:
                journal.write(step=self._step, seconds=self._seconds, **measured)
            if told:
                told(self._step, self._seconds, self.progress, measured)
            if leads and now - saved > self._config.checkpoint_seconds:
                self.save()
                saved = now
        if leads:
            self.save()
        return self.progress >= 1.0

    def _numbers(self) -> range:
        """Of this worker's batches of the next step."""
        first = (self._step * self._workers.count + self._workers.rank) * self._config.accumulate
        return range(first, first + self._config.accumulate)

    def step(
        self, batches: Sequence[AdapterBatch], seconds: float = 0.0, stop: bool = False
    ) -> tuple[Measured, bool]:
        """Learn from batches, `seconds` after the last. Returns what was measured (`Terms.of`, means) and whether the
        run ends here. All workers go by the first one's clock."""
        found: list[Measured] = []
        for batch in batches:
            with torch.autocast(self._device.type, torch.bfloat16):
                total, measured = self._terms.of(batch.to(self._device), self.progress)
            # Nothing is learned from a frozen coder whose every row has lost its context to the utility filter.
            if total.requires_grad:
                (total / len(batches)).backward()
            found.append(measured)
        trained = list(self.network.trained().values())
        seconds, stops = self._workers.average(trained, (seconds, float(stop)))
        norm = self._optimizers.step(self._course.factor(self.progress))
        self._step += 1
        self._seconds += seconds
        return _means(found) | {"norm": norm}, stops > 0 or self.progress >= 1.0

    @property
    def utilities(self) -> Utilities:
        return self._terms.utilities

    def _utilities_of(self, number: int) -> Utilities | None:
        """What weighs the contexts of this batch; None for those that are taken as they are."""
        asked = random.Random(f"{self._config.seed} utility {number}").random() < self._config.utility
        return self.utilities if asked else None

    def export(self) -> Path:
        """Write a folder that serving loads: with the coder where it was trained, else to be named as its adapter."""
        out, home = self._config.out / "export", self._checkpoint.folder
        coder, fuser, projector = self.network.coder, self.network.fuser, self.network.projector
        base = self._checkpoint.fingerprint()
        if self._config.train_coder:
            write_coder(coder, home, out)
            base = open_checkpoint(str(out)).fingerprint()
        out.mkdir(parents=True, exist_ok=True)
        if not self._config.train_coder or encoder_folder(self._config):
            read = encoder_folder(self._config) or home
            shutil.copyfile(read / "tokenizer.json", out / "tokenizer.json")
        served = AdapterConfig(
            base,
            coder.config.hidden_size,
            fuser.config,
            projector.n_layers,
            self._config.default_context,
            projector.joined,
        )
        save_adapter(out, served, fuser, projector, torch.bfloat16)
        self._keep_fuser(out)
        write_checksums(out)
        return out

    def _keep_fuser(self, out: Path) -> None:
        """A fuser that was taken over and not trained stays the same to the bit: an index that it made stays good."""
        taken = encoder_folder(self._config)
        if taken is None or self._config.train_fuser:
            return
        for file in out.glob("fuser*"):
            file.unlink()
        for file in (*weight_files(taken, "fuser"), *taken.glob("fuser.safetensors.index.json")):
            shutil.copyfile(file, out / file.name)


def _means(found: Sequence[Measured]) -> Measured:
    """Of each name the mean over the batches that have it."""
    names = dict.fromkeys(name for measured in found for name in measured)
    of = {name: [measured[name] for measured in found if name in measured] for name in names}
    return {name: sum(values) / len(values) for name, values in of.items()}
