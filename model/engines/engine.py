"""What computes: a decoder, a fuser and a projector from one source, ONNX Runtime or torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from model.checkpoint.adapter import AdapterConfig
from model.checkpoint.coder import Qwen2Config
from model.checkpoint.opening import Checkpoint
from model.engines.decoder import Decoder


class Nodes(NamedTuple):
    """`keys` [n, d_key], unit length; `memories` [n, m, d_memory]. float16 where they leave this module."""

    keys: np.ndarray
    memories: np.ndarray


class Fusing(Protocol):
    """A fuser as an engine computes it (`fuser.Fuser` says what). Arrays are float32, or float16 going in."""

    def encode_chunks(self, chunks: Sequence[Sequence[int]]) -> Nodes:
        """Token ids of chunks, none longer than `max_tokens`."""

    def encode_query(self, before: Sequence[int], after: Sequence[int], mark: int) -> Nodes:
        """Token ids around a cursor, as many as `query_before` and `query_after`; `mark` stands between them."""

    def fuse(self, groups: Sequence[np.ndarray]) -> Nodes:
        """Children's memories, each [n_children * m, d_memory]."""


class PseudoTokens(Protocol):
    """A projector as an engine computes it."""

    @property
    def per_node(self) -> int:
        """Pseudo-tokens of a node."""

    def project(self, memories: np.ndarray) -> np.ndarray:
        """float16 [n, m, d_memory] -> float32 [n * per_node, hidden]. Raises ValueError on another width."""


class Engine(Protocol):
    """Loads what it is handed, whose checksums were verified before. Its methods raise WeightsError."""

    @property
    def name(self) -> str:
        """For people: the library and its version."""

    @property
    def device(self) -> str: ...

    @property
    def dtype(self) -> str:
        """Number format of the weights."""

    @property
    def threads(self) -> int:
        """CPU threads; 0 where the CPU does not compute."""

    def free_bytes(self) -> int | None:
        """Free bytes where the weights go, or None where the system does not say."""

    def needed_bytes(self, n_weights: int, n_cached: int) -> int:
        """Bytes that so many weights and so many values of keys and values take."""

    def decoder(
        self, checkpoint: Checkpoint, config: Qwen2Config, capacity: int, n_slots: int
    ) -> Decoder: ...

    def fuser(self, folder: Path, config: AdapterConfig) -> Fusing: ...

    def projector(self, folder: Path, config: AdapterConfig) -> PseudoTokens: ...
