"""Fuser and projector of the CPU: `Fusing` and `PseudoTokens` on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime

from model.checkpoint.adapter import LONGEST_MEMORY, AdapterConfig, FuserConfig
from model.checkpoint.tensors import Read
from model.engines.engine import Nodes
from model.engines.onnx.decoder import rotary_table


class OnnxFuser:
    """Runs the graphs of `onnx_adapter_graph.add_fuser` and `add_children`."""

    def __init__(
        self,
        fuser: onnxruntime.InferenceSession,
        children: onnxruntime.InferenceSession,
        config: FuserConfig,
        read: Read,
    ) -> None:
        self._fuser, self._children, self._config = fuser, children, config
        self._table = read("encoder.embed_tokens.weight")
        self._leaf, self._parent, self._query = (
            read(f"{kind}_readout") for kind in ("leaf", "parent", "query")
        )
        self._longest = LONGEST_MEMORY * float(np.linalg.norm(self._table)) / self._table.size**0.5

    def encode_chunks(self, chunks: Sequence[Sequence[int]]) -> Nodes:
        return self._read([self._table[np.array(chunk, dtype=np.int64)] for chunk in chunks], self._leaf)

    def encode_query(self, before: Sequence[int], after: Sequence[int], mark: int) -> Nodes:
        return self._read([self._table[[*after, mark, *before]]], self._query)

    def fuse(self, groups: Sequence[np.ndarray]) -> Nodes:
        together = np.concatenate(groups).astype(np.float32)
        (vectors,) = self._children.run(["vectors"], {"memory": together})
        ends = np.cumsum([len(group) for group in groups])[:-1]
        parents = self._read(np.split(vectors, ends), self._parent)
        return Nodes(parents.keys, shortened(parents.memories, self._longest))

    def _read(self, rows: Sequence[np.ndarray], readout: np.ndarray) -> Nodes:
        """Run rows [n, width], the read-out vectors behind each, and read their final states.

        One by one: side by side, padded to the longest, they took a third longer.
        """
        keys, memories = zip(*(self._run(row.astype(np.float32), readout) for row in rows), strict=True)
        return Nodes(np.concatenate(keys), np.concatenate(memories))

    def _run(self, row: np.ndarray, readout: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Key [1, d_key] and memory [1, m, width] of one row."""
        m = len(readout)
        pooled = pool(row, m)
        x = np.concatenate([row, readout + pooled])
        n = len(x)
        cos, sin = rotary_table(self._config.head_dim, self._config.rope_theta, n)
        feed = {
            "x": x[None],
            "cos": cos,
            "sin": sin,
            "last": np.array([n - 1], np.int32),
            "ends": np.arange(n - m, n),
        }
        feed["longest"] = np.array(n, np.int32)
        key, states = self._fuser.run(["key", "states"], feed)
        return key, states + pooled


def shortened(memories: np.ndarray, longest: float) -> np.ndarray:
    """As `model.fuser.shortened`, of [n, m, width]."""
    lengths = np.sqrt(np.square(memories).mean(axis=(1, 2), keepdims=True))
    return np.asarray(memories * np.float32(longest) / lengths.clip(min=longest), np.float32)


def pool(row: np.ndarray, m: int) -> np.ndarray:
    """As `model.fuser.pool`, of one row [T, width]."""
    parts = np.arange(len(row)) * m // max(1, len(row))
    belongs = (parts == np.arange(m)[:, None]).astype(np.float32)
    sums: np.ndarray = belongs @ row / np.sqrt(belongs.sum(axis=1, keepdims=True).clip(min=1))
    return sums


class OnnxPseudoTokens:
    """Runs the graph of `onnx_adapter_graph.add_projector`."""

    def __init__(self, projector: onnxruntime.InferenceSession, config: AdapterConfig) -> None:
        self._projector, self._config = projector, config

    @property
    def per_node(self) -> int:
        return self._config.per_node

    def project(self, memories: np.ndarray) -> np.ndarray:
        flat = self._config.projected_rows(memories)
        vectors: np.ndarray = self._projector.run(["vectors"], {"memory": flat})[0]
        return vectors
