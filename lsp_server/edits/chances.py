"""How likely an edit is wanted at a place: a logistic function of what is known of both.

Fitted and measured by `python -m tests.benchmarks.next_edit`: `WEIGHTS` are what its `--fit` printed before the last
changes of the patterns; what it prints now serves other histories no better (tests/benchmarks/README.md). A second
example never makes an edit less likely.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log1p

from lsp_server.edits.meanings import Learned
from lsp_server.edits.pattern import CarriedOver, EditPattern
from lsp_server.edits.places import EditPlace, Places
from lsp_server.edits.tokens import is_word, lead_of, line_at, texts, tokens_of

MOST_SIMILAR_CHARS = 400  # of a line that is compared
FAR = 5_000  # lines

WEIGHTS: Mapping[str, float] = {
    "bias": -2.069,
    "third": 0.653,
    "call": -0.287,
    "holes": -0.908,
    "context": 1.266,
    "bare": 0.028,
    "old names": -0.04,
    "old": 0.667,
    "names": -0.4,
    "insertion": -0.652,
    "deletion": -1.423,
    "new": -1.161,
    "lines": -0.285,
    "hits": -0.537,
    "places": -0.208,
    "only place": -0.96,
    "similar": 0.72,
    "same indentation": 0.784,
    "away": -0.226,
    "wide hole": -0.21,
    "new line": -1.543,
    "renamed": 1.388,
    "same name": 0.821,
    "other name": 0.568,
    "both code": 1.455,
    "same node": -0.132,
    "not the newest": -0.542,
    "old remains": 2.36,
    "second and narrow": 0.632,
}


@dataclass(frozen=True)
class Occasion:
    """A pattern of an edit at one of its places in a document."""

    learned: Learned
    places: Places
    place: EditPlace
    text: str  # of the document
    n_lines_away: int | None  # from the cursor; None: another document
    same_name: bool | None  # what a renamed name means there; None: it is not known, or none was renamed
    same_kind: (
        tuple[bool, bool] | None
    )  # whether both are comments, strings or code; whether the node's kind agrees


def features_of(occasion: Occasion) -> Mapping[str, float]:
    """What the chance is made of, by name."""
    return {"bias": 1.0, **_of_pattern(occasion.learned), **_of_place(occasion)}


def _of_pattern(learned: Learned) -> Mapping[str, float]:
    pattern, changed = learned.pattern, learned.changed
    n_context = _n_context(pattern)
    has_second = float(learned.n_examples >= 2)
    return {
        "second": has_second,
        "third": float(learned.n_examples >= 3),
        "call": float(pattern.kind == "call"),
        "holes": float(pattern.kind == "holes"),
        "context": log1p(n_context),
        "bare": float(not pattern.left or not pattern.right),
        "old names": log1p(sum(is_word(item) for item in changed.old)),
        "old": log1p(len(changed.old)),
        "names": log1p(pattern.n_names),
        "insertion": float(not changed.old),
        "deletion": float(not changed.new),
        "new": log1p(len(changed.new)),
        "new line": float(not changed.old_line.strip()),
        "renamed": float(changed.renamed is not None),
        "not the newest": float(learned.rank > 0),
        "old remains": float(bool(changed.old) and _names(changed.old) <= _names(changed.new)),
        "second and new": has_second * log1p(len(changed.new)),
        "second and narrow": has_second * log1p(n_context),
    }


def _of_place(occasion: Occasion) -> Mapping[str, float]:
    place, away, same_kind = occasion.place, occasion.n_lines_away, occasion.same_kind
    changed = occasion.learned.changed
    here = line_at(occasion.text, place.start)
    return {
        "lines": float("\n" in place.text or "\n" in changed.old),
        "hits": log1p(occasion.places.n_hits),
        "places": log1p(len(occasion.places.found)),
        "only place": float(len(occasion.places.found) == 1),
        "similar": _similarity(changed.old_line, here),
        "same indentation": float(lead_of(here) == lead_of(changed.old_line)),
        "away": log1p(FAR if away is None else min(away, FAR)),
        "wide hole": float(place.longest_hole > 1),
        "same name": float(occasion.same_name is True),
        "other name": float(occasion.same_name is False),
        "both code": float(same_kind is None or same_kind[0]),  # most places are code
        "same node": float(same_kind is not None and same_kind[1]),
    }


def chance_of(occasion: Occasion) -> float:
    """Between 0 and 1."""
    total = sum(WEIGHTS.get(name, 0.0) * value for name, value in features_of(occasion).items())
    return 1 / (1 + exp(-max(-30.0, min(30.0, total))))


def _n_context(pattern: EditPattern) -> int:
    """Tokens beside the change that must stand there."""
    return sum(not isinstance(item, CarriedOver) for item in pattern.left + pattern.right)


def _similarity(a: str, b: str) -> float:
    """Share of their tokens that two lines have in common."""
    one, two = (Counter(texts(tokens_of(line[:MOST_SIMILAR_CHARS]))) for line in (a, b))
    n = (one | two).total()
    return (one & two).total() / n if n else 0.0


def _names(tokens: tuple[str, ...]) -> set[str]:
    return {token for token in tokens if is_word(token)}
