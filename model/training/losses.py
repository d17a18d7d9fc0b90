"""The terms of adapter training, each a pure function of tensors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class TokenScores(NamedTuple):
    """Of tokens that were to be predicted, all of one shape: `losses` in nats, float32, and whether each was the
    likeliest, bool."""

    losses: Tensor
    right: Tensor


def scored(hidden: Tensor, head: Tensor, targets: Tensor, chunk: int) -> TokenScores:
    """Final states [n, hidden], a head [vocab, hidden] and targets [n] -> the scores [n].

    Logits are computed for `chunk` places at a time and once more in the backward pass: [n, vocab] never exists.
    """
    parts = []
    for states, wanted in zip(hidden.split(chunk), targets.split(chunk), strict=True):
        if torch.is_grad_enabled():
            parts.append(
                checkpoint(_scored, states, head, wanted, use_reentrant=False, preserve_rng_state=False)
            )
        else:
            parts.append(_scored(states, head, wanted))
    if not parts:
        return TokenScores(hidden.new_zeros(0, dtype=torch.float32), targets.new_zeros(0, dtype=torch.bool))
    return TokenScores(torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts]))


def _scored(hidden: Tensor, head: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    logits = F.linear(hidden, head).float()
    return F.cross_entropy(logits, targets, reduction="none"), logits.detach().argmax(-1) == targets


def middle_losses(scores: TokenScores, middles: Tensor) -> Tensor:
    """Mean loss of each row's middle, [B], of scores and middles (bool) [B, T]."""
    return (scores.losses * middles).sum(1) / middles.sum(1).clamp(min=1)


def middles_right(scores: TokenScores, middles: Tensor) -> Tensor:
    """Of each row, bool [B], whether greedy decoding would write its middle to the letter: every token is the likeliest
    behind those before it."""
    return (scores.right | ~middles).all(1)


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


def paper_alignment_loss(encoded: Tensor, projected: Tensor) -> Tensor:
    """LlavaCode's term as its paper has it: the Frobenius norm of the difference of the two cosine matrices over the
    square root of 2, which grows with n; of [n, d] and [n, h]."""
    difference = cosine_matrix(encoded.detach()) - cosine_matrix(projected)
    norm: Tensor = torch.linalg.matrix_norm(difference)
    return norm / 2**0.5


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
