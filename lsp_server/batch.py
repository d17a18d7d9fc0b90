"""`--publish --batch`: a monorepo's leaves embedded by many processes, before the index takes them from the store.

Which processes is `Spread`'s: Ray's (`ray_actors.py`), or this one's where a test wants none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from indexer.hierarchy import DIGEST_BYTES, FuserEmbedder
from indexer.settings import IndexSettings
from indexer.team.batch import Collected, DigestSet, EmbeddedLeaves, LeafWorker, collected, portions
from indexer.team.publishing import PackWriter
from lsp_server.problems import UserMustActError
from model.encoder import Encoder
from model.loading import load_from_settings, load_model
from model.settings import EMBEDDED_TINY, ModelSettings


@dataclass(frozen=True)
class BatchRecipe:
    """What a process needs to work on a repository. `key`: of digests; `known`: uint8 [n, 16], what the bucket has."""

    root: Path
    index: IndexSettings
    model: ModelSettings
    fingerprint: str
    key: bytes
    known: np.ndarray = field(default_factory=lambda: np.zeros((0, DIGEST_BYTES), np.uint8))

    def __call__(self) -> LeafWorker:
        """Loads the fuser. Raises UserMustActError where it is not the publisher's."""
        embedder = FuserEmbedder(fuser_of(self.model, self.fingerprint))
        return LeafWorker(self.root, self.index, embedder, self.key, self.known)


Spread = Callable[[BatchRecipe, Iterable[list[str]]], Iterator[EmbeddedLeaves]]


def here(recipe: BatchRecipe, paths: Iterable[list[str]]) -> Iterator[EmbeddedLeaves]:
    """A `Spread` over nothing but this process."""
    worker = recipe()
    return (found for portion in paths if (found := worker.run(portion)) is not None)


def embed_leaves(
    recipe: BatchRecipe, packs: PackWriter, repository: str, branch: str, spread: Spread
) -> Collected:
    """Have a branch list packs of all leaves that the files now have; `recipe.known` is filled in here. A run that was
    killed is gone on with by the next. Raises BucketError and PackError."""
    seen = DigestSet(packs.digests(packs.known(repository, branch)))
    parts = spread(replace(recipe, known=seen.array()), portions(recipe.root, recipe.index))
    return collected(parts, packs, repository, branch, seen)


def fuser_of(settings: ModelSettings, fingerprint: str) -> Encoder:
    """The fuser of that fingerprint, on one thread: mostly the tiny embedded model's, which is loaded in no time.
    Raises UserMustActError where the settings' model has another one here than where it is published."""
    tiny = load_model(EMBEDDED_TINY).encoder
    if tiny and tiny.fingerprint == fingerprint:
        return tiny
    found = load_from_settings(replace(settings, threads=1, offline=True)).encoder
    if found is None or found.fingerprint != fingerprint:
        raise UserMustActError("A process of the batch has another fuser than the one that publishes.")
    return found
