"""Optimizers and the learning rate's course, shared by the training stages."""

from __future__ import annotations

import math
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


class Optimizers:
    """Muon for hidden matrices, AdamW for everything else, stepped together.

    Muon's step is scaled to AdamW's size (`match_rms_adamw`), so one learning rate fits both.
    """

    def __init__(self, model: nn.Module, lr: float, weight_decay: float, muon: bool, clip: float = 1.0) -> None:
        self._model, self._clip = model, clip
        trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        matrices = [p for n, p in trained.items() if muon and p.ndim == 2 and _is_hidden(n)]
        taken = {id(p) for p in matrices}
        rest = [p for p in trained.values() if id(p) not in taken]
        decayed = [p for p in rest if p.ndim >= 2]
        flat = [p for p in rest if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": flat, "weight_decay": 0.0}]
        self._all: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), fused=True)]
        if matrices:
            self._all.append(
                torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            )
        self._lr = lr

    def step(self, factor: float) -> float:
        """Clip, step at `factor` of the peak rate, forget the gradients. Returns the norm before clipping."""
        norm = float(nn.utils.clip_grad_norm_(self._model.parameters(), self._clip))
        for optimizer in self._all:
            for group in optimizer.param_groups:
                group["lr"] = self._lr * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return norm

    def state(self) -> list[dict[str, Any]]:
        return [optimizer.state_dict() for optimizer in self._all]

    def load(self, states: list[dict[str, Any]]) -> None:
        for optimizer, state in zip(self._all, states, strict=True):
            optimizer.load_state_dict(state)


def _is_hidden(name: str) -> bool:
    return "layers." in name and "norm" not in name
