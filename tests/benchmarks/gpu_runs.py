"""What the runs that a GPU is wanted for compute: the benchmark, an evaluation, the training of an adapter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from model.checkpoint.coder import Qwen2Config
from model.evaluation.metrics import MAX_TOKENS
from model.reading import ON_CUDA
from tests.benchmarks.gpu_arithmetic import FORWARD, FROZEN_BACK, NUMBER_BYTES, TRAINED, Card, Shapes, Work
from tests.benchmarks.gpu_subjects import FULL, Sizes

MODES = ("none", "snippets", "pseudo", "hybrid", "blocks")
# Of RepoEval and CrossCodeEval, as the LOG counts them.
TASKS = {"line": 800, "api": 800, "crossfile": 425, "function": 213}
NOT_COUNTED_ROUNDS = 2  # of `in_turns`: to get ready, to be captured
_PEER_ROUNDS, _PEER_WAYS, _OUR_WAYS, _SPANS, _TREE_WIDTHS = 3, 2, 3, 4, 7
# Hugging Face's config.json of Qwen/Qwen3-Embedding-0.6B.
QWEN3_EMBEDDING = Qwen2Config(
    vocab_size=151_669,
    hidden_size=1024,
    intermediate_size=3072,
    num_hidden_layers=28,
    num_attention_heads=16,
    num_key_value_heads=8,
    head_dim=128,
    rope_theta=1e6,
)


def benchmark_work(coder: Shapes, sizes: Sizes = FULL) -> Iterator[Work]:
    """Of `tests.benchmarks.gpu` with one coder: its prompts, its tokens, its passes of every width."""
    ours, theirs = sizes.rounds + NOT_COUNTED_ROUNDS, min(_PEER_ROUNDS, sizes.rounds) + NOT_COUNTED_ROUNDS
    compressed = [n for pair in sizes.compressions for n in pair]
    for n in (*sizes.prompts, *compressed):
        yield coder.first_token(n) * (ours + theirs)
    prompt = coder.first_token(sizes.line_prompt)
    yield (prompt + coder.written(sizes.steps, sizes.line_prompt)) * (_OUR_WAYS * ours)
    yield (prompt * 2 + coder.written(sizes.steps + 2, sizes.line_prompt)) * (_PEER_WAYS * theirs)
    for n in compressed:
        yield (coder.first_token(n) + coder.written(sizes.line, n)) * ours
    yield coder.token(sizes.line_prompt) * (sizes.steps * ours * (_SPANS * _TREE_WIDTHS + 2))
    yield coder.forward(512, sizes.line_prompt) * (sizes.steps * ours * _SPANS)


def evaluation_work(coder: Shapes) -> Iterator[Work]:
    """All tasks in all modes, at most: the longest prompts, the longest answers, no draft, no recall."""
    prompt = ON_CUDA.context_tokens
    for kind, n in TASKS.items():
        yield (coder.first_token(prompt) + coder.written(MAX_TOKENS[kind], prompt)) * (n * len(MODES))


@dataclass(frozen=True)
class AdapterRun:
    """`rows` of `row_tokens`, of which `answer_tokens` are learned, `together` at a time. Each brings `chunks` of
    `chunk_tokens` to an encoder: `encoder`, which is frozen, or as many of the coder's layers as `trained_layers`,
    which learn; neither: one that is too small to count. `rollout_tokens` are written for each row and learned from in
    a pass of their own."""

    rows: int
    row_tokens: int
    answer_tokens: int
    together: int
    chunks: int
    chunk_tokens: int
    encoder: Qwen2Config | None = None
    trained_layers: int = 0
    rollout_tokens: int = 0

    def seconds(self, coder: Shapes, card: Card) -> float:
        """Operations at the share of training, then the rollouts' bytes: they wait for each other."""
        learned = coder.forward(self.row_tokens, n_logits=self.answer_tokens) * _PASSES
        written = Work()
        if self.rollout_tokens:
            with_rollout = self.row_tokens + self.rollout_tokens
            learned += coder.forward(with_rollout, n_logits=self.rollout_tokens) * _PASSES
            learned += coder.first_token(self.row_tokens)
            written = Work(n_bytes=self.rollout_tokens * NUMBER_BYTES * coder.n_weights / self.together)
        operations = Work((learned + self._encoded(coder)).operations)
        return self.rows * (operations.seconds(card, TRAINED) + written.seconds(card))

    def _encoded(self, coder: Shapes) -> Work:
        if self.encoder:
            return Shapes(self.encoder).forward(self.chunk_tokens, n_logits=0) * self.chunks
        if not self.trained_layers:
            return Work()
        fuser = Shapes(replace(coder.config, num_hidden_layers=self.trained_layers))
        return fuser.forward(self.chunk_tokens, n_logits=0) * (self.chunks * _TRAINED_PASSES)


# Forward, once more for what checkpointing did not keep, and back; of what learns, back is twice as dear.
_PASSES = (2 * FORWARD + FROZEN_BACK) / FORWARD
_TRAINED_PASSES = 3
# `llavacode.toml`: 3 epochs of 150,000 samples, 6 rows at a time, an answer to every row; its encoder is the package's
# fuser. And with the paper's encoder.
LLAVACODE = AdapterRun(450_000, 2010, 100, 6, chunks=10, chunk_tokens=512, rollout_tokens=50)
AS_PUBLISHED = replace(LLAVACODE, encoder=QWEN3_EMBEDDING)
# `frozen.toml`, rollouts left out, which are few; the rows are a round number: as many as the time allows.
FROZEN = AdapterRun(10_000, 1024, 96, 4, chunks=8, chunk_tokens=192, trained_layers=3)
