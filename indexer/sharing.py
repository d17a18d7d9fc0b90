"""What an update takes from others: vectors by digest that somebody else has computed, checked before they are used.

A digest names the text, not the vectors: nothing but computing some of them again says that the others are honest. So
of each pack one leaf in CHECK_ONE_IN is embedded here as well, one at least, and a pack that lies is not used.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from indexer.hierarchy import Embedder, Vectors
from indexer.progress import Listener
from indexer.signatures import SignatureTable
from indexer.vectors import MissingNode, VectorStore

LEAST_NODES = 32  # that are missing before anybody is asked: an edit is nobody's business
CHECK_ONE_IN = 1_000
# Between arithmetics and through int8 it is above 0.9997 on real code (`tests/indexer/team/test_real_vectors.py`).
LEAST_LIKENESS = 0.995
MOST_WAITING = 4  # packs whose nodes cannot be checked yet: parents that came before their leaves
_LOOKED_AT = 64  # parents of a pack, for one that can be checked
_WRITTEN_AT_ONCE = 400  # nodes of one transaction
_GLANCE_SECONDS = 0.05


@dataclass(frozen=True)
class SharedPart:
    """Vectors of some of the nodes that were asked for, all from one pack."""

    pack: str
    digests: tuple[bytes, ...]
    vectors: Vectors


class Pull(Protocol):
    """One request for vectors, answered on another thread. Raises nothing: `problem` says what went wrong, and at last
    `is_over`."""

    @property
    def has_begun(self) -> bool:
        """Whether the store has answered at all, or will not."""
        ...

    @property
    def is_over(self) -> bool: ...

    @property
    def problem(self) -> str:
        """A sentence, "" where nothing is wrong."""
        ...

    def part(self, seconds: float) -> SharedPart | None:
        """The next part, None where none comes in so many seconds."""
        ...

    def distrust(self, pack: str) -> None:
        """Never take anything of this pack again."""
        ...

    def stop(self, *, torn: bool = False) -> None:
        """Nobody wants the rest; returns at once. `torn`: nor was all taken in of the last part."""
        ...


@dataclass(frozen=True)
class PackageAnswer:
    """What a team's store says of one package. `problem`: a sentence, "" where nothing is wrong."""

    table: SignatureTable | None
    problem: str = ""


class PackageStore(Protocol):
    """Where others have put signatures of public packages."""

    def signatures(self, package: str, version: str, kept: Path) -> PackageAnswer:
        """Those of one version; takes as long as the store does. `package`: as PyPI compares names; `kept`: a folder
        for what is worth keeping. Raises nothing."""
        ...

    def vectors(self, package: str, version: str) -> TeamVectors | None:
        """Where vectors of its chunks are; None where the user wants none, or the store has none or too many. Raises
        nothing."""
        ...


class TeamVectors(Protocol):
    """Where others' vectors are. `patience`: seconds that nothing is computed while it has not answered."""

    @property
    def patience(self) -> float: ...

    @property
    def packages(self) -> PackageStore | None:
        """None where the user wants none."""
        ...

    def pull(self, digests: Collection[bytes], kept: Path) -> Pull | None:
        """Begin to look for these nodes; returns at once. None where it is too early to ask again. `kept`: a folder for
        what is worth keeping."""
        ...


class TakingIn:
    """Takes one pull's parts into the store, between the batches of an update. `taken`: nodes so far."""

    def __init__(
        self,
        team: TeamVectors | None,
        vectors: VectorStore,
        embedder: Embedder,
        folder: Path,
        listener: Listener,
        draw: random.Random | None = None,
    ) -> None:
        """`folder`: of the store. `draw`: chooses what is checked; nobody can foresee it, but where it is handed in."""
        self.taken = 0
        self.checked = 0
        self._team = team
        self._vectors = vectors
        self._embedder = embedder
        self._folder = folder
        self._listener = listener
        self._draw = draw or random.SystemRandom()
        self._pull: Pull | None = None
        self._ids: Mapping[bytes, int] = {}
        self._lies = 0
        self._is_torn = False
        self._waiting: list[SharedPart] = []

    def begin(self, n_missing: int) -> None:
        """Ask for what is missing, if that is worth it, and wait for an answer no longer than the team's patience."""
        if self._team is None or n_missing < LEAST_NODES:
            return
        self._ids = self._vectors.pending_ids()
        self._pull = self._team.pull(self._ids.keys(), self._folder / "team")
        deadline = time.monotonic() + self._team.patience
        while self._pull and not self._pull.has_begun and time.monotonic() < deadline:
            self._listener.check()
            time.sleep(0.005)

    def go_on(self) -> None:
        """Take in all that comes, once the store has answered: what it has is not computed. Raises StoppedError."""
        pull = self._pull
        while pull is not None and pull.has_begun:
            self._listener.check()
            part = pull.part(_GLANCE_SECONDS)
            if part is not None:
                if not self._take(pull, part):
                    self._let_wait(part)
            elif pull.is_over:
                break

    def take_waiting(self) -> None:
        """Take in what could not be checked when it came, once there is something under it. Raises StoppedError."""
        waiting, self._waiting = self._waiting, []
        while waiting and self._pull:
            part = waiting.pop()
            if not self._take(self._pull, part):
                self._waiting.append(part)

    def _let_wait(self, part: SharedPart) -> None:
        """No more than a few: each is a pack in memory."""
        if len(self._waiting) >= MOST_WAITING:
            self.take_waiting()
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(part)

    def end(self) -> str:
        """What is to be said of it, "" where nobody was asked."""
        pull, self._pull = self._pull, None
        if pull is None:
            return ""
        pull.stop(torn=self._is_torn or bool(self._waiting))
        self._waiting.clear()
        said = f"{self.taken:,} of {len(self._ids):,} vectors came from the team's store"
        if self._lies:
            lies = f"{self._lies} pack{'s' if self._lies > 1 else ''} held other vectors than the texts give"
            return f"{said}; {lies} and {'were' if self._lies > 1 else 'was'} not used."
        late = "" if pull.has_begun else "The team's store did not answer in time."
        problem = pull.problem or late
        return f"{problem} {said}; the others are computed here." if problem else f"{said}."

    def _take(self, pull: Pull, part: SharedPart) -> bool:
        """Write what of a part is still missing, where some of it proves to be honest; False where nothing of it can be
        checked yet."""
        nodes = self._vectors.missing(self._ids[digest] for digest in part.digests if digest in self._ids)
        chosen = self._chosen(nodes)
        if chosen and not self._is_honest(chosen, part):
            self._lies += 1
            pull.distrust(part.pack)
        elif chosen:
            self._write({node.digest: node.id for node in nodes}, part)
        return bool(chosen) or not nodes

    def _write(self, ids: Mapping[bytes, int], part: SharedPart) -> None:
        self._is_torn = True
        rows = [(ids[digest], row) for row, digest in enumerate(part.digests) if digest in ids]
        for start in range(0, len(rows), _WRITTEN_AT_ONCE):
            self._listener.check()
            here = rows[start : start + _WRITTEN_AT_ONCE]
            at = [row for _, row in here]
            self._vectors.set_vectors(
                [id for id, _ in here], Vectors(part.vectors.keys[at], part.vectors.memories[at])
            )
            self.taken += len(here)
            self._listener.committed()
        self._is_torn = False

    def _chosen(self, nodes: list[MissingNode]) -> list[MissingNode]:
        """What is computed again: leaves, else one parent whose children are there."""
        leaves = [node for node in nodes if not node.children]
        if leaves:
            count = max(1, len(leaves) // CHECK_ONE_IN)
            return self._draw.sample(leaves, count)
        self._draw.shuffle(nodes)
        looked_at = nodes[:_LOOKED_AT]
        known = self._vectors.memories({digest for node in looked_at for digest in node.children})
        return [node for node in looked_at if known.keys() >= set(node.children)][:1]

    def _is_honest(self, nodes: list[MissingNode], part: SharedPart) -> bool:
        """Whether the part says of some nodes what is computed here."""
        own = self._computed(nodes)
        self.checked += len(nodes)
        rows = {digest: row for row, digest in enumerate(part.digests)}
        chosen = [rows[node.digest] for node in nodes]
        theirs = Vectors(part.vectors.keys[chosen], part.vectors.memories[chosen])
        same = own.keys.shape == theirs.keys.shape and own.memories.shape == theirs.memories.shape
        return same and all(
            (_likeness(mine, others) >= LEAST_LIKENESS).all()
            for mine, others in ((own.keys, theirs.keys), (own.memories, theirs.memories))
        )

    def _computed(self, nodes: list[MissingNode]) -> Vectors:
        if nodes[0].children:
            memories = self._vectors.memories(nodes[0].children)
            return self._embedder.fuse([np.stack([memories[digest] for digest in nodes[0].children])])
        return self._embedder.embed([node.text for node in nodes])


def _likeness(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cosine of each row with its counterpart, of what has any shape behind the first axis; and as long as it, within
    a tenth, or 0."""
    a, b = (rows.astype(np.float32).reshape(len(rows), -1) for rows in (some, others))
    long_a, long_b = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    cosine = (a * b).sum(1) / np.maximum(long_a * long_b, 1e-9)
    found: np.ndarray = np.where(np.abs(long_a - long_b) <= 0.1 * long_a + 1e-6, cosine, 0.0)
    return found
