"""The terms of adapter training, each a pure function of tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each token in nats, float32 [B, T], of logits [B, T, vocab] and targets [B, T]."""
    flat = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
    return flat.view_as(targets)


def utility_weights(utility: Tensor, tau: float = 0.25) -> Tensor:
    """Weights of samples, around 1, from the gain of log-likelihood per token that their context brings as text.

    HEF names a utility-weighted likelihood and publishes no formula; ours is 2 * sigmoid(u / tau). What harms
    (u < 0) is to be left out before: see `is_harmful`.
    """
    return 2 * torch.sigmoid(utility / tau)


def is_harmful(utility: float) -> bool:
    """Whether a context makes the target less likely than no context at all."""
    return utility < 0


def cosine_matrix(vectors: Tensor) -> Tensor:
    """[n, d] -> cosine of every pair, [n, n]."""
    unit = F.normalize(vectors.float(), dim=-1)
    return unit @ unit.T


def alignment_loss(encoded: Tensor, projected: Tensor) -> Tensor:
    """Mean squared difference of two cosine matrices, of [n, d] and [n, h] (LlavaCode, arXiv 2510.19644, 2.3).

    Keeps the projected vectors as different from each other as the encoded ones are, less what all of those share:
    our encoder is trained too, and with its mean left in, both agreed on one direction (model/LOG.md). The encoder
    is not taught by this term for the same reason.
    """
    differences = encoded.detach() - encoded.detach().mean(dim=0)
    return F.mse_loss(cosine_matrix(projected), cosine_matrix(differences))


def mean_pairwise_cosine(vectors: Tensor) -> float:
    """How far n vectors [n, d] have collapsed: 1 means that all point the same way."""
    n = len(vectors)
    return float((cosine_matrix(vectors).sum() - n) / (n * (n - 1)))


def retrieval_loss(queries: Tensor, keys: Tensor, positives: Tensor, temperature: float = 0.05) -> Tensor:
    """InfoNCE (arXiv 1807.03748): unit queries [q, d] find keys[positives] among all unit keys [n, d]."""
    return F.cross_entropy(queries @ keys.T / temperature, positives)


def self_critical_loss(log_likelihoods: Tensor, rewards: Tensor, baselines: Tensor) -> Tensor:
    """REINFORCE with the greedy answer's reward as baseline (arXiv 1612.00563); all [B].

    `log_likelihoods` are those of sampled answers, summed up to their first stop token.
    """
    return -((rewards - baselines).detach() * log_likelihoods).mean()
