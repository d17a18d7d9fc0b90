"""What a language's query finds in a syntax tree: nodes by capture, and definitions in order of appearance.

The captures are listed at the top of `queries/python.scm`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tree_sitter import Node, Query, QueryCursor

CLASS, MEMBERS, SCOPE, FUNCTION, METHOD = "class", "members", "scope", "function", "method"
VARIABLE, CONSTANT = "variable", "constant"
BLOCK = "block"  # no kind of a definition, but it stands around some
# Of two kinds for the same name the first is it: what typedef gives a name is a type, and may be a struct.
_RANKS = (BLOCK, CLASS, MEMBERS, SCOPE, METHOD, FUNCTION, "type", CONSTANT, VARIABLE)
_DEFINITION = "definition."
_NAMING = ("declarator", "name")  # fields in which a name is said
_DEEPEST_NAME = 20
# Bytes that tree-sitter works through at a time: it holds the interpreter, and other threads want to answer.
_SEARCHED_AT_ONCE = 65_536
# What the query would take minutes for: an error with more nodes in a row, and more steps from each unnamed node to
# a named one.
_MAX_IN_ERROR, _MAX_STEPS = 20_000, 2_000_000


@dataclass(frozen=True)
class SyntaxMatch:
    """One definition as the query found it, the nodes of its name and of what is below its header."""

    kind: str
    node: Node
    name: Node | None = None
    body: Node | None = None


@dataclass
class Captured:
    """All that a query found in a text. What reaches over several pieces of it is there several times."""

    nodes: dict[str, list[Node]] = field(default_factory=dict)  # by capture
    outer: dict[int, Node] = field(default_factory=dict)  # by the id of what is inside
    matches: list[SyntaxMatch] = field(default_factory=list)

    def take(self, captured: Mapping[str, Sequence[Node]]) -> None:
        """One match of what is a definition."""
        if "outer" in captured:
            self.outer[captured["inner"][0].id] = captured["outer"][0]
            return
        kind = next(name for name in captured if name.startswith(_DEFINITION))
        node, named, body = captured[kind][0], captured.get("name"), captured.get("body")
        name = _name_in(named[0] if named else node)
        below = body[0] if body else node.child_by_field_name("body")
        self.matches.append(SyntaxMatch(kind.removeprefix(_DEFINITION), node, name, below))


def _name_in(node: Node) -> Node:
    """The name that a node says: it may stand in declarators (C), or behind those of its scopes."""
    for _ in range(_DEEPEST_NAME):
        inner = next((found for told in _NAMING if (found := node.child_by_field_name(told))), None)
        if inner is None and node.type.endswith(_NAMING[0]) and node.named_child_count == 1:
            inner = node.named_children[0]
        if inner is None:
            break
        node = inner
    return node


def search(root: Node, n_bytes: int, queries: tuple[Query, Query]) -> Captured:
    """What the queries find (`queries_of`), and the statements of the file itself.

    A query that knew the file would begin anew with its first statement in each piece of the text, and hold the
    interpreter until it came to the piece.
    """
    found = Captured()
    if not root.is_error:
        found.nodes["statement"] = [child for child in root.named_children if not child.is_error]
    for start in range(0, n_bytes, _SEARCHED_AT_ONCE):
        layout, definitions = (QueryCursor(query) for query in queries)
        for cursor in (layout, definitions):
            cursor.set_byte_range(start, start + _SEARCHED_AT_ONCE)
        for name, nodes in layout.captures(root).items():
            found.nodes.setdefault(name, []).extend(nodes)
        for _, captured in definitions.matches(root):
            found.take(captured)
    return found


def is_tangled(root: Node) -> bool:
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


def in_order(found: Captured) -> Iterator[SyntaxMatch]:
    """Each definition once, with the blocks around them, in order of appearance, outer ones first."""
    files = {node.id for node in found.nodes.get("file", ())}
    blocks = [SyntaxMatch(BLOCK, node) for node in found.nodes.get(BLOCK, ()) if node.id not in files]
    placed = sorted(((_place(one), one) for one in (*blocks, *found.matches)), key=lambda pair: pair[0])
    last: tuple[int, ...] = ()
    for place, one in placed:
        if place[:-1] != last:
            yield one
        last = place[:-1]


def _place(one: SyntaxMatch) -> tuple[int, int, int, int]:
    """Where it begins, where it ends, where its name is, and which kind is the one where there are several."""
    node = one.node
    return node.start_byte, -node.end_byte, (one.name or node).start_byte, _RANKS.index(one.kind)
