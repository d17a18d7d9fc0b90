"""A document's text in parts that become blocks: sections that begin where the indentation is back at none.

The borders depend on the lines around them only, so that an edit changes one part, in any language and in text that no
parser reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

from model.blocks.block import SPAN
from model.vocabulary import CHARS_PER_TOKEN, Vocabulary

# Behind a blank line a line that is not indented, and not the end of what stands above: what decorates or explains a
# definition stays with it.
_BEGINS = re.compile(r"\n[ \t\r\f]{0,200}\n(?=[^\s)\]}])")
_SECTIONS_KEPT = 512


Split = Callable[[str], tuple[tuple[int, ...], ...]]


def splitting(vocabulary: Vocabulary) -> Split:
    """Ids of the parts of a section. Those of the last few hundred sections are remembered: most of a document stays as
    it is while its cursor moves."""
    return lru_cache(_SECTIONS_KEPT)(lambda text: tuple(_split(vocabulary, text)))


def nearest_parts(split: Split, before: str, after: str, most: int) -> list[tuple[int, ...]]:
    """Ids of parts of at most SPAN tokens, `most` in all, of the text that ends with `before` and of that which begins
    with `after`: the nearest first, of both sides about as much."""
    above = _parts(split, reversed(_last_sections(before, most * CHARS_PER_TOKEN)), last_first=True)
    below = _parts(split, _sections(after[: most * CHARS_PER_TOKEN]), last_first=False)
    waiting, chosen = {0: above, 1: below}, []
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


def _last_sections(text: str, n_chars: int) -> list[str]:
    """Of about so many characters at a text's end; one whose begin lies further back is left out, where others are
    there."""
    found = _sections(text[-n_chars:])
    return found[1:] if len(text) > n_chars and len(found) > 1 else found


def _sections(text: str) -> list[str]:
    """`text` in pieces that give it back when they are joined."""
    borders = [0, *(match.end() for match in _BEGINS.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(borders) if start < end]


def _parts(split: Split, texts: Iterable[str], *, last_first: bool) -> Iterator[tuple[int, ...]]:
    for text in texts:
        if text.strip():
            parts = split(text)
            yield from reversed(parts) if last_first else parts


def _split(vocabulary: Vocabulary, text: str) -> Iterator[tuple[int, ...]]:
    """Parts that each end with a line where one does in time."""
    while text:
        ids, starts = vocabulary.encode_with_starts(text[: SPAN * CHARS_PER_TOKEN * 2])
        if len(ids) <= SPAN and len(text) <= SPAN * CHARS_PER_TOKEN * 2:
            yield tuple(ids)
            return
        end = starts[SPAN] if len(ids) > SPAN else SPAN * CHARS_PER_TOKEN * 2
        cut = text.rfind("\n", 0, end) + 1 or max(end, 1)
        yield tuple(vocabulary.encode(text[:cut])[:SPAN])
        text = text[cut:]
