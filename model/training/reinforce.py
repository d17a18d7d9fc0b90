"""REINFORCE on what counts in use: exact match plus edit similarity of a whole answer (LlavaCode, section 2.5).

Self-critical: the reward of the greedy answer is the baseline of a sampled one, so only answers that beat what
would be served are made likelier.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from model.engines.torch.kv_cache import KVCache
from model.engines.torch.qwen2 import Qwen2
from model.evaluation.metrics import edit_similarity, exact_match
from model.training.batches import AdapterBatch
from model.training.losses import self_critical_loss
from model.vocabulary import Vocabulary

Choose = Callable[[Tensor], int]  # logits [vocab] -> token


@dataclass(frozen=True)
class Sampling:
    """LlavaCode's newest code: one sample, nucleus 0.9, temperature 0.9."""

    max_tokens: int = 24
    top_p: float = 0.9
    temperature: float = 0.9
    rows: int = 2  # of a batch that are answered


def reward(text: str, target: str) -> float:
    return float(exact_match(text, target)) + edit_similarity(text, target)


def greedy(logits: Tensor) -> int:
    return int(logits.argmax())


def nucleus(sampling: Sampling) -> Choose:
    """A sampler over the smallest set of tokens that holds `top_p` of the probability."""

    def choose(logits: Tensor) -> int:
        chances, tokens = F.softmax(logits.float() / sampling.temperature, dim=-1).sort(descending=True)
        kept = chances * (chances.cumsum(0) - chances < sampling.top_p)
        return int(tokens[torch.multinomial(kept, 1)])

    return choose


@torch.no_grad()
def answer(coder: Qwen2, prompt: Tensor, choose: Choose, end: int, max_tokens: int) -> list[int]:
    """Tokens written behind prompt vectors [T, hidden], up to and including the end token."""
    config = coder.config
    shape = (1, config.num_key_value_heads, len(prompt) + max_tokens, config.head_dim)
    cache = KVCache(config.num_hidden_layers, shape, prompt.device, prompt.dtype)
    vectors = prompt[None]
    written: list[int] = []
    while len(written) < max_tokens and (not written or written[-1] != end):
        hidden = coder(vectors, cache=cache)
        written.append(choose(coder.logits(hidden[0, -1])))
        vectors = coder.embed(torch.tensor([[written[-1]]], device=prompt.device)).to(prompt.dtype)
    return written


def self_critical(
    coder: Qwen2, vectors: Tensor, batch: AdapterBatch, vocabulary: Vocabulary, sampling: Sampling
) -> Tensor | None:
    """The loss over the first rows with a middle; `vectors` [B, T, hidden] are the batch's rows. None without any."""
    end = vocabulary.fim.end
    likelihoods: list[Tensor] = []
    rewards: list[float] = []
    baselines: list[float] = []
    for row in range(len(vectors)):
        places = batch.middles[row].nonzero().flatten()
        # Answers are written behind a causal prompt: not so where it has blocks.
        if len(likelihoods) == sampling.rows or batch.modes[row] in ("recite", "blocks") or not len(places):
            continue
        # middles[t] says that ids[t + 1] is predicted from position t.
        prompt = vectors[row, : int(places[0]) + 1]
        target = _text(vocabulary, batch.ids[row, places + 1].tolist())
        sampled = answer(coder, prompt.detach(), nucleus(sampling), end, sampling.max_tokens)
        served = answer(coder, prompt.detach(), greedy, end, sampling.max_tokens)
        likelihoods.append(log_likelihood(coder, prompt, sampled))
        rewards.append(reward(_text(vocabulary, sampled), target))
        baselines.append(reward(_text(vocabulary, served), target))
    if not likelihoods:
        return None
    device = vectors.device
    return self_critical_loss(
        torch.stack(likelihoods), torch.tensor(rewards, device=device), torch.tensor(baselines, device=device)
    )


def log_likelihood(coder: Qwen2, prompt: Tensor, written: list[int]) -> Tensor:
    """Of the tokens behind prompt vectors [T, hidden], summed; differentiable."""
    ids = torch.tensor(written, device=prompt.device)
    rows = torch.cat([prompt, coder.embed(ids[:-1]).to(prompt.dtype)])[None]
    logits = coder.logits(coder(rows)[0, len(prompt) - 1 :])
    return -F.cross_entropy(logits.float(), ids, reduction="sum")


def _text(vocabulary: Vocabulary, ids: list[int]) -> str:
    text: str = vocabulary.tokenizer.decode([i for i in ids if i not in vocabulary.control_ids])
    return text
