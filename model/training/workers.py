"""Processes that train together, one per core or device: each learns from its own rows, gradients are averaged.

On a shared CPU this beats threads: threads wait for each other a few hundred times per step, and one that has lost
its core for a moment holds all of them up; processes meet once per step.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn


class Workers:
    """This process's place among `count` workers; worker 0 saves and decides when to stop."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    def average(self, parameters: Sequence[nn.Parameter], notice: Sequence[float]) -> list[float]:
        """Average the gradients of these (trainable) parameters over all workers.

        `notice` of worker 0 reaches everybody and is returned.
        """
        if self.count == 1:
            return list(notice)
        # A part that this worker's batch did not use may have been used by another's.
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        mine = torch.tensor(notice) * (self.rank == 0)
        flat = torch.cat([*(g.flatten() for g in gradients), mine.to(gradients[0])])
        dist.all_reduce(flat)
        start = 0
        for gradient in gradients:
            end = start + gradient.numel()
            gradient.copy_(flat[start:end].view_as(gradient) / self.count)
            start = end
        return _floats(flat[start:])


ALONE = Workers()


def run_workers(count: int, work: Callable[[Workers, Any], None], config: Any) -> None:
    """Call `work(workers, config)` in `count` processes, the first of them this one. `work` must be importable."""
    if count == 1:
        work(Workers(), config)
        return
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("spawn")
        arguments = [(rank, count, folder, work, config) for rank in range(count)]
        others = [context.Process(target=_work, args=a, daemon=True) for a in arguments[1:]]
        for process in others:
            process.start()
        _work(*arguments[0])
        for process in others:
            process.join()


def _work(rank: int, count: int, folder: str, work: Callable[[Workers, Any], None], config: Any) -> None:
    meeting = f"file://{Path(folder) / 'meeting'}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
    try:
        work(Workers(rank, count), config)
    finally:
        dist.destroy_process_group()


def _floats(values: Tensor) -> list[float]:
    return [float(v) for v in values]
