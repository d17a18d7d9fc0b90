"""A repository to index, and an embedder that is a hash: equal words give near vectors, no model needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

from indexer import Index, IndexSettings, Vectors

D_KEY, M, D_MEMORY = 32, 2, 8


class HashEmbedder:
    """Feature hashing of words; counts what it is asked for."""

    def __init__(self, fingerprint: str = "hash-1") -> None:
        self.fingerprint = fingerprint
        self.embedded: list[str] = []
        self.fused = 0
        self.largest_call = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.embedded += texts
        self.largest_call = max(self.largest_call, len(texts))
        memories = np.stack([_hashed(text) for text in texts])
        return _vectors(memories)

    def fuse(self, groups: Sequence[np.ndarray]) -> Vectors:
        assert all(1 <= len(group) <= 32 and group.shape[1:] == (M, D_MEMORY) for group in groups)
        self.fused += len(groups)
        weights = [
            np.linspace(1, 2, len(group))[:, None, None] for group in groups
        ]  # the order of children matters
        return _vectors(
            np.stack([(group * weight).sum(0) for group, weight in zip(groups, weights, strict=True)])
        )


def _hashed(text: str) -> np.ndarray:
    memory = np.zeros(M * D_MEMORY, np.float32)
    for word in re.findall(r"\w+", text):
        digest = blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
        memory[digest[0] % len(memory)] += 1 if digest[1] % 2 else -1
    memory[0] += 0.01
    return memory.reshape(M, D_MEMORY)


def _vectors(memories: np.ndarray) -> Vectors:
    mixing = np.random.default_rng(0).standard_normal((M * D_MEMORY, D_KEY)).astype(np.float32)
    keys = memories.reshape(len(memories), -1) @ mixing
    keys /= np.linalg.norm(keys, axis=1, keepdims=True) + 1e-9
    unit = memories / (np.abs(memories).max(axis=(1, 2), keepdims=True) + 1e-9)
    return Vectors(keys.astype(np.float16), unit.astype(np.float16))


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    return root


@pytest.fixture
def write(root: Path) -> Callable[[str, str | bytes], Path]:
    """Write one file of the repository."""

    def write(path: str, content: str | bytes) -> Path:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return target

    return write


@pytest.fixture
def open_index(root: Path, tmp_path: Path, embedder: HashEmbedder):
    """Open an index of the repository in the same cache each time; closed at the end."""
    opened: list[Index] = []

    def open_index(
        embedder: HashEmbedder | None = embedder, cache: str = "cache", **settings: object
    ) -> Index:
        index = Index.open(root, embedder, tmp_path / cache, IndexSettings(**settings))
        opened.append(index)
        return index

    yield open_index
    for index in opened:
        index.close()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two files, of which one reads the other's name."""
    root = tmp_path / "repository"
    root.mkdir()
    (root / "a.py").write_text("alpha = 1\n")
    (root / "b.py").write_text("beta = alpha + 2\n")
    return root
