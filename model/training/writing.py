"""What a coder writes at the cursors of a batch, beside what stands there."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from model.engines.torch.qwen2 import Qwen2
from model.evaluation.metrics import edit_similarity, exact_match
from model.training.batches import AdapterBatch
from model.training.rollout import answers, asked, cut, greedy, text_of
from model.vocabulary import Vocabulary


@dataclass(frozen=True)
class Written:
    """`text` was written, cut to as many lines as the target has."""

    text: str
    target: str

    @property
    def exact(self) -> bool:
        return exact_match(self.text, self.target)

    @property
    def similarity(self) -> float:
        return edit_similarity(self.text, self.target)


def write(
    coder: Qwen2, vectors: Tensor, batch: AdapterBatch, vocabulary: Vocabulary, most: int, max_tokens: int
) -> list[Written]:
    """Greedily, at the first `most` rows with a middle that does not look at blocks; `vectors` [B, T, hidden]."""
    prompts = asked(vectors, batch, most, vocabulary)
    if prompts is None:
        return []
    found = answers(coder, prompts, greedy, vocabulary.fim.stops, max_tokens)
    return [
        Written(text_of(vocabulary, cut(vocabulary, ids, target)), text_of(vocabulary, target[:max_tokens]))
        for ids, target in zip(found, prompts.targets, strict=True)
    ]
