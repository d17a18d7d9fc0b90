"""The longest match of a text's end in other texts: what copying alone is worth."""

from __future__ import annotations

from collections.abc import Sequence

_SHORTEST, _LONGEST = 4, 2048  # characters


def continuation(context: str, texts: Sequence[str]) -> str:
    """What follows the longest end of `context` that occurs in `texts`; of equals the first text's; "" without any.

    An end of `context` that stands at a text's end says nothing: `context` itself may be one of them.
    """
    best_length, best = _SHORTEST - 1, ""
    for text in texts:
        # Only a longer match than the best so far is of interest; that one is there is seen at once.
        if _find(context, text, best_length + 1) < 0:
            continue
        best_length = _longest(context, text, best_length + 1)
        best = text[_find(context, text, best_length) + best_length :]
    return best


def _longest(context: str, text: str, known: int) -> int:
    """Length of the longest end of `context` in `text`; one of `known` characters is there (binary search)."""
    low, high = known, min(_LONGEST, len(context))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _find(context, text, middle) >= 0 else (low, middle - 1)
    return low


def _find(context: str, text: str, length: int) -> int:
    """Where the last `length` characters of `context` stand in `text` with something behind them; -1: nowhere."""
    return text.rfind(context[-length:], 0, len(text) - 1) if length <= len(context) else -1
