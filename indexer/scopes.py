"""What a name in Python source means: which other places mean the same one, and what syntax a place is part of."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from indexer.parsing import parse_python

_COMPREHENSIONS = (
    "list_comprehension",
    "set_comprehension",
    "dictionary_comprehension",
    "generator_expression",
)
_DEFINITIONS = ("function_definition", "class_definition", "lambda")
_PATTERNS = (
    "pattern_list",
    "tuple_pattern",
    "list_pattern",
    "list_splat_pattern",
    "dictionary_splat_pattern",
)
_INSIDE = ("body", "parameters")  # fields of a definition that its own names are seen in
_MOST_HITS = 400  # of a name that are looked at
_LEFT = {  # kinds of node whose field binds a name
    "assignment": "left",
    "augmented_assignment": "left",
    "for_statement": "left",
    "for_in_clause": "left",
    "named_expression": "name",
    "default_parameter": "name",
    "typed_default_parameter": "name",
    "aliased_import": "alias",
    "function_definition": "name",
    "class_definition": "name",
}


class Syntax:
    """The syntax tree of one text. Offsets are characters."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_ascii = text.isascii()
        self._source = text.encode("utf-8", "replace")
        self._root = parse_python(self._source).root_node

    def kind_at(self, start: int, end: int) -> tuple[str, str]:
        """("comment", "string" or "code", the kind of the smallest node around it)."""
        node = self._node(start, max(end, start + 1))
        kind = node.type if node else ""
        coarse = next((told for told in ("comment", "string") if kind.startswith(told)), "code")
        return coarse, kind

    def same_name(self, offset: int, name: str) -> list[int]:
        """Where `name` stands for what the name at `offset` stands for, which was called `name` until now.

        A variable's places in its function, comprehension, class or module, not where another one hides it; an
        attribute's behind the same object in its class, function or module.
        """
        edited = self._node(offset, offset + 1)
        if edited is None or edited.type != "identifier":
            return []
        hits = list(self._hits(name))
        if _is_attribute(edited) or _is_member(edited):
            home, owner = _attribute_home(edited)
            return [at for at, node in hits if _attribute_home(node) == (home, owner)]
        binders = {_scopes(node)[0].id for _, node in [*hits, (offset, edited)] if _binds(node)}
        meant = _resolved(edited, binders)
        return [at for at, node in hits if _is_variable(node) and _resolved(node, binders) == meant]

    def _hits(self, name: str) -> Iterator[tuple[int, Node]]:
        told, at = name.encode("utf-8", "replace"), self._text.find(name)
        for _ in range(_MOST_HITS):
            if at < 0:
                return
            node = self._node(at, at + len(name))
            if node is not None and node.type == "identifier" and node.text == told:
                yield at, node
            at = self._text.find(name, at + len(name))

    def _node(self, start: int, end: int) -> Node | None:
        return self._root.descendant_for_byte_range(self._byte(start), self._byte(end))

    def _byte(self, offset: int) -> int:
        return offset if self._is_ascii else len(self._text[:offset].encode("utf-8", "replace"))


def _scopes(node: Node) -> list[Node]:
    """From the innermost to the module. A definition's own name, decorators and annotation belong to what is around."""
    found: list[Node] = []
    child, parent = node, node.parent
    while parent is not None:
        fields = [parent.child_by_field_name(field) for field in _INSIDE]
        is_inside = parent.type in _COMPREHENSIONS or (parent.type in _DEFINITIONS and child in fields)
        # What a class's body binds is not seen in the functions in it.
        if is_inside and (parent.type != "class_definition" or not found):
            found.append(parent)
        if parent.parent is None:
            found.append(parent)
        child, parent = parent, parent.parent
    return found or [node]


def _resolved(node: Node, binders: set[int]) -> int:
    scopes = _scopes(node)
    return next((scope.id for scope in scopes if scope.id in binders), scopes[-1].id)


def _binds(node: Node) -> bool:
    child, parent = node, node.parent
    while parent is not None and parent.type in _PATTERNS:
        child, parent = parent, parent.parent
    if parent is None:
        return False
    if parent.type in _LEFT:
        return parent.child_by_field_name(_LEFT[parent.type]) == child
    if parent.type == "dotted_name":
        return parent.parent is not None and parent.parent.type.startswith("import")
    if parent.type == "typed_parameter":
        return parent.child_by_field_name("type") != child
    return parent.type in ("parameters", "lambda_parameters", "as_pattern_target")


def _is_variable(node: Node) -> bool:
    parent = node.parent
    is_keyword = (
        parent is not None
        and parent.type == "keyword_argument"
        and parent.child_by_field_name("name") == node
    )
    return not is_keyword and not _is_attribute(node) and not _is_member(node)


def _is_attribute(node: Node) -> bool:
    parent = node.parent
    return (
        parent is not None and parent.type == "attribute" and parent.child_by_field_name("attribute") == node
    )


def _is_member(node: Node) -> bool:
    """Whether it is the name of a method where that is defined."""
    parent = node.parent
    is_name = parent is not None and parent.type == "function_definition" and _binds(node)
    return is_name and _scopes(node)[0].type == "class_definition"


def _attribute_home(node: Node) -> tuple[int, str]:
    """(id of the node that an attribute is looked for in, the object it belongs to); (0, "") for no attribute."""
    if _is_member(node):
        return _scopes(node)[0].id, "self"
    parent = node.parent
    owner = parent.child_by_field_name("object") if parent is not None and _is_attribute(node) else None
    if owner is None or owner.text is None:
        return 0, ""
    told = owner.text.decode("utf-8", "replace")
    around: Node | None = owner
    wanted = "class_definition" if told in ("self", "cls") else "function_definition"
    while around is not None and around.parent is not None and around.type != wanted:
        around = around.parent
    return (around.id if around is not None else 0), "self" if told == "cls" else told
