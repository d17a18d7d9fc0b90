"""The memory that a step of adapter training takes, computed from its settings: `hef-lsp-train adapter --plan`.

Counted are tensors: weights, gradients, the optimizers' moments, what is kept for the backward pass, and the largest of
what lives for a moment. A test compares it with what torch's allocator hands out. The runtime's own memory (CUDA's
context, the process, what an allocator wastes) comes on top: leave a tenth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from model.checkpoint.adapter import (
    AdapterConfig,
    FuserConfig,
    fuser_shapes,
    projector_shapes,
    projector_widths,
)
from model.checkpoint.coder import Qwen2Config, coder_shapes, n_values
from model.training.adapter_config import AdapterStage
from model.training.contexts import ModeMix, RowShape

_MUON, _ADAM = 4, 8  # bytes of moments per weight
_SIBLINGS = 12  # chunks that a file node reads, and more: of a few rows some more than their share have one
# Bytes per value of logits while a chunk is scored: half precision, float32, logarithms, and gradients of these.
_SCORING = 18


@dataclass(frozen=True)
class StepShape:
    """What of the networks and rows decides the memory."""

    coder: Qwen2Config
    adapter: AdapterConfig
    rows: RowShape
    modes: ModeMix
    shares_table: bool  # whether the fuser's table of embeddings is the coder's


@dataclass(frozen=True)
class Footprint:
    """Bytes at the peak of a step, and how many weights are `trained` (by part) and only read (`frozen`)."""

    trained: Mapping[str, int]
    frozen: int
    weights: int
    gradients: int
    moments: int
    kept: int  # for the backward pass
    passing: int  # the largest of what lives for a moment

    @property
    def peak(self) -> int:
        return self.weights + self.gradients + self.moments + self.kept + self.passing


def footprint(config: AdapterStage, shape: StepShape) -> Footprint:
    """Of a step after the first, when the optimizers have their moments and gradients are being added to."""
    parts = _parts(config, shape)
    trained = {name: n for name, (n, _, is_trained) in parts.items() if is_trained and n}
    learned = sum(trained.values())
    weights = sum(n * size for n, size, _ in parts.values())
    row_kept, row_work = _rows(config, shape)
    fuser_kept, fuser_work = _fuser(config, shape)
    # Half precision copies of what is trained live as long as the forward pass.
    copies = 2 * learned
    moments = learned * (_MUON if config.muon else _ADAM)
    scoring = config.loss_chunk * shape.coder.vocab_size * _SCORING
    return Footprint(
        trained=trained,
        frozen=sum(n for n, _, is_trained in parts.values() if not is_trained),
        weights=weights,
        gradients=4 * learned,
        moments=moments,
        kept=row_kept + fuser_kept + _projector(config, shape) + copies,
        passing=max(scoring, row_work, fuser_work, _rollout(config, shape)),
    )


def largest_batch(config: AdapterStage, shape: StepShape, room: int) -> int:
    """Rows at once whose step takes at most `room` bytes; 0 where not even one has room."""
    low, high = 0, 1
    while footprint(replace(config, batch=high), shape).peak <= room and high < 4096:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        fits = footprint(replace(config, batch=middle), shape).peak <= room
        low, high = (middle, high) if fits else (low, middle)
    return low


def _parts(config: AdapterStage, shape: StepShape) -> dict[str, tuple[int, int, bool]]:
    """Part -> number of weights, bytes of each, whether it is trained."""
    fuser, adapter = shape.adapter.fuser, shape.adapter
    table = fuser.vocab_size * fuser.hidden_size
    widths = projector_widths(adapter.projector_width, adapter.hidden_size, adapter.projector_layers)
    learns_table = config.train_fuser and config.train_embedding
    return {
        "coder": (n_values(coder_shapes(shape.coder)), _coder_bytes(config), config.train_coder),
        "fuser": (n_values(fuser_shapes(fuser)) - table, 4, config.train_fuser),
        "fuser's embedding": (0 if shape.shares_table else table, 4, learns_table),
        "projector": (n_values(projector_shapes(widths)), 4, True),
    }


def _coder_bytes(config: AdapterStage) -> int:
    return 2 if config.coder_dtype == "bfloat16" else 4


def _layer(shape: Qwen2Config, size: int, is_trained: bool) -> int:
    """Bytes that a layer keeps of each token for its backward pass; `size`: of a value between two layers."""
    wide, inner = shape.hidden_size, shape.intermediate_size
    heads = shape.num_attention_heads * shape.head_dim
    pairs = 2 * shape.num_key_value_heads * shape.head_dim
    norms = 8 * wide
    attention = 2 * (3 * heads + 2 * pairs)
    gates = 6 * inner
    if is_trained:  # what goes into a matrix is kept for the matrix's gradient
        return norms + 2 * (size + 2) * wide + attention + 2 * heads + gates + 2 * inner
    return norms + attention + gates


def _rows(config: AdapterStage, shape: StepShape) -> tuple[int, int]:
    """Bytes that the coder keeps of a batch's rows, and that one of its layers takes for a moment."""
    length = shape.rows.length + (shape.rows.blocks if shape.modes.blocks else 0)
    size, layers = _coder_bytes(config), shape.coder.num_hidden_layers
    passes = 1.0
    if config.reinforce:  # what was written goes through once more
        answered = min(config.rollout_rows or config.batch, config.batch)
        passes += answered / config.batch * (length + config.rollout_tokens) / length
    tokens = int(config.batch * length * passes)
    wide, inner = shape.coder.hidden_size, shape.coder.intermediate_size
    each = _layer(shape.coder, size, config.train_coder)
    ends = tokens * wide * (3 * size + 8)  # rows, final states, norm
    backward = config.batch * length * (6 * inner + 8 * wide)
    if config.checkpointing:
        # In the backward pass of a layer gradients come as what it has kept goes.
        return tokens * layers * size * wide + ends, config.batch * length * each
    return tokens * layers * (each + (0 if config.train_coder else 2 * size * wide)) + ends, backward


def _fuser(config: AdapterStage, shape: StepShape) -> tuple[int, int]:
    """As `_rows`, of the chunks and queries of a batch."""
    fuser: FuserConfig = shape.adapter.fuser
    chunks = math.ceil(config.batch * (shape.modes.max_nodes + _SIBLINGS * shape.modes.parents))
    tokens = chunks * (min(config.chunk_tokens, fuser.max_tokens) + fuser.m)
    if config.retrieval:
        tokens += config.batch * (fuser.query_before + 1 + fuser.query_after + fuser.m)
    wide, inner = fuser.hidden_size, fuser.intermediate_size
    each = _layer(fuser.encoder, 4, True)
    passing = tokens * (6 * inner + 16 * wide)
    if not config.train_fuser:
        return 0, passing
    table = (
        fuser.vocab_size * wide * 4 if config.train_embedding else 0
    )  # the gradient of a lookup is a whole table
    if config.checkpointing:
        return tokens * (fuser.num_layers * 4 + 8) * wide, tokens * each + table
    return tokens * (fuser.num_layers * each + 8 * wide), passing + table


def _projector(config: AdapterStage, shape: StepShape) -> int:
    adapter = shape.adapter
    vectors = config.batch * shape.modes.max_nodes * adapter.per_node
    widths = projector_widths(adapter.projector_width, adapter.hidden_size, adapter.projector_layers)
    return vectors * sum(widths) * 14


def _rollout(config: AdapterStage, shape: StepShape) -> int:
    """The keys and values of the rows that are answered."""
    if not config.reinforce:
        return 0
    answered = min(config.rollout_rows or config.batch, config.batch)
    rows = answered * (shape.rows.length + config.rollout_tokens)
    return rows * 2 * shape.coder.num_hidden_layers * shape.coder.kv_size * _coder_bytes(config)
