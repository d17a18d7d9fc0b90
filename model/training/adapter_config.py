"""Settings of stage `adapter`, and what follows from them and from the samples."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.training.config import ConfigError
from model.training.contexts import ModeMix

COURSES = ("wsd", "cosine")
ALIGNMENTS = ("centered", "paper")
POLICIES = ("self-critical", "greedy")
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class AdapterStage:
    """Settings of the stage. A run ends when one of `seconds`, `steps` and `epochs` is spent."""

    coder: str  # folder of a checkpoint, hub id, or "embedded-tiny", "embedded-large"
    samples: Path
    out: Path
    start: Path | None = None  # folder of an adapter to go on from; its fuser and projector keep their shapes
    encoder: str = ""  # whose fuser reads chunks: folder of an adapter, or "embedded-tiny"; empty: a new one
    seconds: float = 1800.0
    steps: int = 10**9
    epochs: float = 0.0  # times that each sample is seen; 0: as often as there is time
    batch: int = 12  # rows that go through the network at once
    accumulate: int = 1  # such batches per step of the optimizer
    train_coder: bool = True  # False for a foreign checkpoint
    train_fuser: bool = True
    train_embedding: bool = True  # of the fuser; False: a new fuser shares the coder's
    coder_dtype: str = "float32"  # of a frozen coder's weights
    checkpointing: bool = (
        False  # activations are computed again in the backward pass: a third more time, few bytes
    )
    loss_chunk: int = 1024  # positions whose logits exist at once
    fuser_layers: int = 3
    m: int = 8
    d_key: int = 256
    joined: bool = False  # a node is one pseudo-token instead of m
    projector_layers: int = 3
    chunk_tokens: int = 192
    coder_lr: float = 8e-4
    lr: float = 1e-3  # of the fuser
    projector_lr: float = 4e-4
    weight_decay: float = 0.05
    muon: bool = True
    course: str = "wsd"
    warmup: float = 0.03
    decay: float = 0.5  # of "wsd"
    cross_entropy: float = 1.0
    align: float = 3.0  # of a mean square; below 1 the projected vectors collapsed within ten steps (LOG.md)
    alignment: str = (
        "centered"  # "paper": LlavaCode's norm of the difference, with the encoder's mean left in
    )
    retrieval: float = 0.2
    reinforce: float = 0.0  # weight of the policy term, over the last `reinforce_last` of the budget
    reinforce_last: float = 0.1
    policy: str = (
        "self-critical"  # "greedy": LlavaCode's, the reward of what would be served, with no baseline
    )
    rollout_tokens: int = 24
    rollout_rows: int = 2  # of a batch that are answered; 0: all
    utility: float = 0.25  # share of the batches whose contexts are weighed by their utility
    default_context: str = "hybrid"
    left_out: float = 0.0  # share of the repositories that are not trained on: the run ends with their losses
    validate_batches: int = 20
    checkpoint_seconds: float = 240.0
    compile: bool = True
    threads: int = 2
    workers: int = 1  # processes that share the threads; `batch` is each one's
    seed: int = 1
    shape: dict[str, Any] = field(default_factory=dict)  # fields of contexts.RowShape
    modes: dict[str, Any] = field(default_factory=dict)  # fields of contexts.ModeMix

    def __post_init__(self) -> None:
        """Raises ConfigError on values that exclude each other."""
        for name, known in (
            ("course", COURSES),
            ("alignment", ALIGNMENTS),
            ("policy", POLICIES),
            ("coder_dtype", DTYPES),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is one of {', '.join(known)}, not {getattr(self, name)!r:.40}")
        if self.start and self.encoder:
            raise ConfigError("start has an encoder already: set one of start and encoder")
        if self.train_coder and self.coder_dtype != "float32":
            raise ConfigError("a coder that is trained is kept in float32: coder_dtype is for a frozen one")

    @property
    def rows_per_step(self) -> int:
        return self.batch * self.accumulate * self.workers

    def steps_for(self, n_samples: int) -> int:
        """Steps at which the run ends, if `seconds` does not end it before."""
        wanted = math.ceil(self.epochs * n_samples / self.rows_per_step) if self.epochs else self.steps
        return min(self.steps, wanted)


def check_modes(config: AdapterStage, modes: ModeMix) -> None:
    """Raises ConfigError where rows would be computed from which nothing is learned: those of a frozen coder without
    pseudo-tokens."""
    idle = [name for name in ("none", "snippets", "blocks") if getattr(modes, name)]
    if not config.train_coder and idle:
        raise ConfigError(
            f"a frozen coder learns nothing from rows of {', '.join(idle)}: set their shares in [modes] to 0"
        )
