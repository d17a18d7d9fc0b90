"""The tree over a repository's chunks: content-addressed nodes, each parent computed from its children only. Pure.

HEF (arXiv 2603.06593) describes a hierarchy of dense vectors but not how it is built; this one is our own design.
A leaf's digest covers its text, scope header and symbols, and what would change its vectors (chunker, embedder), and
no path: a renamed file or a second clone is already known. A parent's digest covers its children's digests in order: a
file's by position, a directory's by digest, because a directory has no order of its own and a rename must not change
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

import numpy as np

from indexer.chunking import CHUNKER_VERSION, Chunk

MAX_CHILDREN = 32
DIGEST_BYTES = 16
CHUNK, GROUP, FILE, DIRECTORY, REPOSITORY = "chunk", "group", "file", "directory", "repository"


@dataclass(frozen=True)
class Vectors:
    """Vectors of n nodes: `keys` float16 [n, d_key] of unit length, `memories` float16 [n, m, d_memory]."""

    keys: np.ndarray
    memories: np.ndarray


class Embedder(Protocol):
    """Turns leaves and children into vectors; the fuser, or a hash in tests. May block; may raise to stop an update."""

    @property
    def fingerprint(self) -> str:
        """Names the weights; part of every digest, so that another fuser never reads these vectors."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One leaf per text (see `leaf_text`)."""
        ...

    def fuse(self, groups: Sequence[np.ndarray]) -> Vectors:
        """One parent per group; groups[i]: float16 [n_children <= 32, m, d_memory], in order."""
        ...


class Encodes(Protocol):
    """What a fuser offers by itself: (keys, memories) as `Vectors` has them, computed on the caller's thread."""

    @property
    def fingerprint(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]: ...

    def fuse(self, groups: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]: ...


class FuserEmbedder:
    """An `Embedder` over a fuser, on the caller's thread: for where nobody types."""

    def __init__(self, fuser: Encodes) -> None:
        self._fuser = fuser
        self.fingerprint = fuser.fingerprint

    def embed(self, texts: Sequence[str]) -> Vectors:
        return Vectors(*self._fuser.embed(texts))

    def fuse(self, groups: Sequence[np.ndarray]) -> Vectors:
        return Vectors(*self._fuser.fuse(groups))


@dataclass(frozen=True)
class Node:
    """A node by name: `height` is 0 for a chunk and one more than the highest child's for a parent."""

    digest: bytes
    level: str
    height: int
    children: tuple[bytes, ...] = ()


def leaf_text(chunk: Chunk) -> str:
    """What is embedded: the scope header, then the text. Blank ends say nothing and would only change digests."""
    text = chunk.text.rstrip()
    return f"{chunk.scope}\n{text}" if chunk.scope else text


def leaf(chunk: Chunk, fingerprint: str) -> Node:
    """The node of a chunk. Symbols count too: the same lines define something in a .py file and nothing in a .md."""
    content = "\0".join([leaf_text(chunk), *(f"{found.kind} {found.signature}" for found in chunk.symbols)])
    return Node(_digest(f"chunk {CHUNKER_VERSION} {fingerprint}", content.encode("utf-8")), CHUNK, 0)


def parents(level: str, children: Sequence[Node]) -> list[Node]:
    """The node of `level` over the children, last, after the groups between them, lowest first; [] over nothing.

    More than 32 children are grouped until 32 or fewer remain. Where a group ends depends on the digests in it
    only, so that one child more or less changes one group per layer: an update stays O(log n).
    """
    made: list[Node] = []
    layer = list(children)
    while len(layer) > MAX_CHILDREN:
        layer = [_parent(GROUP, group) for group in _groups(layer)]
        made += layer
    return [*made, _parent(level, layer)] if layer else []


def directory_parents(level: str, children: Iterable[Node]) -> list[Node]:
    """`parents` of a directory or the repository: children in the order of their digests."""
    return parents(level, sorted(children, key=lambda child: child.digest))


def _parent(level: str, children: Sequence[Node]) -> Node:
    digests = tuple(child.digest for child in children)
    height = 1 + max(child.height for child in children)
    return Node(_digest(level, b"".join(digests)), level, height, digests)


def _groups(children: Sequence[Node]) -> list[list[Node]]:
    groups: list[list[Node]] = [[]]
    for child in children:
        groups[-1].append(child)
        size = len(groups[-1])
        # One digest in 16 ends a group; two at least, so that each layer is at most half of the one below.
        if size == MAX_CHILDREN or (size > 1 and child.digest[-1] % 16 == 0):
            groups.append([])
    return groups if groups[-1] else groups[:-1]


def _digest(kind: str, content: bytes) -> bytes:
    # blake2b mixes no lengths: the kind ends at the first NUL, which no kind contains.
    return blake2b(kind.encode("utf-8") + b"\0" + content, digest_size=DIGEST_BYTES).digest()
