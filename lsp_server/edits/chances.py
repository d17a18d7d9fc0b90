"""How likely an edit is wanted at a place: a logistic function of what is known of both.

Fitted and measured by `python -m tests.benchmarks.next_edit`; `WEIGHTS` are what its `--fit` printed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log1p

from lsp_server.edits.history import Edit
from lsp_server.edits.pattern import ChangedTokens, EditPattern, Hole
from lsp_server.edits.places import EditPlace, Places
from lsp_server.edits.tokens import line_end, line_start, texts, tokens_of

MOST_SIMILAR_CHARS = 400  # of a line that is compared
FAR = 5_000  # lines

WEIGHTS: Mapping[str, float] = {}


@dataclass(frozen=True)
class Occasion:
    """A pattern of an edit at one of its places in a document."""

    edit: Edit
    changed: ChangedTokens
    pattern: EditPattern
    places: Places
    place: EditPlace
    text: str  # of the document
    n_examples: int
    n_lines_away: int | None  # from the cursor; None: another document


def features_of(occasion: Occasion) -> Mapping[str, float]:
    """What the chance is made of, by name."""
    pattern, place, changed = occasion.pattern, occasion.place, occasion.changed
    old, new = changed.edit_lines
    here = _line(occasion.text, place.start)
    away = occasion.n_lines_away
    n_context = sum(not isinstance(item, Hole) for item in pattern.left + pattern.right)
    return {
        "bias": 1.0,
        "second": float(occasion.n_examples >= 2),
        "third": float(occasion.n_examples >= 3),
        "call": float(pattern.kind == "call"),
        "holes": float(pattern.kind == "holes"),
        "context": log1p(n_context),
        "bare": float(not pattern.left or not pattern.right),
        "old names": log1p(sum(_is_word(item) for item in changed.old)),
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


def _is_word(token: str) -> bool:
    return token[0].isalnum() or token[0] in "_\"'"
