"""How much the places agree that share the most with a cursor: nine that go on alike say more than one of ten.

What counts as shared is the caller's: words before the cursor on its line, or equal lines around it. Pure functions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Shared:
    """A place that shares `length` words or lines with the cursor and goes on with `text`."""

    length: int
    text: str
    path: str


@dataclass(frozen=True)
class Agreement:
    """Of the places with the most in common, `length`: `n_places` in `n_files` files go on with a text, which is the
    part `share` of them; `n_texts`: in how many ways all of them go on. All 0 for a text that none of them has."""

    length: int = 0
    n_places: int = 0
    n_files: int = 0
    share: float = 0.0
    n_texts: int = 0


NONE = Agreement()


def agreements(places: Iterable[Shared]) -> Mapping[str, Agreement]:
    """By text, of the texts behind the longest; nothing where no place shares anything."""
    by_length: defaultdict[int, list[Shared]] = defaultdict(list)
    for place in places:
        by_length[place.length].append(place)
    length = max(by_length, default=0)
    if not length:
        return {}
    longest = by_length[length]
    counts = Counter(place.text for place in longest)
    files = Counter(text for text, _ in {(place.text, place.path) for place in longest})
    return {
        text: Agreement(length, n, files[text], n / len(longest), len(counts)) for text, n in counts.items()
    }
