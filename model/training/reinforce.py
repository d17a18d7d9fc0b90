"""REINFORCE on what counts in use: exact match plus edit similarity of a whole answer (LlavaCode, section 2.5).

Self-critical: the reward of the greedy answer is the baseline of a sampled one, so only answers that beat what
would be served are made likelier. Greedy: LlavaCode's paper, the greedy answer by its own reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.engines.torch.qwen2 import Qwen2
from model.evaluation.metrics import edit_similarity, exact_match
from model.training.batches import AdapterBatch
from model.training.losses import self_critical_loss
from model.training.rollout import Asked, answers, asked, cut, greedy, log_likelihoods, nucleus, text_of
from model.vocabulary import Vocabulary


@dataclass(frozen=True)
class Sampling:
    """`is_greedy`: LlavaCode's paper; else its newest code: one sample, nucleus 0.9, temperature 0.9."""

    max_tokens: int = 24
    rows: int = 2  # of a batch that are answered; 0: all
    is_greedy: bool = False
    top_p: float = 0.9
    temperature: float = 0.9
    loss_chunk: int = 1024  # see AdapterStage


def reward(text: str, target: str) -> float:
    return float(exact_match(text, target)) + edit_similarity(text, target)


def policy_loss(
    coder: Qwen2, vectors: Tensor, batch: AdapterBatch, vocabulary: Vocabulary, sampling: Sampling
) -> Tensor | None:
    """The loss over the first rows with a middle; `vectors` [B, T, hidden] are the batch's rows. None without any."""
    prompts = asked(vectors, batch, sampling.rows, vocabulary)
    if prompts is None:
        return None
    served = _answers(coder, prompts, vocabulary, sampling, sampled=False)
    baselines = _rewards(served, prompts, vocabulary, sampling)
    if sampling.is_greedy:
        written, rewards, baselines = served, baselines, torch.zeros_like(baselines)
    else:
        written = _answers(coder, prompts, vocabulary, sampling, sampled=True)
        rewards = _rewards(written, prompts, vocabulary, sampling)
    likelihoods = log_likelihoods(coder, prompts, written, sampling.loss_chunk)
    return self_critical_loss(likelihoods, rewards.to(likelihoods), baselines.to(likelihoods))


def _answers(
    coder: Qwen2, prompts: Asked, vocabulary: Vocabulary, sampling: Sampling, *, sampled: bool
) -> list[list[int]]:
    choose = nucleus(sampling.top_p, sampling.temperature) if sampled else greedy
    detached = Asked(prompts.vectors.detach(), prompts.lengths, prompts.targets)
    found = answers(coder, detached, choose, vocabulary.fim.stops, sampling.max_tokens)
    return [cut(vocabulary, ids, target) for ids, target in zip(found, prompts.targets, strict=True)]


def _rewards(
    written: Sequence[Sequence[int]], prompts: Asked, vocabulary: Vocabulary, sampling: Sampling
) -> Tensor:
    """[R]. Of a target no more is asked than could be written."""
    return torch.tensor(
        [
            reward(text_of(vocabulary, ids), text_of(vocabulary, target[: sampling.max_tokens]))
            for ids, target in zip(written, prompts.targets, strict=True)
        ]
    )
