"""Text -> chunks: syntactic units that together are the whole file. Pure; the only file that knows tree-sitter.

Python is cut along its syntax (`queries/python.scm`): a function or method is a chunk, a class that fits is one, else
its header is; statements between them are grouped, long bodies are cut at statements. Any other text is cut at
blank lines, least indented first. Borders come from the text around them only (see `splitting`), so that an edit
re-cuts one chunk. Broken code still chunks: tree-sitter recovers, and what it cannot read are plain lines.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from tree_sitter import Node, QueryCursor

from indexer.parsing import has_grammar, parse, query_of
from indexer.splitting import DEFAULT_LIMITS, ChunkLimits, MeasuredLines, split

# Part of every digest: raise it when the same text would give other chunks.
CHUNKER_VERSION = 2
# A definition up to this size is merged with its neighbors (properties, exceptions, overloads).
_SMALL = ChunkLimits(lines=5, chars=240)
_MAX_HEADER_CHARS = 200
_MAX_DEPTH = (
    16  # of headers that a scope names: a thousand nested classes would repeat a megabyte in each chunk
)
# Bytes that tree-sitter works through at a time: it holds the interpreter, and other threads want to answer.
_SEARCHED_AT_ONCE = 65_536
# What is not read as Python but as plain lines, because tree-sitter takes seconds or minutes for it: a longer line, an
# error with more nodes in a row, and more steps of the query, which looks from each unnamed node for a named one.
_LONGEST_LINE, _MAX_IN_ERROR, _MAX_STEPS = 10_000, 20_000, 2_000_000


@dataclass(frozen=True)
class Symbol:
    """A name that a chunk defines. `signature` is one line: a multi-line header is joined. `depth`: of its nesting."""

    name: str
    kind: str  # "class" | "function" | "method" | "variable"
    signature: str
    depth: int = 0


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


@dataclass(frozen=True)
class _Definition:
    first: int  # row of the decorators or of the comment above
    row: int  # row of the def or class line
    last: int
    signature: str
    symbol: Symbol | None  # None inside a function: not reachable from elsewhere


@dataclass(frozen=True)
class _Outline:
    """What a language knows about a text: where pieces must begin, where they may, and what is defined."""

    forced: Sequence[int]
    borders: Sequence[int]
    definitions: Sequence[_Definition]
    symbols: Sequence[tuple[int, Symbol]]  # by row


def chunk(text: str, language: str, limits: ChunkLimits = DEFAULT_LIMITS) -> list[Chunk]:
    """Cut a text. Joined in order, the chunks' texts are the text; none exceeds the limits."""
    lines = MeasuredLines(text)
    if not lines.rows:
        return []
    is_read = language == "python" and has_grammar(language)
    outline = _python_outline(text, lines, limits) if is_read else _paragraphs(lines)
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


def _paragraphs(lines: MeasuredLines) -> _Outline:
    borders = [row for row in range(1, len(lines)) if lines.is_blank(row - 1) and not lines.is_blank(row)]
    return _Outline((), borders, (), ())


def _captures(root: Node, n_bytes: int) -> Mapping[str, Sequence[Node]]:
    """The query's captures, and those of the module itself. What reaches over several pieces is there several times.

    A query that knew the module would begin anew with its first statement in each piece of the text, and hold the
    interpreter until it came to the piece.
    """
    found: dict[str, list[Node]] = {}
    if root.type == "module":
        found["statement"] = [child for child in root.named_children if not child.is_error]
        found["variable"] = [name for child in found["statement"] for name in _bound(child)]
    for start in range(0, n_bytes, _SEARCHED_AT_ONCE):
        cursor = QueryCursor(query_of("python"))
        cursor.set_byte_range(start, start + _SEARCHED_AT_ONCE)
        for name, nodes in cursor.captures(root).items():
            found.setdefault(name, []).extend(nodes)
    return found


def _bound(statement: Node) -> Iterator[Node]:
    """The name that a statement gives a value."""
    if statement.type == "expression_statement":
        for child in statement.named_children:
            left = child.child_by_field_name("left") if child.type == "assignment" else None
            if left is not None and left.type == "identifier":
                yield left


def _is_tangled(root: Node) -> bool:
    """Whether broken code makes the query slow: n brackets in a row in one error node cost n * n / 2 steps."""
    steps = 0
    waiting = [root] if root.has_error else []
    while waiting and steps <= _MAX_STEPS:
        node = waiting.pop()
        if node.type == "ERROR" and node.child_count > _MAX_IN_ERROR:
            return True
        n_unnamed = 0
        for child in node.children:
            n_unnamed = 0 if child.is_named else n_unnamed + 1
            steps += n_unnamed
            if child.has_error:
                waiting.append(child)
    return steps > _MAX_STEPS


def _python_outline(text: str, lines: MeasuredLines, limits: ChunkLimits) -> _Outline:
    if max(map(len, lines.rows)) > _LONGEST_LINE:
        return _paragraphs(lines)
    source = text.encode("utf-8", "replace")
    tree = parse(source, "python")
    if _is_tangled(tree.root_node):
        return _paragraphs(lines)
    captures = _captures(tree.root_node, len(source))
    comments = {node.start_point.row for node in captures.get("comment", ()) if _begins_line(node, lines)}
    firsts = {node.start_point.row for node in captures.get("first", ())}

    def lifted(row: int) -> int:
        while row - 1 in comments:
            row -= 1
        return row

    statements = {node.start_point.row for node in captures.get("statement", ()) if _begins_line(node, lines)}
    borders = [row for row in {lifted(row) for row in statements - firsts - comments} if row > 0]
    definitions = _definitions(captures.get("definition", ()), source, lifted)
    symbols = [(found.row, found.symbol) for found in definitions if found.symbol]
    symbols += _variables(captures.get("variable", ()), source, lines)
    return _Outline(_forced(definitions, lines, limits), borders, definitions, symbols)


def _begins_line(node: Node, lines: MeasuredLines) -> bool:
    row, column = node.start_point
    return row < len(lines) and lines.indents[row] == column


def _variables(nodes: Sequence[Node], source: bytes, lines: MeasuredLines) -> Iterator[tuple[int, Symbol]]:
    signature = cache(
        lambda row: lines.rows[row].strip()[:_MAX_HEADER_CHARS]
    )  # a line may have 100,000 of them
    for node in _distinct(nodes):
        name = source[node.start_byte : node.end_byte].decode("utf-8", "replace")
        yield node.start_point.row, Symbol(name, "variable", signature(node.start_point.row))


def _distinct(nodes: Sequence[Node]) -> Iterable[Node]:
    """Each node once, in order of appearance, outer ones first."""
    return (node for _, node in sorted({(node.start_byte, -node.end_byte): node for node in nodes}.items()))


def _definitions(nodes: Sequence[Node], source: bytes, lifted: Callable[[int], int]) -> list[_Definition]:
    """Functions and classes in order of appearance, with what encloses them decided by their rows."""
    found: list[_Definition] = []
    open_kinds: list[tuple[int, str]] = []  # (end byte, node type) of the definitions around
    for node in _distinct(nodes):
        while open_kinds and open_kinds[-1][0] <= node.start_byte:
            open_kinds.pop()
        around = [kind for _, kind in open_kinds]
        open_kinds.append((node.end_byte, node.type))
        parent = node.parent
        outer = parent if parent and parent.type == "decorated_definition" else node
        end_row, end_column = node.end_point
        signature = _signature(node, source)
        symbol = (
            None
            if "function_definition" in around
            else _symbol(node, source, signature, min(len(around), _MAX_DEPTH))
        )
        last = end_row if end_column else end_row - 1
        found.append(
            _Definition(lifted(outer.start_point.row), node.start_point.row, last, signature, symbol)
        )
    return found


def _symbol(node: Node, source: bytes, signature: str, depth: int) -> Symbol | None:
    name = node.child_by_field_name("name")
    if name is None or name.end_byte == name.start_byte:
        return None
    function = "method" if depth else "function"
    kind = "class" if node.type == "class_definition" else function
    return Symbol(source[name.start_byte : name.end_byte].decode("utf-8", "replace"), kind, signature, depth)


def _signature(node: Node, source: bytes) -> str:
    """The header as one line, e.g. "def f(x: int) -> str:", at most 200 characters."""
    body = node.child_by_field_name("body")
    header = source[node.start_byte : body.start_byte if body else node.end_byte].decode("utf-8", "replace")
    if "\n" in header:
        header = re.sub(r"\s#[^\n]*", "", header)
    joined = " ".join(header.split()).replace("( ", "(").replace(", )", ")").replace(" )", ")")
    return joined[:_MAX_HEADER_CHARS]


def _forced(definitions: Sequence[_Definition], lines: MeasuredLines, limits: ChunkLimits) -> list[int]:
    """Rows that must begin a piece: those of each definition that stands alone, and the first row after it."""
    rows: list[int] = []
    covered = -1  # everything up to this row is inside a definition that is not opened up
    for found in definitions:
        if found.first <= covered:
            continue
        is_class = found.signature.startswith("class")
        end = min(found.last + 1, len(lines))
        if not is_class or lines.fits(found.first, end, limits):
            covered = found.last
        if lines.fits(found.row, end, _SMALL):
            continue
        while end < len(lines) and lines.is_blank(end):
            end += 1
        rows += [found.first, end]
    return rows


def _scopes(starts: Sequence[int], definitions: Sequence[_Definition]) -> list[str]:
    """For each piece the headers of the definitions that its first row is inside of, one line each, indented."""
    scopes: list[str] = []
    around: list[_Definition] = []
    waiting = list(reversed(definitions))
    for start in starts:
        while waiting and waiting[-1].first < start:
            found = waiting.pop()
            around = [outer for outer in around if outer.last >= found.first] + [found]
        around = [outer for outer in around if outer.last >= start]
        scopes.append(
            "\n".join("    " * depth + outer.signature for depth, outer in enumerate(around[-_MAX_DEPTH:]))
        )
    return scopes
