"""How good are next edits? Commits that change one Python file at several places are typed anew, from top to bottom.

`python -m tests.benchmarks.next_edit --repositories FOLDER`: each folder in it is a git repository, bare or not (its
`repo` folder, if it has one). After each edit that was typed or taken, the next one is asked for. An offer is right
when applying it gives exactly what one of the edits left gives, else it is wrong, and refused. With `--fit` it prints
the weights of `lsp_server/edits/chances.py`, fitted to these repositories. With `--told FILE` it writes what was
shown and what was missed there, a line of JSON each, for whoever wants to read them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from lsp_server.edits.chances import features_of
from lsp_server.edits.changes import Key
from lsp_server.edits.history import History
from lsp_server.edits.meanings import OpenText
from lsp_server.edits.proposing import EditProposal, propose
from lsp_server.edits.tokens import line_end, line_start
from lsp_server.settings import DEFAULTS
from tests.benchmarks.histories import OldAndNew, edits_of

URI = "file:///typed.py"
BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)
MORE_EXAMPLES = ("second", "third", "second and new", "second and narrow")
N_WEIGHED = 12  # proposals after one edit that weights are fitted to


@dataclass(frozen=True)
class Shown:
    """An offer, and whether it was right."""

    commit: str
    chance: float
    n_examples: int
    right: bool
    kind: str  # of the pattern
    learned: tuple[str, str]  # lines of the edit that it repeats, before and after
    old: str  # whole lines that it would change
    new: str  # and what they would be


@dataclass(frozen=True)
class Missed:
    """An edit that had to be typed; `chance`: of what was held back and would have made it, None for nothing."""

    commit: str
    old: str
    new: str
    chance: float | None


@dataclass
class Played:
    """What came of typing a commit."""

    n_wanted: int = 0  # edits, the first of each commit not counted
    shown: list[Shown] = field(default_factory=list)
    missed: list[Missed] = field(default_factory=list)

    def add(self, other: Played) -> None:
        self.n_wanted += other.n_wanted
        self.shown += other.shown
        self.missed += other.missed

    def told(self) -> Iterator[str]:
        """A line of JSON for each offer and each miss."""
        told: list[Shown | Missed] = [*self.shown, *self.missed]
        for one in told:
            yield json.dumps({"what": type(one).__name__.lower(), **asdict(one)}) + "\n"


class Typist:
    """Types one commit, edit after edit."""

    def __init__(self, edit: OldAndNew) -> None:
        self._edit = edit
        self._history = History()
        self._done: frozenset[int] = frozenset()
        self._at = 0
        self._history.changed(URI, "python", edit.text(self._done))

    def type_next(self) -> bool:
        """Whether there was another one to type."""
        left = self._left
        if left:
            self._take(left[0])
        return bool(left)

    def shown(self, offer: EditProposal) -> Shown:
        """An offer as it would be told of."""
        learned, text = offer.occasion.learned, self._edit.text(self._done)
        first, last = line_start(text, offer.start), line_end(text, offer.end)
        return Shown(
            commit=self._edit.commit,
            chance=offer.chance,
            n_examples=offer.n_examples,
            right=self.meant(offer) is not None,
            kind=learned.pattern.kind,
            learned=learned.edit.changed,
            old=text[first:last],
            new=text[first : offer.start] + offer.text + text[offer.end : last],
        )

    def missed(self, held: Sequence[EditProposal]) -> Iterator[Missed]:
        """The edit that has to be typed next, if there is one, where no offer made it."""
        for index in self._left[:1]:
            chances = [one.chance for one in held if self.meant(one) == index]
            step = self._edit.steps[index]
            old, new = "".join(self._edit.lines[step.first : step.end]), "".join(step.lines)
            yield Missed(self._edit.commit, old, new, max(chances, default=None))

    def proposals(self, refused: set[Key]) -> list[EditProposal]:
        """All that may come next, nearest first."""
        text = self._edit.text(self._done)
        return propose(self._history.edits(), OpenText(URI, "python", text, self._at), (), refused)

    def meant(self, proposal: EditProposal) -> int | None:
        """The edit that it makes exactly, None for a wrong one."""
        text = self._edit.text(self._done)
        made = text[: proposal.start] + proposal.text + text[proposal.end :]
        for step in self._left:
            start = self._edit.offset(step, self._done)
            end = start + self._edit.length(step, self._done)
            near = proposal.start <= end + 1 and start - 1 <= proposal.end
            if near and made == self._edit.text(self._done | {step}):
                return step
        return None

    def take(self, step: int) -> None:
        self._take(step)

    @property
    def _left(self) -> list[int]:
        return [step for step in range(len(self._edit.steps)) if step not in self._done]

    def _take(self, step: int) -> None:
        self._done |= {step}
        self._at = self._edit.offset(step, self._done)
        self._history.changed(URI, "python", self._edit.text(self._done))


def played(edit: OldAndNew, min_chance: float) -> Played:
    """Type a commit and take what is right."""
    typist, refused, found = Typist(edit), set[Key](), Played(len(edit.steps) - 1)
    while typist.type_next():
        proposals = typist.proposals(refused)
        while offer := next((one for one in proposals if one.chance >= min_chance), None):
            found.shown.append(typist.shown(offer))
            step = typist.meant(offer)
            if step is None:
                refused.add(offer.key)
            else:
                typist.take(step)
            proposals = typist.proposals(refused)
        found.missed += typist.missed(proposals)
    return found


def weighed(edit: OldAndNew) -> Iterator[tuple[list[float], bool, float, list[str]]]:
    """(features, right, weight, names) of what might be offered while a commit is typed without help."""
    typist = Typist(edit)
    while typist.type_next():
        proposals = typist.proposals(set())[:N_WEIGHED]
        for proposal in proposals:
            features = features_of(proposal.occasion)
            right = typist.meant(proposal) is not None
            yield list(features.values()), right, len(proposals) ** -0.5, list(features)


def fitted(edits: Sequence[OldAndNew], l2: float = 1.0) -> dict[str, float]:
    """Weights of a logistic regression, by Newton's method. What a further example would take away is left out."""
    rows = [row for edit in edits for row in weighed(edit)]
    x, y, w = (np.array([row[index] for row in rows], float) for index in range(3))
    kept = list(rows[0][3])
    while True:
        columns = [rows[0][3].index(name) for name in kept]
        weights = _newton(x[:, columns], y, w, l2)
        found = {name: round(float(weight), 3) for name, weight in zip(kept, weights, strict=True)}
        less = [name for name in MORE_EXAMPLES if found.get(name, 0.0) < 0]
        if not less:
            sys.stderr.write(f"{len(rows)} proposals, {y.mean():.1%} right\n")
            return found
        kept.remove(min(less, key=lambda name: found[name]))


def _newton(x: np.ndarray, y: np.ndarray, w: np.ndarray, l2: float) -> np.ndarray:
    weights = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (w * (p - y)) + l2 * weights
        hessian = (x.T * (w * p * (1 - p))) @ x + l2 * np.eye(len(weights))
        weights -= np.linalg.solve(hessian, gradient)
    return weights


def table(name: str, done: Played) -> Iterator[str]:
    """Lines for people."""
    right = sum(one.right for one in done.shown)
    yield f"{name}: wanted {done.n_wanted}, shown {len(done.shown)}, right {right}" + _share(
        right, len(done.shown)
    )
    yield f"  edits predicted{_share(right, done.n_wanted)}"
    for n, label in ((1, "one example"), (2, "two"), (3, "three and more")):
        of_them = [one for one in done.shown if min(one.n_examples, 3) == n]
        yield f"  {label}: shown {len(of_them)}{_share(sum(one.right for one in of_them), len(of_them))}"
    for low, high in pairwise(BINS):
        of_them = [one for one in done.shown if low <= one.chance < high]
        right = sum(one.right for one in of_them)
        yield f"  chance {low:.1f} to {min(high, 1):.1f}: {len(of_them)}{_share(right, len(of_them))}"


def _share(part: int, whole: int) -> str:
    return f" ({part / whole:.1%})" if whole else " (-)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 2 when there is no repository."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.next_edit", description=__doc__)
    parser.add_argument("--repositories", type=Path, required=True)
    parser.add_argument("--only", default="", help="names of folders, separated by commas")
    parser.add_argument("--commits", type=int, default=200, help="newest commits per repository")
    parser.add_argument("--min-chance", type=float, default=DEFAULTS.edits.min_confidence)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--told", type=Path, help="a file that is written anew")
    options = parser.parse_args(arguments)
    only = set(filter(None, options.only.split(",")))
    folders = [
        one
        for one in sorted(options.repositories.iterdir())
        if one.is_dir() and (not only or one.name in only)
    ]
    if not folders:
        parser.error(f"no repository in {options.repositories}")
    repositories = {one.name: one / "repo" if (one / "repo").is_dir() else one for one in folders}
    if options.fit:
        edits = [edit for path in repositories.values() for edit in edits_of(path, options.commits)]
        sys.stdout.write(json.dumps(fitted(edits), indent=4) + "\n")
        return 0
    everything = Played()
    for name, path in repositories.items():
        done = Played()
        for edit in edits_of(path, options.commits):
            done.add(played(edit, options.min_chance))
        everything.add(done)
        sys.stdout.write("\n".join(table(name, done)) + "\n")
        sys.stdout.flush()
    sys.stdout.write("\n".join(table("all", everything)) + "\n")
    if options.told:
        options.told.write_text("".join(everything.told()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
