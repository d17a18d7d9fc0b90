"""A HEF adapter in use: the fuser that reads the repository and the projector that feeds the generator.

A folder holds `adapter.json`, `fuser.safetensors`, `projector.safetensors` (or shards of them) and the fuser's
`tokenizer.json`; it may be the checkpoint's own folder. Arrays are numpy; what computes them is the engine's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from model.checkpoint.adapter import LONGEST_MEMORY, FuserConfig
from model.checkpoint.files import MAX_TOKENIZER_BYTES, opened, read_bytes
from model.checkpoint.opening import weight_files
from model.engines.engine import Fusing, Nodes
from model.vocabulary import CHARS_PER_TOKEN, Vocabulary

# A batch of chunks is padded to its longest; this bounds the waste and the time that a completion waits for it.
_BATCH_TOKENS = 4096

_Row = TypeVar("_Row", list[int], np.ndarray)


@dataclass(frozen=True, eq=False)
class Encoder:
    """A fuser with its own tokenizer: texts, groups of children and queries in, nodes out.

    `fingerprint` names everything that decides a node's vectors.
    """

    fuser: Fusing
    config: FuserConfig
    vocabulary: Vocabulary
    fingerprint: str

    def embed(self, texts: Sequence[str]) -> Nodes:
        """Leaf texts (scope header, newline, chunk) -> their nodes."""
        limit = self.config.max_tokens
        rows = [self.vocabulary.encode(text[: limit * CHARS_PER_TOKEN])[:limit] for text in texts]
        return self._batched(rows, self.fuser.encode_chunks)

    def fuse(self, groups: Sequence[np.ndarray]) -> Nodes:
        """Children's memories, each float16 [n_children, m, d_memory] -> one node each."""
        return self._batched([group.reshape(-1, self.config.d_memory) for group in groups], self.fuser.fuse)

    def query(self, before: str, after: str) -> np.ndarray:
        """Text around a cursor -> key, float32 [d_key], unit length."""
        n_before, n_after = self.config.query_before, self.config.query_after
        ahead = self.vocabulary.encode(before[-n_before * CHARS_PER_TOKEN :])[-n_before:]
        behind = self.vocabulary.encode(after[: n_after * CHARS_PER_TOKEN])[:n_after]
        key: np.ndarray = self.fuser.encode_query(ahead, behind, self.vocabulary.fim.prefix).keys[0]
        return key

    def _batched(self, rows: list[_Row], run: Callable[[Sequence[_Row]], Nodes]) -> Nodes:
        """Run rows in batches of similar length and give the nodes back in the order of `rows`."""
        shape = (len(rows), self.config.m, self.config.d_memory)
        nodes = Nodes(np.empty((len(rows), self.config.d_key), np.float16), np.empty(shape, np.float16))
        for batch in _batches([len(row) for row in rows], _BATCH_TOKENS):
            nodes.keys[batch], nodes.memories[batch] = run([rows[i] for i in batch])
        return nodes


def adapter_fingerprint(folder: Path, config: FuserConfig) -> str:
    """Names what decides a node's vectors: the fuser's weights, shape and tokenizer.

    Not the engine's arithmetic: int8 on a laptop and floats on a GPU agree to a cosine of 0.9999, so that a team's
    vectors fit everybody's index. `tests/indexer/team/test_real_vectors.py` holds that searches find the same.
    """
    digest = hashlib.sha256(json.dumps(config.to_json(), sort_keys=True).encode())
    for file in weight_files(folder, "fuser"):
        with opened(file) as stream:
            digest.update(stream.read())
    digest.update(read_bytes(folder / "tokenizer.json", MAX_TOKENIZER_BYTES))
    digest.update(f", parents up to {LONGEST_MEMORY}".encode())
    return digest.hexdigest()[:16]


def _batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices, shortest rows first, in groups that stay within `budget` when padded to the longest."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[i] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
