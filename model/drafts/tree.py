"""Drafts: trees of tokens that may come next, and which of them greedy decoding agrees with. Pure functions.

After FastCoder (arXiv 2502.17139): sequences from several stores are pooled into a weighted trie (3.2), and the trie is
verified in one forward pass with tree attention (3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

ROOT = -1  # the context itself


@dataclass(frozen=True)
class Draft:
    """A tree behind a context: row i is `tokens[i]` behind row `parents[i]` < i, or right behind the context (ROOT).

    `chances`, none larger than the one before it: how likely each row is to be accepted, as estimated.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    chances: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def first(self, n: int) -> Draft:
        """The likeliest n rows: a tree as well, because no row is likelier than its parent."""
        return Draft(self.tokens[:n], self.parents[:n], self.chances[:n])


NO_DRAFT = Draft((), (), ())


def weighted_trie(
    sequences: Iterable[tuple[Sequence[int], Sequence[float]]], n_rows: int, least: float = 0.0
) -> Draft:
    """The likeliest rows of the trie of some token sequences; what several of them begin with adds up.

    At most `n_rows`, none with a chance under `least`.

    Beside each sequence stand the chances of its tokens to be accepted with all before them, falling. A token below 0
    ends a sequence.
    """
    numbers: dict[tuple[int, int], int] = {}  # (parent, token) -> node
    weights: list[float] = []
    for tokens, chances in sequences:
        node = ROOT
        for token, chance in zip(tokens, chances, strict=False):
            if token < 0:
                break
            node = numbers.setdefault((node, token), len(weights))
            if node == len(weights):
                weights.append(0.0)
            weights[node] += chance
    # A parent weighs as much as its children or more, and has the smaller number: it comes first in any case.
    nodes = list(numbers)
    worthwhile = (node for node, weight in enumerate(weights) if weight >= least)
    chosen = sorted(worthwhile, key=lambda node: -weights[node])[:n_rows]
    rows = {node: row for row, node in enumerate(chosen)} | {ROOT: ROOT}
    return Draft(
        tokens=tuple(nodes[node][1] for node in chosen),
        parents=tuple(rows[nodes[node][0]] for node in chosen),
        chances=tuple(weights[node] for node in chosen),
    )


def n_worthwhile(chances: Sequence[float], cost: Callable[[int], float]) -> int:
    """How many of the likeliest rows to verify: as many as give the most tokens per cost of the pass.

    `cost(n)`: of a pass with n draft rows beside those that are computed in any case. Each row costs no less than the
    one before it and has no better chance, so that where one more does not pay, none does.
    """
    expected, rate = 1.0, 1.0 / cost(0)
    for n, chance in enumerate(chances, start=1):
        expected += chance
        if expected / cost(n) <= rate:
            return n - 1
        rate = expected / cost(n)
    return len(chances)


def accepted(draft: Draft, choose: Callable[[int], int | None]) -> list[int]:
    """Rows of the draft that greedy decoding takes, in order: the path along which each row's token is the chosen one.

    `choose(row)` says which token follows a row (ROOT: the context), None when nothing may. It is asked along the path
    only, once for each row and once for ROOT.
    """
    children = {
        (parent, token): row
        for row, (parent, token) in enumerate(zip(draft.parents, draft.tokens, strict=True))
    }
    path: list[int] = []
    row: int | None = ROOT
    while row is not None and (token := choose(row)) is not None:
        row = children.get((row, token))
        if row is not None:
            path.append(row)
    return path


def tree_behind(n_chain: int, draft: Draft) -> list[int]:
    """Parents of a pass that computes `n_chain` rows one behind the other, and the draft behind the last of them."""
    last = n_chain - 1
    return [*range(-1, last), *(last if parent == ROOT else n_chain + parent for parent in draft.parents)]
