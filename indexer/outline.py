"""What a language's syntax says of a text: where pieces must begin, where they may, and what is defined where.

What that is in each language is told by its query (`queries/`), whose captures are listed at the top of python.scm.
Nothing here knows one language from another. Pure, but for the interpreter that tree-sitter holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from tree_sitter import Node

from indexer.captures import (
    BLOCK,
    CLASS,
    CONSTANT,
    FUNCTION,
    MEMBERS,
    METHOD,
    SCOPE,
    VARIABLE,
    SyntaxMatch,
    in_order,
    is_tangled,
    search,
)  # fmt: skip
from indexer.languages import BRACES, Language
from indexer.parsing import parse, queries_of
from indexer.splitting import ChunkLimits, MeasuredLines

# A definition up to this size is merged with its neighbors (properties, exceptions, overloads).
_SMALL = ChunkLimits(lines=5, chars=240)
_MAX_HEADER_CHARS = 200
_MAX_HEADER_BYTES = 10_000  # of a definition without a body
MAX_DEPTH = (
    16  # of headers that a scope names: a thousand nested classes would repeat a megabyte in each chunk
)
_LONGEST_LINE = (
    10_000  # what has a longer one is not read by its syntax: tree-sitter takes seconds or minutes for it
)
_OPENED = (CLASS, MEMBERS, SCOPE)
_MAX_OUTER = 3  # of what begins a definition before it does: export, declare, decorators
_CLOSERS = frozenset(")]};,")


@dataclass(frozen=True)
class Symbol:
    """A name that a chunk defines. `signature` is one line: a multi-line header is joined. `depth`: of its nesting."""

    name: str
    kind: str  # "class" | "type" | "function" | "method" | "variable"
    signature: str
    depth: int = 0


@dataclass(frozen=True)
class OutlineDefinition:
    """What is a chunk of its own unless it is small, and a header above what is cut from inside of it. Rows from 0."""

    first: int  # row of the decorators or of the comment above
    row: int  # row that it begins in itself
    last: int
    signature: str
    kind: str


@dataclass(frozen=True)
class Outline:
    """What a language knows about a text: where pieces must begin, where they may, and what is defined."""

    forced: Sequence[int]
    borders: Sequence[int]
    definitions: Sequence[OutlineDefinition]
    symbols: Sequence[tuple[int, Symbol]]  # by row


def outline_of(text: str, lines: MeasuredLines, language: Language, limits: ChunkLimits) -> Outline | None:
    """What the syntax of a text says; None for a text that it would take too long to read so."""
    if max(map(len, lines.rows)) > _LONGEST_LINE:
        return None
    source = text.encode("utf-8", "replace")
    tree = parse(source, language.name)
    if tree is None or is_tangled(tree.root_node):
        return None
    root = tree.root_node
    found = search(root, len(source), queries_of(language.name))
    comments = set(_comment_rows(found.nodes.get("comment", ()), lines))

    def lifted(row: int) -> int:
        while row - 1 in comments:
            row -= 1
        return row

    firsts = {node.start_point.row for node in found.nodes.get("first", ())}
    starts = (
        _rows(found.nodes.get("statement", ()), lines) - firsts - _rows(found.nodes.get("comment", ()), lines)
    )
    borders = sorted(row for row in {lifted(row) for row in starts} if row > 0)
    reader = _Definitions(source, lines, language.line_comments, found.outer, lifted)
    reader.read(in_order(found))
    forced = _forced(reader.definitions, lines, limits, closers=language.family == BRACES)
    return Outline(forced, borders, reader.definitions, [*reader.symbols, *reader.variables])


def variable(lines: MeasuredLines) -> Callable[[int, str], Symbol]:
    """What makes the variable of a name that is defined in a row: its line is its signature."""
    # A line may define 100,000 variables.
    line = cache(lambda row: lines.rows[row].strip()[:_MAX_HEADER_CHARS])
    return lambda row, name: Symbol(name, VARIABLE, line(row))


def _rows(nodes: Iterable[Node], lines: MeasuredLines) -> set[int]:
    """Of those that begin their line."""
    return {node.start_point.row for node in nodes if _begins_line(node, lines)}


def _begins_line(node: Node, lines: MeasuredLines) -> bool:
    row, column = node.start_point
    return row < len(lines) and lines.indents[row] == column


def _comment_rows(comments: Iterable[Node], lines: MeasuredLines) -> Iterator[int]:
    for node in comments:
        if _begins_line(node, lines):
            yield from range(node.start_point.row, max(node.start_point.row, _last_row(node)) + 1)


def _last_row(node: Node) -> int:
    row, column = node.end_point
    return row if column else row - 1


class _Definitions:
    """Reads definitions in order of appearance: what encloses each is decided by where those before it end."""

    def __init__(
        self, source: bytes, lines: MeasuredLines, markers: Sequence[str], outer: Mapping[int, Node],
        lifted: Callable[[int], int],
    ) -> None:  # fmt: skip
        self.definitions: list[OutlineDefinition] = []
        self.symbols: list[tuple[int, Symbol]] = []  # by row
        self.variables: list[tuple[int, Symbol]] = []
        self._source = source
        self._markers = markers
        self._outer = outer
        self._lifted = lifted
        self._open: list[SyntaxMatch] = []  # what is around
        self._around: Counter[str] = Counter()  # of those, how many of a kind
        self._variable_in = variable(lines)

    def read(self, matches: Iterable[SyntaxMatch]) -> None:
        """Fills `definitions`, `symbols` and `variables`."""
        for one in matches:
            start, end = one.node.start_byte, one.node.end_byte
            while self._open and self._ends(self._open[-1].node, start, end):
                self._around[self._open.pop().kind] -= 1
            if one.kind in (VARIABLE, CONSTANT):
                self._variable(one)
                continue
            if one.kind != BLOCK:
                self._definition(one)
            self._open.append(one)
            self._around[one.kind] += 1

    @staticmethod
    def _ends(node: Node, start: int, end: int) -> bool:
        """Whether it is not around what is there: one statement may define several names."""
        return node.end_byte <= start or (node.start_byte, node.end_byte) == (start, end)

    def _variable(self, one: SyntaxMatch) -> None:
        is_hidden = one.kind == VARIABLE and self._around[BLOCK]
        if one.name is not None and not is_hidden and not self._is_local():
            row = one.name.start_point.row
            self.variables.append((row, self._variable_in(row, self._text(one.name))))

    def _definition(self, one: SyntaxMatch) -> None:
        node = outer = one.node
        for _ in range(_MAX_OUTER):
            outer = self._outer.get(outer.id, outer)
        signature = self._signature(one, outer)
        first, row = self._lifted(outer.start_point.row), node.start_point.row
        self.definitions.append(OutlineDefinition(first, row, _last_row(node), signature, one.kind))
        name = one.name
        if (
            one.kind in (MEMBERS, SCOPE)
            or self._is_local()
            or name is None
            or name.end_byte == name.start_byte
        ):
            return
        is_member = self._around[CLASS] + self._around[MEMBERS]
        kind = METHOD if one.kind == FUNCTION and is_member else one.kind
        depth = min(len(self._open) - self._around[BLOCK], MAX_DEPTH)
        self.symbols.append((row, Symbol(self._text(name), kind, signature, depth)))

    def _is_local(self) -> bool:
        """Inside of a function: not reachable from elsewhere."""
        return bool(self._around[FUNCTION] + self._around[METHOD])

    def _text(self, node: Node) -> str:
        return self._source[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def _signature(self, one: SyntaxMatch, outer: Node) -> str:
        """The header as one line, e.g. "def f(x: int) -> str:", at most 200 characters."""
        node, body = one.node, one.body
        start = outer if outer.start_point.row == node.start_point.row else node
        end = body.start_byte if body else min(node.end_byte, node.start_byte + _MAX_HEADER_BYTES)
        header = self._source[start.start_byte : end].decode("utf-8", "replace")
        if one.name is not None and one.name.start_byte > end:  # typedef struct { ... } name
            header += " " + self._text(one.name)
        if "\n" in header:
            header = "\n".join(_uncommented(line, self._markers) for line in header.split("\n"))
        joined = " ".join(header.split()).replace("( ", "(").replace(", )", ")").replace(" )", ")")
        return joined[:_MAX_HEADER_CHARS]


def _uncommented(line: str, markers: Sequence[str]) -> str:
    """A line of a header without the comment at its end; one behind nothing but code is none (a URL, a fragment)."""
    for marker in markers:
        at = line.find(marker)
        while at > 0 and not line[at - 1].isspace():
            at = line.find(marker, at + 1)
        if at >= 0:
            line = line[:at]
    return line


def _forced(
    definitions: Sequence[OutlineDefinition], lines: MeasuredLines, limits: ChunkLimits, *, closers: bool
) -> list[int]:
    """Rows that must begin a piece: those of each definition that stands alone, and the first row after it.

    `closers`: rows of nothing but closing brackets stay with what they close.
    """
    rows: list[int] = []
    covered = -1  # everything up to this row is inside a definition that is not opened up
    for found in definitions:
        if found.first <= covered:
            continue
        end = min(found.last + 1, len(lines))
        is_opened = found.kind in _OPENED and not lines.fits(found.first, end, limits)
        if not is_opened:
            covered = found.last
        if lines.fits(found.row, end, _SMALL) or (is_opened and found.kind == SCOPE):
            continue
        while end < len(lines) and (
            lines.is_blank(end) or (closers and _CLOSERS.issuperset(lines.rows[end].strip()))
        ):
            end += 1
        rows += [found.first, end]
    return rows
