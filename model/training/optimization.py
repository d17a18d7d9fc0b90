"""Optimizers and the learning rate's course, shared by the training stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Course:
    """Warm-up, stable, decay (WSD, arXiv 2404.06395) over the share of the budget that is spent."""

    warmup: float = 0.02
    decay: float = 0.3
    floor: float = 0.02

    def factor(self, progress: float) -> float:
        """Of the peak learning rate, at `progress` in 0..1."""
        if progress < self.warmup:
            return max(progress / self.warmup, 0.01)
        if progress <= 1 - self.decay:
            return 1.0
        left = max(0.0, (1 - progress) / self.decay)
        # 1 - sqrt falls faster at first than a line and ended lower in the WSD ablations (arXiv 2405.18392).
        return self.floor + (1 - self.floor) * (1 - math.sqrt(1 - left))


@dataclass(frozen=True)
class Cosine:
    """Warm-up, then half a cosine down to nothing."""

    warmup: float = 0.03

    def factor(self, progress: float) -> float:
        """Of the peak learning rate, at `progress` in 0..1."""
        if progress < self.warmup:
            return max(progress / self.warmup, 0.01)
        return 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))


def course_of(name: str, warmup: float, decay: float) -> Course | Cosine:
    """The course "wsd" or "cosine"; `decay` is the share of the former's fall."""
    return Cosine(warmup) if name == "cosine" else Course(warmup, decay)


class Optimizers:
    """Muon for hidden matrices, AdamW for everything else, stepped together.

    Muon's step is scaled to AdamW's size (`match_rms_adamw`), so one learning rate fits both.
    """

    def __init__(
        self, parts: Sequence[tuple[nn.Module, float]], weight_decay: float, muon: bool, clip: float = 1.0
    ) -> None:
        """`parts`: modules and their peak learning rates."""
        self._parameters: list[nn.Parameter] = []
        self._clip = clip
        matrices, groups = [], []
        for module, lr in parts:
            trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
            hidden = [p for n, p in trained.items() if muon and p.ndim == 2 and _is_hidden(n)]
            taken = {id(p) for p in hidden}
            rest = [p for p in trained.values() if id(p) not in taken]
            matrices.append({"params": hidden, "lr": lr, "peak": lr})
            groups.append({"params": [p for p in rest if p.ndim >= 2], "lr": lr, "peak": lr})
            groups.append(
                {"params": [p for p in rest if p.ndim < 2], "lr": lr, "peak": lr, "weight_decay": 0.0}
            )
            self._parameters += trained.values()
        self._all: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [g for g in groups if g["params"]], betas=(0.9, 0.95), weight_decay=weight_decay, fused=True
            )
        ]
        if any(g["params"] for g in matrices):
            matrices = [g for g in matrices if g["params"]]
            self._all.append(
                torch.optim.Muon(matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            )

    def step(self, factor: float) -> float:
        """Clip, step at `factor` of the peak rates, forget the gradients. Returns the norm before clipping."""
        norm = float(nn.utils.clip_grad_norm_(self._parameters, self._clip))
        for optimizer in self._all:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return norm

    def state(self) -> list[dict[str, Any]]:
        return [optimizer.state_dict() for optimizer in self._all]

    def load(self, states: list[dict[str, Any]]) -> None:
        """Take up saved moments; the learning rates stay those of this configuration."""
        for optimizer, state in zip(self._all, states, strict=True):
            peaks = [group["peak"] for group in optimizer.param_groups]
            optimizer.load_state_dict(state)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["peak"] = peak


def _is_hidden(name: str) -> bool:
    """Whether a matrix maps activations to activations; tables of vectors (embeddings, read-outs) and of blocks' scales
    do not."""
    return not any(part in name for part in ("embed", "readout", "lm_head", "parametrizations"))
