"""Where a pattern stands in a text, and what would be written there. Linear in the text, and bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lsp_server.edits.pattern import CarriedOver, EditPattern, Item
from lsp_server.edits.tokens import (
    CLOSERS,
    LONGEST_LINE,
    NEWLINE,
    OPENERS,
    SourceToken,
    lead_of,
    line_at,
    line_end,
    line_start,
    n_in_common,
    texts,
    tokens_of,
)

MOST_HITS = 200  # of a pattern's anchor that are looked at, the nearest first
MOST_FOUND = 5_000  # that are counted: a hostile text has nothing else
CALL_LINES = 12  # that a call may be spread over
LONGEST_HOLE = 40  # tokens
MOST_WINDOW_CHARS = 6_000


@dataclass(frozen=True)
class EditPlace:
    """`text` would take the place of what stands from `start` to `end`."""

    start: int
    end: int
    text: str
    n_old: int  # tokens that are replaced
    longest_hole: int  # tokens


@dataclass(frozen=True)
class Places:
    """The places of a pattern in one text; `n_hits`: how often its anchor stands there."""

    found: tuple[EditPlace, ...]
    n_hits: int


def places_of(pattern: EditPattern, text: str, near: int) -> Places:
    """Nearest to the offset `near` first; none where the result stands already."""
    anchor = pattern.anchor
    if anchor is None:
        return Places((), 0)
    name = pattern.items[anchor]
    assert isinstance(name, str)
    hits = _hits(text, name)
    found: dict[tuple[int, int], EditPlace] = {}
    for hit in sorted(hits, key=lambda hit: abs(hit - near))[:MOST_HITS]:
        place = _place_at(pattern, anchor, text, hit)
        if place is not None:
            found.setdefault((place.start, place.end), place)
    return Places(tuple(found.values()), len(hits))


def _hits(text: str, name: str) -> list[int]:
    """Where a whole name stands."""
    found: list[int] = []
    at = text.find(name)
    for _ in range(MOST_FOUND):
        if at < 0:
            break
        end = at + len(name)
        if not (_is_of_name(text[at - 1 : at]) or _is_of_name(text[end : end + 1])):
            found.append(at)
        at = text.find(name, end)
    return found


def _place_at(pattern: EditPattern, anchor: int, text: str, hit: int) -> EditPlace | None:
    tokens = _around(pattern, anchor, text, hit)
    at = next((index for index, token in enumerate(tokens) if token.start == hit), None)
    if at is None:
        return None  # in a string, or too long a line
    before = _spans(pattern.items[: anchor + 1][::-1], tokens, at, -1, pattern.kind)
    after = _spans(pattern.items[anchor:], tokens, at, 1, pattern.kind)
    if before is None or after is None:
        return None
    spans = [*before[::-1], *after[1:]]
    holes = _holes(pattern.items, spans, tokens, text)
    if holes is None:
        return None
    return _made(pattern, text, tokens, spans, holes)


def _around(pattern: EditPattern, anchor: int, text: str, hit: int) -> list[SourceToken]:
    """The tokens of as many lines as the pattern may be spread over, a few more on both sides."""
    spread = CALL_LINES if pattern.kind == "call" else 0
    n_above = 1 + sum(item == NEWLINE for item in pattern.items[:anchor])
    n_below = 1 + spread + sum(item == NEWLINE for item in pattern.items[anchor:])
    start, end = line_start(text, hit), line_end(text, hit)
    if end - start > LONGEST_LINE:
        return []
    for _ in range(n_above):
        start = line_start(text, max(start - 1, 0))
    for _ in range(n_below):
        end = line_end(text, min(end + 1, len(text)))
    start, end = max(start, hit - MOST_WINDOW_CHARS), min(end, hit + MOST_WINDOW_CHARS)
    tokens = tokens_of(text, max(start - 1, 0), end)  # with the line end in front
    return [*tokens, SourceToken(NEWLINE, end, end)]


def _spans(
    items: Sequence[Item], tokens: Sequence[SourceToken], at: int, step: int, kind: str
) -> list[tuple[int, int]] | None:
    """(first, behind the last) token of each item in reading order, going from token `at` in one direction."""
    spans: list[tuple[int, int]] = []
    for index, item in enumerate(items):
        if not 0 <= at < len(tokens):
            return None
        n = 1
        if isinstance(item, CarriedOver):
            n = _run(items[index + 1], tokens, at, step, kind) if index + 1 < len(items) else 0
            if not n:
                return None
        elif tokens[at].text != item:
            return None
        spans.append((at, at + n) if step > 0 else (at - n + 1, at + 1))
        at += step * n
    return spans


def _run(until: Item, tokens: Sequence[SourceToken], at: int, step: int, kind: str) -> int:
    """How many tokens from `at` on a hole takes up to the literal behind it; 0 where it cannot."""
    depth = 0
    for n in range(LONGEST_HOLE + 1):
        index = at + step * n
        if not 0 <= index < len(tokens):
            return 0
        text = tokens[index].text
        if n and depth == 0 and text == until:
            return n
        depth += step * ((text in OPENERS) - (text in CLOSERS))
        if depth < 0 or (depth == 0 and kind != "call" and text in (",", NEWLINE, "=", ":")):
            return 0
    return 0


def _holes(
    items: Sequence[Item], spans: Sequence[tuple[int, int]], tokens: Sequence[SourceToken], text: str
) -> dict[int, str] | None:
    """What the holes stand for; None where one of them stands for two things."""
    found: dict[int, str] = {}
    for item, (first, end) in zip(items, spans, strict=True):
        if isinstance(item, CarriedOver):
            told = text[tokens[first].start : tokens[end - 1].end]
            if found.setdefault(item.number, told) != told:
                return None
    return found


def _made(
    pattern: EditPattern,
    text: str,
    tokens: Sequence[SourceToken],
    spans: Sequence[tuple[int, int]],
    holes: dict[int, str],
) -> EditPlace | None:
    n_left, n_old = len(pattern.left), len(pattern.old)
    first = spans[n_left - 1][1] if n_left else spans[0][0]
    end = spans[n_left + n_old][0] if pattern.right else spans[-1][1]
    start_at = tokens[first - 1].end if n_left else tokens[first].start
    end_at = tokens[end].start if pattern.right else tokens[end - 1].end
    here = lead_of(line_at(text, start_at))
    lead = _first_lead(pattern, here, text, tokens[max(first - 1, 0)], tokens[end - 1])
    if lead is None:
        return None
    same = n_in_common(here, lead)
    start_at -= len(here) - same
    ending = "\r\n" if "\r\n" in text[:LONGEST_LINE] else "\n"
    new = lead[same:] + "".join(
        holes[item.number] if isinstance(item, CarriedOver) else pattern.indentation.lines(item, here, ending)
        for item in pattern.new
    )
    is_trailing = pattern.kind == "call" and not n_old and new.lstrip().startswith(",")
    if is_trailing and first and tokens[first - 1].text in (",", NEWLINE, *OPENERS):
        return None  # behind a trailing comma, or where there is no argument yet
    if text[start_at:end_at] == new or _stands_already(tokens, first, end, new):
        return None
    if _is_wrapped(pattern, texts(tokens[first:end])):
        return None
    runs = [b - a for item, (a, b) in zip(pattern.items, spans, strict=True) if isinstance(item, CarriedOver)]
    return EditPlace(start_at, end_at, new, end - first, max(runs, default=0))


def _first_lead(
    pattern: EditPattern, here: str, text: str, before: SourceToken, last: SourceToken
) -> str | None:
    """The indentation of a place's first line once it is edited; None where the edit has no place for its own.

    `before` stands in front of the place, `last` is the last token in it.
    """
    indentation, new = pattern.indentation, pattern.new[0]
    if before.text != NEWLINE:
        return here if indentation.first == indentation.lead else None
    if isinstance(new, str) and new.startswith(("\n", "\r")):
        return ""  # an empty line
    if last.text == NEWLINE and not any(pattern.new):  # whole lines go: the line below keeps its own
        return lead_of(line_at(text, last.end))
    if indentation.above is not None:
        above = lead_of(line_at(text, before.start))
        if above != indentation.elsewhere(indentation.above, here):
            return None
    return indentation.elsewhere(indentation.first, here)


def _stands_already(tokens: Sequence[SourceToken], first: int, end: int, new: str) -> bool:
    """Whether the text around the place already has what would be added to it."""
    old, made = texts(tokens[first:end]), texts(tokens_of(new))
    before, behind = texts(tokens[max(0, first - len(made)) : first]), texts(tokens[end : end + len(made)])
    if not old:
        return bool(made) and (before[-len(made) :] == made or behind == made)
    n = len(old)
    at = next((i for i in range(len(made) - n + 1) if made[i : i + n] == old), None)
    if at is None or len(made) == n:
        return False
    pre, post = made[:at], made[at + n :]
    return before[len(before) - len(pre) :] == pre and behind[: len(post)] == post


def _is_wrapped(pattern: EditPattern, old: Sequence[str]) -> bool:
    """Whether what stands there begins and ends already as the pattern would have it around its holes."""
    holes = [index for index, item in enumerate(pattern.new) if isinstance(item, CarriedOver)]
    if not holes:
        return False
    pre, post = (
        texts(tokens_of("".join(item for item in part if isinstance(item, str))))
        for part in (pattern.new[: holes[0]], pattern.new[holes[-1] + 1 :])
    )
    return bool(pre or post) and old[: len(pre)] == pre and old[len(old) - len(post) :] == post


def _is_of_name(char: str) -> bool:
    return char.isalnum() or char == "_"
