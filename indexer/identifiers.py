"""Identifiers in text: how code is tokenized for lexical search, and which names around a cursor matter."""

from __future__ import annotations

import re
from functools import lru_cache

from indexer import lists

_IDENTIFIER = re.compile(r"[^\W\d]\w{1,63}")
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[^\W\d_A-Za-z]+")
_MAX_TERMS = 400

COMMON_WORDS = frozenset(lists.load("common_words"))


@lru_cache(maxsize=1_024)  # of names that are searched; those of texts are kept below
def terms_of(identifier: str) -> tuple[str, ...]:
    """The identifier and its snake_case / camelCase parts of three letters and more, lower case."""
    whole = identifier.lower()
    parts = [part.lower() for part in _PART.findall(identifier)]
    return (whole, *(part for part in parts if len(part) > 2 and part != whole))


def identifiers(text: str) -> list[str]:
    """Identifiers in order of appearance, as written, common words left out."""
    return [name for name in _IDENTIFIER.findall(text) if name.lower() not in COMMON_WORDS]


def terms(text: str) -> list[str]:
    """Distinct search terms of a text, at most 400: a chunk's document in the full-text index."""
    found: dict[str, None] = {}
    for identifier in dict.fromkeys(_IDENTIFIER.findall(text)):
        for term in _search_terms(identifier):
            found[term] = None
    return list(found)[:_MAX_TERMS]


@lru_cache(maxsize=32_768)  # 350 bytes each
def _search_terms(identifier: str) -> tuple[str, ...]:
    return () if identifier.lower() in COMMON_WORDS else terms_of.__wrapped__(identifier)


def weighted_identifiers(before: str, after: str, lines: int = 40) -> dict[str, float]:
    """Identifiers around the cursor with weights in (0, 1]: the nearer their line, the more they say.

    The last 20 lines before the cursor weigh 1 to 0.5, the 20 above them up to 0.25, the 10 lines after up to 0.4.
    """
    weights: dict[str, float] = {}
    above = before[-8_000:].split("\n")[-lines:]
    below = after[:2_000].split("\n")[:10]
    for distance, line in enumerate(reversed(above)):
        weight = 1 - distance / 40 if distance < 20 else 0.25 * (1 - distance / (2 * lines))
        _keep_largest(weights, line, weight)
    for distance, line in enumerate(below):
        _keep_largest(weights, line, 0.4 * (1 - distance / 20))
    return weights


def _keep_largest(weights: dict[str, float], line: str, weight: float) -> None:
    for name in identifiers(line):
        weights[name] = max(weight, weights.get(name, 0.0))
