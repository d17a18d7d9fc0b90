"""How likely an edit is wanted at a place: a logistic function of what is known of both.

Fitted and measured by `python -m tests.benchmarks.next_edit`; `WEIGHTS` are what its `--fit` printed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log1p

from lsp_server.edits.pattern import Hole, Learned
from lsp_server.edits.places import EditPlace, Places
from lsp_server.edits.tokens import line_end, line_start, texts, tokens_of

MOST_SIMILAR_CHARS = 400  # of a line that is compared
FAR = 5_000  # lines

WEIGHTS: Mapping[str, float] = {
    "bias": -2.092,
    "second": -0.196,
    "third": 0.699,
    "call": -0.265,
    "holes": -0.812,
    "context": 1.242,
    "bare": 0.025,
    "old names": -0.06,
    "old": 0.673,
    "names": -0.373,
    "insertion": -0.671,
    "deletion": -1.437,
    "new": -1.166,
    "lines": -0.284,
    "hits": -0.527,
    "places": -0.177,
    "only place": -0.886,
    "similar": 0.712,
    "same indentation": 0.787,
    "away": -0.222,
    "wide hole": -0.159,
    "new line": -1.555,
    "renamed": 1.394,
    "same name": 0.849,
    "other name": 0.545,
    "both code": 1.407,
    "same node": -0.134,
    "not the newest": -0.532,
    "old remains": 2.359,
    "second and general": -0.444,
    "second and new": 0.073,
    "second and narrow": 0.714,
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
    learned, place = occasion.learned, occasion.place
    pattern, changed = learned.pattern, learned.changed
    old = changed.old_line
    here = _line(occasion.text, place.start)
    away = occasion.n_lines_away
    n_context = sum(not isinstance(item, Hole) for item in pattern.left + pattern.right)
    return {
        "bias": 1.0,
        "second": float(learned.n_examples >= 2),
        "third": float(learned.n_examples >= 3),
        "call": float(pattern.kind == "call"),
        "holes": float(pattern.kind == "holes"),
        "context": log1p(n_context),
        "bare": float(not pattern.left or not pattern.right),
        "old names": log1p(sum(_is_word(item) for item in changed.old)),
        "old": log1p(len(changed.old)),
        "names": log1p(pattern.n_names),
        "insertion": float(not changed.old),
        "deletion": float(not changed.new),
        "new": log1p(len(changed.new)),
        "lines": float("\n" in place.text or "\n" in changed.old),
        "hits": log1p(occasion.places.n_hits),
        "places": log1p(len(occasion.places.found)),
        "only place": float(len(occasion.places.found) == 1),
        "similar": _similarity(old, here),
        "same indentation": float(_lead(here) == _lead(old)),
        "away": log1p(FAR if away is None else min(away, FAR)),
        "elsewhere": float(away is None),
        "wide hole": float(place.longest_hole > 1),
        "new line": float(not old.strip()),
        "renamed": float(changed.renamed is not None),
        "same name": float(occasion.same_name is True),
        "other name": float(occasion.same_name is False),
        "both code": float(occasion.same_kind is None or occasion.same_kind[0]),  # most places are code
        "same node": float(occasion.same_kind is not None and occasion.same_kind[1]),
        "not the newest": float(learned.rank > 0),
        "old remains": float(bool(changed.old) and _names(changed.old) <= _names(changed.new)),
        "second and general": float(learned.n_examples >= 2 and pattern.kind != "neighbors"),
        "second and new": float(learned.n_examples >= 2) * log1p(len(changed.new)),
        "second and narrow": float(learned.n_examples >= 2) * log1p(n_context),
    }


def chance_of(occasion: Occasion) -> float:
    """Between 0 and 1."""
    total = sum(WEIGHTS.get(name, 0.0) * value for name, value in features_of(occasion).items())
    return 1 / (1 + exp(-max(-30.0, min(30.0, total))))


def _similarity(a: str, b: str) -> float:
    """Share of their tokens that two lines have in common."""
    one, two = (Counter(texts(tokens_of(line[:MOST_SIMILAR_CHARS]))) for line in (a, b))
    n = (one | two).total()
    return (one & two).total() / n if n else 0.0


def _line(text: str, offset: int) -> str:
    return text[line_start(text, offset) : line_end(text, offset)]


def _lead(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _names(tokens: tuple[str, ...]) -> set[str]:
    return {token for token in tokens if _is_word(token)}


def _is_word(token: str) -> bool:
    return token[0].isalnum() or token[0] in "_\"'"
