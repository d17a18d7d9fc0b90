"""Answers that the coder writes behind rows with pseudo-tokens, many rows at a time, and how likely they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from model.engines.torch.kv_cache import KVCache
from model.engines.torch.qwen2 import Qwen2
from model.training.batches import AdapterBatch
from model.training.losses import scored
from model.vocabulary import Vocabulary

Choose = Callable[[Tensor], Tensor]  # logits [B, vocab] -> tokens [B]


def greedy(logits: Tensor) -> Tensor:
    return logits.argmax(-1)


def nucleus(top_p: float, temperature: float) -> Choose:
    """A sampler over the smallest set of tokens that holds `top_p` of the probability."""

    def choose(logits: Tensor) -> Tensor:
        chances, tokens = F.softmax(logits.float() / temperature, dim=-1).sort(descending=True)
        kept = chances * (chances.cumsum(-1) - chances < top_p)
        return tokens.gather(1, torch.multinomial(kept, 1)).squeeze(1)

    return choose


@dataclass(frozen=True, eq=False)
class Asked:
    """Rows of a batch up to their middles: `vectors` [R, T, hidden], of which `lengths` [R] are the prompt; `targets`:
    the middles' ids without the end token."""

    vectors: Tensor
    lengths: Tensor
    targets: tuple[list[int], ...]


def asked(vectors: Tensor, batch: AdapterBatch, most: int, vocabulary: Vocabulary) -> Asked | None:
    """The first `most` rows (0: all) that have a middle; `vectors` [B, T, hidden] are the batch's. None without any.

    Answers are written behind a causal prompt: not so where a row has blocks.
    """
    rows = [
        row
        for row, mode in enumerate(batch.modes)
        if mode not in ("recite", "blocks") and bool(batch.middles[row].any())
    ]
    rows = rows[: most or None]
    if not rows:
        return None
    # middles[t] says that ids[t + 1] is predicted from position t.
    lengths = batch.middles[rows].int().argmax(1) + 1
    wanted = [batch.ids[row, 1:][batch.middles[row]].tolist() for row in rows]
    targets = tuple([token for token in ids if token not in vocabulary.fim.stops] for ids in wanted)
    return Asked(vectors[rows, : int(lengths.max())], lengths, targets)


@torch.no_grad()
def answers(
    coder: Qwen2, prompts: Asked, choose: Choose, stops: frozenset[int], max_tokens: int
) -> list[list[int]]:
    """Tokens written behind each prompt, up to and including a stop token, none longer than `max_tokens`.

    All prompts lie at the beginning of their row of the cache; what is written stands behind the longest one, at the
    positions that it has in its own row.
    """
    vectors, lengths = prompts.vectors, prompts.lengths
    count, width = vectors.shape[:2]
    config = coder.config
    shape = (count, config.num_key_value_heads, width + max_tokens, config.head_dim)
    cache = KVCache(config.num_hidden_layers, shape, vectors.device, vectors.dtype)
    last = coder(vectors, cache=cache)[torch.arange(count, device=vectors.device), lengths - 1]
    own = torch.arange(width, device=vectors.device) < lengths[:, None]
    written: list[list[int]] = [[] for _ in range(count)]
    for step in range(max_tokens):
        tokens = choose(coder.logits(last))
        for answer, token in zip(written, tokens.tolist(), strict=True):
            if not answer or answer[-1] not in stops:
                answer.append(token)
        if step == max_tokens - 1 or all(answer[-1] in stops for answer in written):
            break
        seen = torch.cat([own, own.new_ones(count, step + 1)], dim=1)[:, None, None]
        rows = coder.embed(tokens)[:, None].to(vectors.dtype)
        last = coder(rows, (lengths + step)[:, None], seen, cache)[:, -1]
    return written


def log_likelihoods(coder: Qwen2, prompts: Asked, written: Sequence[Sequence[int]], chunk: int) -> Tensor:
    """Of what is written behind the prompts, summed over its tokens, [R]; differentiable. Something is in each."""
    starts = prompts.lengths.tolist()
    rows = [
        torch.cat([row[:start], coder.embed(_ids(ids[:-1], row)).to(row.dtype)])
        for row, start, ids in zip(prompts.vectors, starts, written, strict=True)
    ]
    hidden = coder(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True))
    states = [
        hidden[i, start - 1 : start - 1 + len(ids)]
        for i, (start, ids) in enumerate(zip(starts, written, strict=True))
    ]
    targets = torch.cat([_ids(ids, hidden) for ids in written])
    losses = scored(torch.cat(states), coder.head, targets, chunk).losses
    return torch.stack([-part.sum() for part in losses.split([len(ids) for ids in written])])


def cut(vocabulary: Vocabulary, written: Sequence[int], target: Sequence[int]) -> list[int]:
    """Of what was written as many lines as the target has, its stop token included: what a user is shown."""
    left = _text(vocabulary, target).count("\n")
    for n, token in enumerate(written):
        left -= _text(vocabulary, [token]).count("\n")
        if left < 0:
            return list(written[: max(n, 1)])
    return list(written)


def text_of(vocabulary: Vocabulary, ids: Sequence[int]) -> str:
    """Without control tokens."""
    return _text(vocabulary, [i for i in ids if i not in vocabulary.control_ids])


def _text(vocabulary: Vocabulary, ids: Sequence[int]) -> str:
    text: str = vocabulary.tokenizer.decode(list(ids))
    return text


def _ids(ids: Sequence[int], like: Tensor) -> Tensor:
    return torch.tensor(list(ids), dtype=torch.long, device=like.device)
