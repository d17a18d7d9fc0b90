"""What a GPU's data sheet and a coder's shapes say of a time: operations and bytes, and the share of each that is used.

Nothing here is measured. `PUBLISHED_MS` are figures of a paper, which the shares are held against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from model.checkpoint.coder import Qwen2Config, coder_shapes, n_values

NUMBER_BYTES = 2  # bfloat16
COMPUTED, READ, TRAINED = 0.5, 0.7, 0.4  # share of the peak: of operations in a prompt, of bytes, in training
# An operation is a multiplication or an addition: two for each weight that a token goes through.
FORWARD, FROZEN_BACK = 2, 2  # no gradients of frozen weights: back costs as much as forward


@dataclass(frozen=True)
class Card:
    """`operations_per_s`: dense bfloat16 with sums in float32; `bytes_per_s` and `n_bytes` of its memory."""

    name: str
    operations_per_s: float
    bytes_per_s: float
    n_bytes: float


# NVIDIA's "Ada GPU architecture" (appendix A), the data sheets of H100 SXM5 and of A100 80GB SXM.
RTX_4090 = Card("RTX 4090", 165.2e12, 1008e9, 24 * 2**30)
H100 = Card("H100 SXM", 989.4e12, 3350e9, 80e9)
A100 = Card("A100 SXM", 312e12, 2039e9, 80e9)
CARDS = (RTX_4090, H100)

# LlavaCode, tables 5 and 6: ms to the first token on an A100 by coder and prompt, of transformers and of vLLM.
PUBLISHED_MS: Mapping[tuple[str, int], tuple[float, float]] = {
    ("1.5B", 2500): (198.2, 74.7), ("1.5B", 2010): (156.6, 68.2),
    ("1.5B", 2000): (157.4, 65.3), ("1.5B", 1510): (113.4, 58.4),
    ("1.5B", 1500): (112.2, 58.9), ("1.5B", 1010): (69.7, 50.3),
    ("7B", 2500): (668.6, 198.3), ("7B", 2010): (541.1, 166.5),
    ("7B", 2000): (540.0, 179.0), ("7B", 1510): (406.8, 134.0),
    ("7B", 1500): (406.4, 138.0), ("7B", 1010): (282.2, 112.4),
    ("14B", 2500): (822.8, 349.8), ("14B", 2010): (661.3, 291.7),
    ("14B", 2000): (662.2, 291.5), ("14B", 1510): (496.3, 232.9),
    ("14B", 1500): (495.6, 238.2), ("14B", 1010): (339.6, 174.6),
}  # fmt: skip


@dataclass(frozen=True)
class Work:
    """Operations and bytes, which add up."""

    operations: float = 0.0
    n_bytes: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.operations + other.operations, self.n_bytes + other.n_bytes)

    def __mul__(self, times: float) -> Work:
        return Work(times * self.operations, times * self.n_bytes)

    def seconds(self, card: Card, computed: float = COMPUTED) -> float:
        """Where operations and bytes do not wait for each other: the longer of the two."""
        reading = self.n_bytes / (READ * card.bytes_per_s)
        return max(self.operations / (computed * card.operations_per_s), reading)


@dataclass(frozen=True)
class Shapes:
    """A coder by its shapes. The table counts where it is the head: looking a row up is no operation."""

    config: Qwen2Config

    @property
    def n_weights(self) -> int:
        return n_values(coder_shapes(self.config))

    @property
    def head(self) -> int:
        return self.config.vocab_size * self.config.hidden_size

    @property
    def body(self) -> int:
        return self.n_weights - self.head * (1 if self.config.tie_word_embeddings else 2)

    @property
    def row_bytes(self) -> int:
        """Keys and values of one position."""
        return 2 * self.config.num_hidden_layers * self.config.kv_size * NUMBER_BYTES

    def forward(self, n: int, past: int = 0, n_logits: int = 1) -> Work:
        """One pass over `n` rows behind `past` others; logits of the last `n_logits`."""
        seen = n * past + n * (n + 1) / 2
        attention = 2 * FORWARD * self.config.num_hidden_layers * self.config.query_size * seen
        operations = FORWARD * (self.body * n + self.head * n_logits) + attention
        return Work(operations, NUMBER_BYTES * (self.body + self.head) + self.row_bytes * (past + n))

    def first_token(self, n: int) -> Work:
        """Behind a prompt of `n` tokens of which nothing is computed yet."""
        return self.forward(n)

    def token(self, past: int) -> Work:
        return self.forward(1, past)

    def written(self, n: int, past: int, tokens_per_pass: float = 1.0) -> Work:
        """`n` tokens behind a prompt, one pass each or fewer by drafts."""
        return self.token(past + n // 2) * ceil(n / tokens_per_pass)

    def needed_bytes(self, prompt: int, answer: int, places: int) -> float:
        """Its weights, and the rows of `places` that are held."""
        return NUMBER_BYTES * self.n_weights + places * (prompt + answer) * self.row_bytes
