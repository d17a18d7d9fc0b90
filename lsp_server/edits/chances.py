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
    "bias": -1.626,
    "second": 0.118,
    "third": 0.44,
    "call": -0.588,
    "holes": -0.873,
    "context": 1.122,
    "bare": -0.294,
    "old names": 0.291,
    "insertion": -1.359,
    "deletion": -0.989,
    "new": -0.993,
    "lines": -0.439,
    "hits": -0.658,
    "places": -0.298,
    "only place": -0.821,
    "similar": 0.762,
    "same indentation": 0.894,
    "away": -0.262,
    "elsewhere": 0.0,
    "wide hole": 0.1,
    "new line": -1.307,
    "renamed": 1.696,
    "same name": 0.706,
    "other name": 0.991,
    "no syntax": 0.0,
    "both code": 1.994,
    "same node": -0.483,
    "not the newest": -0.587,
    "old remains": 2.124,
    "second and narrow": 0.665,
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
        "no syntax": float(occasion.same_kind is None),
        "both code": float(occasion.same_kind is not None and occasion.same_kind[0]),
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
