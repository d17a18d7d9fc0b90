"""A document's text in parts that become blocks: sections that begin where the indentation is back at none.

A section that is too long falls into its own, by blank lines at deeper and deeper indentation, and only what has none
into lines. The borders depend on the lines around them only, so that an edit changes one part and a part is the same
from wherever the document is looked at, in any language and in text that no parser reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

from model.blocks.block import SPAN
from model.vocabulary import CHARS_PER_TOKEN, Vocabulary

# Behind a blank line a line that is indented at most so, and not the end of what stands above: what decorates or
# explains a definition stays with it.
_BEGINS = re.compile(r"\n[ \t\r\f]{0,200}\n(?=[^\s)\]}])")
_BEGINS_AT_4 = re.compile(r"\n[ \t\r\f]{0,200}\n(?=(?: {0,4}|\t)[^\s)\]}])")
_BEGINS_AT_8 = re.compile(r"\n[ \t\r\f]{0,200}\n(?=(?: {0,8}|\t{1,2})[^\s)\]}])")
_BEGINS_ANYWHERE = re.compile(r"\n[ \t\r\f]{0,200}\n(?=[ \t]{0,200}[^\s)\]}])")
_INNER = (_BEGINS_AT_4, _BEGINS_AT_8, _BEGINS_ANYWHERE)
_SECTIONS_KEPT = 512
_LONGEST = SPAN * CHARS_PER_TOKEN * 2  # characters that are tokenized to see whether they fit

Part = tuple[int, tuple[int, ...]]  # characters, ids
Split = Callable[[str], tuple[Part, ...]]


def splitting(vocabulary: Vocabulary) -> Split:
    """The parts of a section. Those of the last few hundred sections are remembered: most of a document stays as it is
    while its cursor moves."""
    return lru_cache(_SECTIONS_KEPT)(lambda text: tuple(_split(vocabulary, text)))


def nearest_parts(
    split: Split, text: str, start: int, cursor: int, end: int, most: int
) -> list[tuple[int, ...]]:
    """Ids of parts of at most SPAN tokens, `most` in all, that do not lie between the characters `start` and `end`: the
    nearest first, of both sides about as much. One that lies there in part is read whole, as it is from elsewhere,
    unless the cursor is in it."""
    found = _parts(split, text, start - most * CHARS_PER_TOKEN, end + most * CHARS_PER_TOKEN)
    before = [ids for first, _, ids in found if text[first:start].strip()]
    after = [ids for first, last, ids in found if first >= cursor and text[end:last].strip()]
    rest = next((text[end:last] for first, last, _ in found if first < cursor < end < last), "")
    if rest.strip():
        after.insert(0, split(rest.strip("\n"))[0][1])
    waiting, chosen = {0: reversed(before), 1: iter(after)}, []
    taken = [0, 0]
    while waiting:
        side = min(waiting, key=taken.__getitem__)
        part = next(waiting[side], None)
        if part is None or sum(taken) + len(part) > most:
            del waiting[side]
            continue
        chosen.append(part)
        taken[side] += len(part)
    return chosen


def _parts(split: Split, text: str, start: int, end: int) -> list[tuple[int, int, tuple[int, ...]]]:
    """(begin, end, ids) of the parts between two characters. What is cut there is no part."""
    start, whole = max(0, start), end >= len(text)
    found = [part for section in _pieces(_BEGINS, text[start:end]) for part in split(section)]
    ends = list(accumulate((n for n, _ in found), initial=start))
    parts = [(a, b, ids) for (a, b), (_, ids) in zip(pairwise(ends), found, strict=True)]
    return parts[(start > 0) : len(parts) - (not whole)]


def _pieces(begins: re.Pattern[str], text: str) -> list[str]:
    """`text` in pieces that give it back when they are joined."""
    borders = [0, *(match.end() for match in begins.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(borders) if start < end]


def _split(vocabulary: Vocabulary, text: str, levels: Sequence[re.Pattern[str]] = _INNER) -> Iterator[Part]:
    ids, _ = vocabulary.encode_with_starts(text[:_LONGEST])
    if len(ids) <= SPAN and len(text) <= _LONGEST:
        yield len(text), tuple(ids)
    elif levels:
        for piece in _pieces(levels[0], text):
            yield from _split(vocabulary, piece, levels[1:])
    else:
        yield from _lines(vocabulary, text)


def _lines(vocabulary: Vocabulary, text: str) -> Iterator[Part]:
    """Parts that each end with a line where one does in time."""
    while text:
        ids, starts = vocabulary.encode_with_starts(text[:_LONGEST])
        end = starts[SPAN] if len(ids) > SPAN else len(text[:_LONGEST])
        cut = len(text) if end == len(text) else text.rfind("\n", 0, end) + 1 or max(end, 1)
        yield cut, tuple(vocabulary.encode(text[:cut])[:SPAN])
        text = text[cut:]
