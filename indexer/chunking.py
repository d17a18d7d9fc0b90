"""Text -> chunks: syntactic units that together are the whole file. Pure.

A language of `languages.py` is cut along its syntax (`outline.py`): a function or method is a chunk, a class that fits
is one, else its header is; statements between them are grouped, long bodies are cut at statements. Any other text is
cut at blank lines, least indented first. Borders come from the text around them only (see `splitting`), so that an edit
re-cuts one chunk. Broken code still chunks: tree-sitter recovers, and what it cannot read are plain lines.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from indexer.languages import known_language
from indexer.outline import MAX_DEPTH, Outline, OutlineDefinition, Symbol
from indexer.outliner import outline_within_limits
from indexer.parsing import absent_wheels, has_grammar
from indexer.splitting import DEFAULT_LIMITS, ChunkLimits, MeasuredLines, split

# Part of every digest: raise it when the same text would give other chunks in all languages.
CHUNKER_VERSION = 2
# Part of no digest: raise it when texts of some languages would give other chunks, and all files are cut again.
QUERIES_VERSION = 2


@dataclass(frozen=True)
class Chunk:
    """A run of lines of one file. Lines are 1-based and inclusive; `scope` holds the headers that enclose the first."""

    text: str
    first_line: int
    last_line: int
    scope: str
    symbols: tuple[Symbol, ...]

    @property
    def signature(self) -> str:
        """The signatures defined here, under the headers that enclose them; "" if nothing is defined."""
        shown = [symbol for symbol in self.symbols if symbol.kind != "variable"]
        lines = ["    " * symbol.depth + symbol.signature for symbol in shown]
        return "\n".join(([self.scope] if self.scope else []) + lines) if lines else ""


def cutting(max_lines: int, max_chars: int) -> str:
    """All that decides how files are cut, the grammars that are not installed among it."""
    return " ".join(map(str, (CHUNKER_VERSION, QUERIES_VERSION, max_lines, max_chars, *absent_wheels())))


def chunk(text: str, language: str, limits: ChunkLimits = DEFAULT_LIMITS) -> list[Chunk]:
    """Cut a text. Joined in order, the chunks' texts are the text; none exceeds the limits."""
    lines = MeasuredLines(text)
    if not lines.rows:
        return []
    known = known_language(language) if has_grammar(language) else None
    outline = (outline_within_limits(text, lines, known, limits) if known else None) or _paragraphs(lines)
    pieces = split(lines, outline.forced, outline.borders, limits)
    scopes = _scopes([first for first, _ in pieces], outline.definitions)
    symbols = sorted(outline.symbols, key=lambda defined: defined[0])
    rows = [row for row, _ in symbols]
    chunks: list[Chunk] = []
    for (first, end), scope in zip(pieces, scopes, strict=True):
        here = tuple(symbol for _, symbol in symbols[bisect_left(rows, first) : bisect_left(rows, end)])
        chunks += _pieces_of_line(Chunk(lines.text(first, end), first + 1, end, scope, here), limits)
    return chunks


def _pieces_of_line(whole: Chunk, limits: ChunkLimits) -> Iterator[Chunk]:
    """A chunk above the limit is one long line: cut it by length, there is nothing better."""
    text = whole.text
    if len(text) <= limits.chars:
        yield whole
        return
    for start in range(0, len(text), limits.chars):
        symbols = whole.symbols if start == 0 else ()
        piece = text[start : start + limits.chars]
        yield Chunk(piece, whole.first_line, whole.last_line, whole.scope, symbols)


def _paragraphs(lines: MeasuredLines) -> Outline:
    borders = [row for row in range(1, len(lines)) if lines.is_blank(row - 1) and not lines.is_blank(row)]
    return Outline((), borders, (), ())


def _scopes(starts: Sequence[int], definitions: Sequence[OutlineDefinition]) -> list[str]:
    """For each piece the headers of the definitions that its first row is inside of, one line each, indented."""
    scopes: list[str] = []
    around: list[OutlineDefinition] = []
    waiting = list(reversed(definitions))
    for start in starts:
        while waiting and waiting[-1].first < start:
            found = waiting.pop()
            around = [outer for outer in around if outer.last >= found.first] + [found]
        around = [outer for outer in around if outer.last >= start]
        scopes.append(
            "\n".join("    " * depth + outer.signature for depth, outer in enumerate(around[-MAX_DEPTH:]))
        )
    return scopes
