"""What a batch of adapter training is judged by: the weighted sum of the terms, and each of them for the journal."""

from __future__ import annotations

import torch
from torch import Tensor

from model.training.adapter_config import AdapterStage
from model.training.batches import AdapterBatch
from model.training.losses import (
    TokenScores,
    alignment_loss,
    mean_pairwise_cosine,
    middle_losses,
    middles_right,
    paper_alignment_loss,
    retrieval_loss,
)
from model.training.network import Network
from model.training.reinforce import Sampling, policy_loss
from model.vocabulary import Vocabulary

Measured = dict[str, float]


class Terms:
    """The terms of one stage's settings, over one network."""

    def __init__(self, config: AdapterStage, network: Network, vocabulary: Vocabulary) -> None:
        self._config, self._network, self._vocabulary = config, network, vocabulary
        self._sampling = Sampling(
            max_tokens=config.rollout_tokens,
            rows=config.rollout_rows,
            is_greedy=config.policy == "greedy",
            loss_chunk=config.loss_chunk,
        )
        self._align = alignment_loss if config.alignment == "centered" else paper_alignment_loss

    def of(self, batch: AdapterBatch, progress: float) -> tuple[Tensor, Measured]:
        """The sum that is minimized, `progress` (0 to 1) into the run, and what was measured: losses in nats, shares of
        middles that are right to the letter, mean cosine of the projected vectors."""
        config, network = self._config, self._network
        leaf_keys = parent_keys = memory = projected = None
        if batch.leaves:
            leaf_keys, parent_keys, memory, projected = network.pseudo_tokens(batch)
        vectors = network.rows(batch, projected)
        scores = network.token_scores(vectors, batch)
        loss = (scores.losses * batch.weights).sum() / batch.weights.sum()
        total = config.cross_entropy * loss
        measured = {"loss": float(loss.detach()), **by_mode(scores, batch)}
        if memory is not None and projected is not None and len(memory) > 1:
            flat = projected.flatten(0, 1)
            align = self._align(memory.flatten(0, 1), flat)
            total = total + config.align * align
            measured |= {"align": float(align.detach()), "cosine": mean_pairwise_cosine(flat.detach())}
        if config.retrieval and leaf_keys is not None and parent_keys is not None:
            found = self._retrieval(batch, leaf_keys, parent_keys)
            if found is not None:
                total = total + config.retrieval * found
                measured["retrieval"] = float(found.detach())
        if config.reinforce and progress >= 1 - config.reinforce_last:
            policy = policy_loss(network.coder, vectors, batch, self._vocabulary, self._sampling)
            if policy is not None:
                total = total + config.reinforce * policy
                measured["policy"] = float(policy.detach())
        return total, measured

    def _retrieval(self, batch: AdapterBatch, leaves: Tensor, parents: Tensor) -> Tensor | None:
        """Queries find the chunk that helps most, and the file that it is in."""
        if len(batch.queries) < 2:
            return None
        before, after = zip(*batch.queries, strict=True)
        keys = self._network.fuser.encode_query(before, after, batch.mark).key
        found = retrieval_loss(keys, leaves, torch.tensor(batch.positives, device=keys.device))
        if len(parents) > 1:
            of_groups = [i for i in batch.group_queries if i is not None]
            targets = torch.tensor(
                [g for g, i in enumerate(batch.group_queries) if i is not None], device=keys.device
            )
            if of_groups:
                found = found + retrieval_loss(keys[of_groups], parents, targets)
        return found

    @torch.no_grad()
    def utilities(self, without: AdapterBatch, with_text: AdapterBatch) -> Tensor:
        """Gain of log-likelihood per token of the middle, [B], that the context brings as text."""
        network = self._network
        network.eval()
        device = network.coder.head.device
        with torch.autocast(device.type, torch.bfloat16):
            base, given = (
                middle_losses(network.token_scores(network.rows(batch, None), batch), batch.middles)
                for batch in (without.to(device), with_text.to(device))
            )
        network.train()
        return base - given


def by_mode(scores: TokenScores, batch: AdapterBatch) -> Measured:
    """Per context mode the mean loss of the middles, and the share of them that is right to the letter."""
    losses = middle_losses(scores, batch.middles).tolist()
    right = middles_right(scores, batch.middles).tolist()
    measured: Measured = {}
    for mode in dict.fromkeys(batch.modes):
        rows = [i for i, other in enumerate(batch.modes) if other == mode]
        measured[f"loss_{mode}"] = sum(losses[i] for i in rows) / len(rows)
        if mode != "recite":
            measured[f"em_{mode}"] = sum(right[i] for i in rows) / len(rows)
    return measured
