"""Whether a completion at a cursor is one line or a block, by the syntax around it."""

from __future__ import annotations

from indexer.brace_blocks import brace_block
from indexer.extents import LINE, Extent, columns
from indexer.indented_blocks import indented_block, last_written
from indexer.languages import INDENTATION, known_language
from indexer.lexis import lexis_of
from indexer.parsing import has_grammar
from indexer.scanning import Above, read_above

# A keystroke must not wait for a line of a megabyte.
_CHARS_BEFORE, _CHARS_AFTER = 32_000, 16_000
_CLOSERS = " \t\r)]}\"',;:"
_DEEPEST = 1_000  # columns of indentation below which no block is written


def extent_at(text: str, offset: int, language: str, above: Above | None = None) -> Extent:
    """A block where the cursor stands in an empty body (comments and a docstring apart), else one line.

    `offset` counts characters. Inside comments, strings and half a statement it is one line. `above`: what stands
    before the offset, where braces tell and somebody has read it already.
    """
    start, end = max(0, offset - _CHARS_BEFORE), offset + _CHARS_AFTER
    before, after = text[start:offset].split("\n"), text[offset:end].split("\n")
    if start and len(before) > 1:
        before = before[1:]  # the rest of a line
    lexis, known = lexis_of(language), known_language(language)
    if after[0].strip(_CLOSERS + ("/>" if lexis.tags else "")) or columns(before[-1]) > _DEEPEST:
        return LINE
    if lexis.braces:
        above = above or read_above("\n".join(before), lexis)
        return brace_block(above, "\n".join(after), lexis, whole=end >= len(text))
    if known is not None and known.family == INDENTATION and has_grammar(language):
        return indented_block(before, after, language, whole=not start and end >= len(text))
    return _other_block(before, after)


def _other_block(before: list[str], after: list[str]) -> Extent:
    """Without a grammar: after an opening line, as long as nothing deeper follows."""
    here = before[-1]
    opener = here if here.strip() else last_written(before[:-1])
    if not opener.rstrip().endswith(("{", ":", "=>", "->")):
        return LINE
    following = next((line for line in after[1:] if line.strip()), "")
    if columns(following) > columns(opener):
        return LINE
    deeper = columns(here) if not here.strip() and columns(here) > columns(opener) else columns(opener) + 1
    return Extent(True, deeper)
