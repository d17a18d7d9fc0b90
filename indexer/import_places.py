"""Where a new import belongs in a Python file: among the imports that the file has, as they are ordered there."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, takewhile
from typing import Any

from tree_sitter import Node

from indexer.imports import Import, imports_in, joined
from indexer.outliner import parse_within_limits

_HEAD_CHARS = 64_000  # of a file, in which its imports are looked for
_LONGEST_LINE = 88  # characters that an extended line may have, or as many as one of the file's imports has
_DEFINITIONS = ("function_definition", "class_definition", "decorated_definition")
_BEGIN_DEFINITION = ("def ", "async def ", "class ", "@")
_IMPORTS = ("import_statement", "import_from_statement", "future_import_statement")
_FUTURE, _STANDARD, _INSTALLED, _OWN, _RELATIVE = range(5)  # sections, in their order


@dataclass(frozen=True)
class _Statement:
    """An import statement at the margin: its first and last row, what it binds first, and the section of that."""

    first: int
    last: int
    found: Import
    section: int


_Block = list[_Statement]  # without a blank line in it


@dataclass(frozen=True)
class _Head:
    """A file above its first definition. `top`: the row where its first import would stand."""

    lines: list[str]
    statements: list[_Statement]
    top: int

    def blocks(self) -> list[_Block]:
        found = [self.statements[:1]] if self.statements else []
        for before, after in pairwise(self.statements):
            between = self.lines[before.last + 1 : after.first]
            if all(line.lstrip().startswith("#") for line in between):
                found[-1].append(after)
            else:
                found.append([after])
        return found


class _UnclearError(Exception):
    """The file does not parse near its head."""


def with_import(text: str, wanted: Import, own: Collection[str]) -> str | None:
    """The file's text with the import in its place; None where that is not clear. `own`: first names of the modules
    that are the repository's. What stands in several lines or behind a condition is left as it is."""
    ending = "\r\n" if "\r" in text else "\n"
    if text.count("\r") != text.count("\r\n") or (
        ending == "\r\n" and text.count("\n") != text.count("\r\n")
    ):
        return None
    lines = text.split(ending)
    try:
        head = _head_of(lines, own)
    except _UnclearError:
        return None
    return ending.join(_extended(head, wanted) or _placed(head, wanted, _section(wanted.module, own)))


def _head_of(lines: list[str], own: Collection[str]) -> _Head:
    near = zip(lines, accumulate(len(line) + 1 for line in lines), strict=True)
    source = "\n".join(line for line, end in near if end <= _HEAD_CHARS)
    tree = parse_within_limits(source.encode("utf-8", "replace"), "python")
    if tree is None:
        raise _UnclearError
    root = tree.root_node
    nodes = [node for node in root.named_children if node.type != "comment"]
    above = list(takewhile(lambda node: node.type not in _DEFINITIONS and not node.has_error, nodes))
    if root.type == "ERROR" or _is_broken(nodes, len(above)):
        raise _UnclearError
    top = _header_end(lines)
    if above and _is_text(above[0]):
        top = above[0].end_point.row + 1
    imports = [node for node in above if node.type in _IMPORTS]
    return _Head(lines, [_statement(node, lines, own) for node in imports], top)


def _is_broken(nodes: Sequence[Node], n_above: int) -> bool:
    """Whether what follows the head is an error that may be, or hide, one of its imports."""
    below = nodes[n_above:]
    if not below or below[0].type in _DEFINITIONS:
        return False
    begins = (below[0].text or b"").lstrip().startswith((b"import", b"from"))
    return n_above == 0 or begins or any(node.type in _IMPORTS for node in below)


def _is_text(node: Node) -> bool:
    return node.type == "expression_statement" and [child.type for child in node.children] == ["string"]


def _statement(node: Node, lines: list[str], own: Collection[str]) -> _Statement:
    first, last = node.start_point.row, node.end_point.row
    found = imports_in(joined(lines[first : last + 1]))
    if not found:
        raise _UnclearError
    return _Statement(first, last, found[0], _section(found[0].module, own))


def _header_end(lines: list[str]) -> int:
    """The row behind the comments that a file begins with: all of them up to a blank line, or what tools read."""
    comments = list(takewhile(lambda line: line.startswith("#"), lines))
    if len(comments) < len(lines) and not lines[len(comments)].strip():
        return len(comments)
    return len(list(takewhile(lambda line: line.startswith("#!") or "coding" in line, comments)))


def _section(module: str, own: Collection[str]) -> int:
    top = module.partition(".")[0]
    if not top:
        return _RELATIVE
    if top == "__future__":
        return _FUTURE
    if top in sys.stdlib_module_names:
        return _STANDARD
    return _OWN if top in own else _INSTALLED


def _extended(head: _Head, wanted: Import) -> list[str] | None:
    """The lines with one more name in a statement of the same module, None where none on one line can take it."""
    start = f"from {wanted.module} import "
    most = max([_LONGEST_LINE, *(len(head.lines[one.first]) for one in head.statements)])
    for statement in head.statements if wanted.name and not wanted.alias else ():
        line = head.lines[statement.first]
        names = line.removeprefix(start).split(", ")
        if not line.startswith(start) or not all(name.isidentifier() for name in names):
            continue
        extended = start + ", ".join(_with_name(names, wanted.name))
        if len(extended) <= most:
            return [*head.lines[: statement.first], extended, *head.lines[statement.first + 1 :]]
    return None


def _with_name(names: list[str], name: str) -> list[str]:
    for key in (_by_kind, str.lower, str):
        if names == sorted(names, key=key):
            return sorted([*names, name], key=key)
    return [*names, name]


def _by_kind(name: str) -> Any:
    """Constants, classes, others: as isort and ruff have them."""
    is_constant = name.isupper() and len(name) > 1
    return (not is_constant, not name[:1].isupper(), name)


def _placed(head: _Head, wanted: Import, section: int) -> list[str]:
    """The lines with one more."""
    blocks = head.blocks()
    block = _block_for(blocks, wanted, section)
    earlier = [block for block in blocks if max(one.section for one in block) < section]
    if block:
        row, new = _row_in(block, wanted, section), [wanted.line]
    elif earlier:
        row, new = earlier[-1][-1].last + 1, ["", wanted.line]
    elif blocks:
        row, new = blocks[0][0].first, [wanted.line, ""]
    else:
        row, new = head.top, _first_import(head, wanted)
    return [*head.lines[:row], *new, *head.lines[row:]]


def _first_import(head: _Head, wanted: Import) -> list[str]:
    """The line, with blank ones around it where there are none."""
    above, below = head.lines[: head.top][-1:], head.lines[head.top :][:1]
    before = [""] if above and above[0].strip() else []
    n_after = 2 if below and below[0].startswith(_BEGIN_DEFINITION) else 1
    return [*before, wanted.line, *([""] * n_after if below and below[0].strip() else [])]


def _block_for(blocks: list[_Block], wanted: Import, section: int) -> _Block | None:
    """The block with its kin, None where it begins one of its own."""
    kin = [block for block in blocks if any(_top(one.found) == _top(wanted) for one in block)]
    same = [block for block in blocks if any(one.section == section for one in block)]
    mixed = [block for block in blocks if len({one.section for one in block} - {_FUTURE}) > 1]
    is_only = len([block for block in blocks if block[-1].section != _FUTURE]) == 1
    others = mixed if is_only else []
    return next((block for block in [*kin, *same, *others]), None)


def _row_in(block: _Block, wanted: Import, section: int) -> int:
    """By the order that the block has; where it has none, behind the last of its kin."""
    new = _Statement(0, 0, wanted, section)
    for key in _ORDERS:
        if block == sorted(block, key=key):
            n_before = sum(key(one) <= key(new) for one in block)
            return block[n_before - 1].last + 1 if n_before else block[0].first
    kin = [one for one in block if _top(one.found) == _top(wanted)]
    same = [one for one in block if one.section == section]
    return (kin or same or block)[-1].last + 1


def _top(found: Import) -> str:
    return found.module.partition(".")[0] or "."


def _module_key(found: Import) -> tuple[bool, int, str]:
    """Relative ones last, those from farther up first."""
    dots = len(found.module) - len(found.module.lstrip("."))
    return dots > 0, -dots, found.module.lower()


def _imports_first(one: _Statement) -> Any:
    return bool(one.found.name), _module_key(one.found)


def _by_module(one: _Statement) -> Any:
    return _module_key(one.found), bool(one.found.name)


_ORDERS = (
    lambda one: (one.section, _imports_first(one)),
    lambda one: (one.section, _by_module(one)),
    _imports_first,
    _by_module,
)
