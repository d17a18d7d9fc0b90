"""What syntax a place is part of; and in Python, what a name means: which other places mean the same one."""

from __future__ import annotations

import builtins
from collections.abc import Iterator

from tree_sitter import Node

from indexer.languages import is_scoped
from indexer.outliner import parse_within_limits
from indexer.parsing import parse

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
_UNSURE = ("ERROR", "global_statement", "nonlocal_statement", "delete_statement", "splat_pattern")
_IMPORTED = ("dotted_name", "aliased_import", "relative_import")
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


# What the kinds of nodes have in their names that are no code, in any grammar.
_NO_CODE = {
    "comment": "comment",
    **dict.fromkeys(("string", "char", "rune", "regex", "escape", "text_block", "jsx_text"), "string"),
}


class Syntax:
    """The syntax tree of one text, whose language has a grammar. Offsets are characters.

    Of a text that would take too long to read nothing is known: all of it is code, and no name means anything.
    """

    def __init__(self, text: str, language: str = "python") -> None:
        self._text = text
        self._is_scoped = is_scoped(language)
        self._is_ascii = text.isascii()
        self._source = text.encode("utf-8", "replace")
        tree = parse_within_limits(self._source, language) or parse(b"", language)
        assert tree is not None
        self._root = tree.root_node

    def kind_at(self, start: int, end: int) -> tuple[str, str]:
        """("comment", "string" or "code", the kind of the smallest node around it)."""
        node = self._node(start, max(end, start + 1))
        kind = node.type if node else ""
        if self._is_scoped:
            coarse = next((told for told in ("comment", "string") if kind.startswith(told)), "code")
        else:
            coarse = next((told for part, told in _NO_CODE.items() if part in kind), "code")
        return coarse, kind

    def same_name(self, offset: int, name: str) -> list[int] | None:
        """Where `name` stands for what the name at `offset` stands for, which was called `name` until now; None where
        nobody knows how the language binds names.

        A variable's places in its function, comprehension, class or module, not where another one hides it; an
        attribute's behind the same object in its class, function or module.
        """
        if not self._is_scoped:
            return None
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

    def unbound(self, start: int, end: int, *, most: int = 12) -> dict[str, set[str]]:
        """Names that are used between two offsets and that nothing binds there, with the dotted names they begin.

        At most so many, the first ones. Where it is not sure, as behind a star import, there is none.
        """
        if not self._is_scoped or any(_imports_all(line) for line in self._text.split("\n")):
            return {}
        found: dict[str, set[str]] = {}
        judged: dict[str, set[int] | None] = {}  # names and the scopes that bind them, None for any
        for node in self._identifiers(start, end):
            name = (node.text or b"").decode("utf-8", "replace")
            if hasattr(builtins, name) or not _is_use(node):
                continue
            if name not in judged:
                if len(judged) == most:
                    break
                judged[name] = self._binders(name)
            binders = judged[name]
            if binders is not None and not any(scope.id in binders for scope in _scopes(node)):
                found.setdefault(name, set()).add(_dotted(node))
        return found

    def _identifiers(self, start: int, end: int) -> Iterator[Node]:
        """In order, those that a stretch of the text touches."""
        first, last = self._byte(start), self._byte(end)
        around = self._root.descendant_for_byte_range(first, last)
        waiting = [around] if around else []
        while waiting:
            node = waiting.pop()
            if node.type == "identifier":
                yield node
            inside = (child for child in node.children if child.end_byte > first and child.start_byte < last)
            waiting += reversed(list(inside))

    def _binders(self, name: str) -> set[int] | None:
        """Ids of the scopes that bind a name, None where any may: in a pattern, in broken code, in too many places."""
        if self._text.count(name) >= _MOST_HITS:
            return None
        hits = [node for _, node in self._hits(name)]
        if any(_may_bind(node) for node in hits):
            return None
        return {_scopes(node)[0].id for node in hits if _is_variable(node) and _binds(node)}

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
        return parent.children[0] == child and _is_imported(parent)
    if parent.type == "typed_parameter":
        return parent.child_by_field_name("type") != child
    return parent.type in ("parameters", "lambda_parameters", "as_pattern_target")


def _is_imported(dotted: Node) -> bool:
    """Whether an import statement binds its first name: that of the module in `from module import` is not bound."""
    statement = dotted.parent
    if statement is None or not statement.type.startswith("import"):
        return False
    return statement.child_by_field_name("module_name") != dotted


def _is_use(node: Node) -> bool:
    is_part = node.parent is None or node.parent.type in _IMPORTED
    return not is_part and _is_variable(node) and not _binds(node) and not _may_bind(node)


def _may_bind(node: Node) -> bool:
    """Whether it binds a name in a way, or where, its scope is not looked for."""
    parent, kinds = node.parent, _around(node)
    if parent is None or kinds[0] in _UNSURE or "as_pattern_target" in kinds[1:3]:
        return True
    if kinds[0] == "as_pattern":
        return parent.children[-1] == node  # of a case
    is_capture = kinds[0] == "dotted_name" and kinds[1].endswith("_pattern") and kinds[1] != "class_pattern"
    is_parameter = kinds[:2] == ["type", "type_parameter"] and kinds[2] in _DEFINITIONS
    return is_capture or is_parameter or "type_alias_statement" in kinds


def _around(node: Node) -> list[str]:
    """The kinds of the five nodes around it, the nearest first, "" beyond the module."""
    kinds: list[str] = []
    around = node.parent
    while around is not None and len(kinds) < 5:
        kinds.append(around.type)
        around = around.parent
    return kinds + [""] * (5 - len(kinds))


def _dotted(node: Node) -> str:
    """The dotted name that a name begins."""
    while (parent := node.parent) is not None and parent.type == "attribute":
        if parent.child_by_field_name("object") != node:
            break
        node = parent
    return (node.text or b"").decode("utf-8", "replace")


def _imports_all(line: str) -> bool:
    return "*" in line and "import" in line and line.lstrip().startswith("from ")


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
