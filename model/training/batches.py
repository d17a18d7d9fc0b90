"""Batches of adapter training: which samples, which context mode, which nodes fill which slots."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from model.context import LATE_ALLOWED
from model.training.block_rows import places
from model.training.contexts import ContextRow, ModeMix, RowBuilder
from model.training.losses import is_harmful, utility_weights
from model.training.samples import Passage, RepositorySamples, Sample
from model.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class AdapterBatch:
    """Rows and the nodes that fill their slots.

    Nodes are numbered: the leaves first, then the parents. `slots` names the node of each group of m slots, in the
    order in which the slots stand in the rows.
    """

    ids: Tensor  # int64 [B, T + 1], PSEUDO in the slots
    weights: Tensor  # float32 [B, T], of predicting ids[:, 1:]
    middles: Tensor  # bool [B, T]
    modes: tuple[str, ...]
    positions: Tensor | None = None  # int64 [B, T], as `blocks`; None, both, where no row has blocks
    blocks: Tensor | None = None  # the number of each token's block, 0 outside
    leaves: tuple[list[int], ...] = ()  # token ids of the chunks
    groups: tuple[tuple[int, ...], ...] = ()  # children of each parent: all leaves, or all parents before it
    slots: tuple[int, ...] = ()
    noise: tuple[bool, ...] = ()  # per slot group: a random vector instead
    queries: tuple[tuple[list[int], list[int]], ...] = ()  # token ids before and after a cursor
    positives: tuple[int, ...] = ()  # the leaf that each query should find
    group_queries: tuple[int | None, ...] = ()  # per parent: the query that should find it
    mark: int = 0  # token between the two halves of a query

    def to(self, device: torch.device) -> AdapterBatch:
        moved: dict[str, Any] = {n: v.to(device) for n, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **moved)


# (rows without context, rows with the context as text) -> gain per token, [B]
Utilities = Callable[[AdapterBatch, AdapterBatch], Tensor]


class Sizes(Protocol):
    """What `Batcher` takes from the stage's settings."""

    @property
    def batch(self) -> int: ...
    @property
    def chunk_tokens(self) -> int: ...
    @property
    def seed(self) -> int: ...


@dataclass
class _Nodes:
    """The nodes of the batch that is being made. Parents are -1, -2, ... until the number of leaves is known."""

    leaves: list[list[int]] = field(default_factory=list)
    groups: list[tuple[int, ...]] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    noise: list[bool] = field(default_factory=list)
    queries: list[tuple[list[int], list[int]]] = field(default_factory=list)
    positives: list[int] = field(default_factory=list)
    group_queries: list[int | None] = field(default_factory=list)

    def number(self, node: int) -> int:
        return node if node >= 0 else len(self.leaves) - 1 - node


class Batcher:
    """Batch number -> batch; a pure function but for the utilities, so that a run can be taken up anywhere."""

    def __init__(
        self,
        repositories: Sequence[RepositorySamples],
        rows: RowBuilder,
        modes: ModeMix,
        sizes: Sizes,
        length: int,
        vocabulary: Vocabulary,
    ) -> None:
        self._repositories, self._rows, self._modes, self._sizes = repositories, rows, modes, sizes
        self._length, self._end, self._mark = length, vocabulary.fim.end, rows.mark
        self._all = [
            (r, s) for r, repository in enumerate(repositories) for s in range(len(repository.samples))
        ]

    def batch(self, number: int, progress: float, utilities: Utilities | None) -> AdapterBatch:
        """The batch at `number` of a run that is `progress` (0 to 1) done.

        `utilities`: what context gains for each sample, where it was measured; samples that it harms get none.
        """
        epoch, turn = divmod(number * self._sizes.batch, len(self._all))
        order = random.Random(f"{self._sizes.seed} {epoch}").sample(self._all, len(self._all))
        chosen = (order + order)[turn : turn + self._sizes.batch]
        rngs = [random.Random(f"{self._sizes.seed} batch {number} row {i}") for i in range(len(chosen))]
        modes = [self._modes.draw(rng, progress) for rng in rngs]
        gains = self._gains(chosen, modes, utilities)
        nodes = _Nodes()
        rows, final_modes = [], []
        for (r, s), mode, gain, rng in zip(chosen, modes, gains, rngs, strict=True):
            mode = "none" if gain is not None and is_harmful(gain) else mode
            row = self._row(self._repositories[r], self._repositories[r].samples[s], mode, nodes, rng)
            rows.append(row if gain is None else _weighted(row, float(utility_weights(torch.tensor(gain)))))
            final_modes.append(mode)
        return replace(
            self._padded(rows, final_modes),
            leaves=tuple(nodes.leaves),
            groups=tuple(tuple(map(nodes.number, group)) for group in nodes.groups),
            slots=tuple(map(nodes.number, nodes.slots)),
            noise=tuple(nodes.noise),
            queries=tuple(nodes.queries),
            positives=tuple(nodes.positives),
            group_queries=tuple(nodes.group_queries),
            mark=self._mark,
        )

    def _gains(
        self, chosen: Sequence[tuple[int, int]], modes: Sequence[str], utilities: Utilities | None
    ) -> list[float | None]:
        """Utility of each sample's context; None for those that show none or are not asked about."""
        gains: list[float | None] = [None] * len(chosen)
        asked = [i for i, mode in enumerate(modes) if mode in ("snippets", "pseudo", "hybrid", "blocks")]
        if utilities is None or not asked:
            return gains
        samples = [
            (self._repositories[r], self._repositories[r].samples[s]) for r, s in (chosen[i] for i in asked)
        ]
        bare = self._padded([self._rows.none(sample) for _, sample in samples], ["none"] * len(asked))
        told = [self._rows.snippets(sample, _hits(repository, sample)) for repository, sample in samples]
        found = utilities(bare, self._padded(told, ["snippets"] * len(asked))).tolist()
        for i, gain in zip(asked, found, strict=True):
            gains[i] = gain
        return gains

    def _row(
        self, repository: RepositorySamples, sample: Sample, mode: str, nodes: _Nodes, rng: random.Random
    ) -> ContextRow:
        hits, share = _hits(repository, sample), self._rows.share(rng)
        if mode == "none":
            return self._rows.none(sample, share)
        if mode == "snippets":
            return self._rows.snippets(sample, hits)
        if mode == "blocks":
            return self._rows.blocks(
                sample, hits, share, rng.randrange(LATE_ALLOWED.start, LATE_ALLOWED.stop)
            )
        if mode == "recite":
            return self._recited(hits, nodes, rng)
        used = self._choose(repository, sample, nodes, rng)
        if mode == "pseudo":
            return self._rows.pseudo(sample, used, share)
        return self._rows.hybrid(sample, used, hits, share)

    def _recited(self, hits: Sequence[Passage], nodes: _Nodes, rng: random.Random) -> ContextRow:
        told = rng.sample(hits, rng.randint(1, min(len(hits), self._modes.max_nodes)))
        row = self._rows.recite(told, rng)
        foreign, noise = self._mislead(rng)
        if foreign:
            source = rng.choice(self._repositories)
            told = [rng.choice(source.passages) for _ in told]
        self._show([self._leaf(passage, nodes) for passage in told], nodes, noise)
        return row

    def _mislead(self, rng: random.Random) -> tuple[bool, bool]:
        """Whether a row gets vectors of another repository, whether random ones."""
        drawn, mix = rng.random(), self._modes
        return drawn < mix.foreign, mix.foreign <= drawn < mix.foreign + mix.noise

    def _choose(
        self, repository: RepositorySamples, sample: Sample, nodes: _Nodes, rng: random.Random
    ) -> int:
        """Add the nodes that a pseudo-token row shows, worst first; returns how many."""
        mix = self._modes
        foreign, noise = self._mislead(rng)
        source = rng.choice(self._repositories) if foreign else repository
        hits = list(sample.hits) if source is repository else rng.choice(source.samples).hits
        first = len(nodes.leaves)
        count = rng.randint(mix.fewest_nodes, mix.max_nodes)
        used = [self._leaf(source.passages[i], nodes) for i in hits[:count]]
        if not foreign and 0 <= sample.positive < len(used):
            nodes.queries.append(self._rows.query_ids(sample, 192, 64))
            nodes.positives.append(first + sample.positive)
        if not foreign and rng.random() < mix.parents and len(sample.siblings) > 1:
            used.insert(rng.randint(0, len(used)), self._parent(repository, sample, nodes, rng))
        self._show(used, nodes, noise)
        return len(used)

    def _show(self, used: Sequence[int], nodes: _Nodes, noise: bool = False) -> None:
        """Nodes, best first, fill the slots of a row: the best stands nearest to the cursor."""
        nodes.slots += reversed(used)
        nodes.noise += [noise] * len(used)

    def _leaf(self, passage: Passage, nodes: _Nodes) -> int:
        nodes.leaves.append(self._rows.chunk_ids(passage, self._sizes.chunk_tokens))
        return len(nodes.leaves) - 1

    def _parent(
        self, repository: RepositorySamples, sample: Sample, nodes: _Nodes, rng: random.Random
    ) -> int:
        """A file node, or a directory: a sample knows one file, so its two halves stand for two files."""
        children = tuple(self._leaf(repository.passages[i], nodes) for i in sample.siblings)
        # Siblings are the best hit's; where that is what helps most, the query just added should find its file, too.
        query = len(nodes.queries) - 1 if sample.positive == 0 else None
        half = len(children) // 2
        if half and rng.random() < self._modes.deep:
            files = [self._group(part, None, nodes) for part in (children[:half], children[half:])]
            return self._group(tuple(files), query, nodes)
        return self._group(children, query, nodes)

    def _group(self, children: tuple[int, ...], query: int | None, nodes: _Nodes) -> int:
        nodes.groups.append(children)
        nodes.group_queries.append(query)
        return -len(nodes.groups)

    def _padded(self, rows: Sequence[ContextRow], modes: Sequence[str]) -> AdapterBatch:
        """Rows of one length, padded behind with weight 0; it has room for blocks where a row has some."""
        has_blocks = any(row.sizes for row in rows)
        length = self._length + (self._rows.shape.blocks if has_blocks else 0)
        ids = torch.full((len(rows), length + 1), self._end, dtype=torch.long)
        weights = torch.zeros(len(rows), length)
        middles = torch.zeros(len(rows), length, dtype=torch.bool)
        for i, row in enumerate(rows):
            n = len(row.ids)
            ids[i, :n] = torch.tensor(row.ids)
            weights[i, : n - 1] = torch.tensor(row.weights[1:])
            middles[i, row.middle - 1 : n - 1] = True
        batch = AdapterBatch(ids, weights, middles, tuple(modes))
        if not has_blocks:
            return batch
        laid_out = torch.tensor([places(row.sizes, length, row.n_early) for row in rows])
        return replace(batch, positions=laid_out[:, 0], blocks=laid_out[:, 1])


def _weighted(row: ContextRow, weight: float) -> ContextRow:
    """The row with its middle weighing so many times more."""
    return replace(row, weights=row.weights[: row.middle] + [w * weight for w in row.weights[row.middle :]])


def _hits(repository: RepositorySamples, sample: Sample) -> list[Passage]:
    return [repository.passages[i] for i in sample.hits]
