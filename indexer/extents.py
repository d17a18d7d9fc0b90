"""Whether a completion at a cursor is one line or a block, decided by the syntax around it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from indexer.parsing import has_grammar, parse

TAB_COLUMNS = 8
_PLACEHOLDER = "pass"
# Above this many lines only the surroundings of the cursor are parsed: a keystroke must not wait for 20,000 lines,
_WHOLE_LINES, _LINES_BEFORE, _LINES_AFTER = 500, 400, 100
# nor for one of a megabyte.
_CHARS_BEFORE, _CHARS_AFTER = 32_000, 16_000
_DEEPEST = 1_000  # columns of indentation below which no block is written
_DEFINITION = re.compile(r"\s*(?:async\s+def\b|def\b|class\b|@)")


@dataclass(frozen=True)
class Extent:
    """What to complete. A block ends before the first non-blank line of fewer than `indent` columns; tabs are 8."""

    multiline: bool
    indent: int = 0


LINE = Extent(multiline=False)


def extent_at(text: str, offset: int, language: str) -> Extent:
    """A block where the cursor stands in an empty body (comments and a docstring apart), else one line.

    `offset` counts characters. Inside comments, strings and half a statement it is one line.
    """
    start, end = max(0, offset - _CHARS_BEFORE), offset + _CHARS_AFTER
    before, after = text[start:offset].split("\n"), text[offset:end].split("\n")
    if start and len(before) > 1:
        before = before[1:]  # the rest of a line
    if after[0].strip(" \t\r)]}\"',;:") or columns(before[-1]) > _DEEPEST:
        return LINE
    if language == "python" and has_grammar(language):
        return _python_block(before, after, whole=not start and end >= len(text))
    return _other_block(before, after)


def _python_block(before: list[str], after: list[str], *, whole: bool) -> Extent:
    here = before[-1]
    if here.strip() and not here.rstrip().endswith(":"):
        return LINE
    before, after = _surroundings(before, after, whole=whole)
    opener = _last_written(before[:-1])
    head = here
    if not here.strip() and opener.endswith(":") and columns(here) <= columns(opener):
        head = " " * (columns(opener) + 4)  # the editor has not indented the new line
    # With a statement at the cursor the code around it parses, and the tree says whose body the cursor is in.
    lead = "\n".join([*before[:-1], head + (" " if head.strip() else "")]).encode("utf-8", "replace")
    tail = "\n".join(["", *after[1:]]).encode("utf-8", "replace")
    root = parse(lead + _PLACEHOLDER.encode() + tail, "python").root_node
    node = root.descendant_for_byte_range(len(lead), len(lead) + len(_PLACEHOLDER))
    while node is not None and node.type == _PLACEHOLDER:
        node = node.parent
    if node is None or node.type != "pass_statement" or node.parent is None:
        return LINE
    body = node.parent
    if body.type not in ("block", "module") or any(
        other != node and not _says_nothing(other, position)
        for position, other in enumerate(body.named_children)
    ):
        return LINE
    if body.type == "module":
        return Extent(multiline=True)
    owner = body.parent.start_point.row if body.parent else 0
    return Extent(True, columns(head) if not head.strip() else columns(before[owner]) + 1)


def _says_nothing(node: object, position: int) -> bool:
    """Comments, and the docstring: the first thing in a body."""
    kind = getattr(node, "type", "")
    if kind == "comment":
        return True
    children = getattr(node, "named_children", [])
    return (
        kind == "expression_statement" and position == 0 and [child.type for child in children] == ["string"]
    )


def _other_block(before: list[str], after: list[str]) -> Extent:
    """Without a grammar: after an opening line, as long as nothing deeper follows."""
    here = before[-1]
    opener = here if here.strip() else _last_written(before[:-1])
    if not opener.rstrip().endswith(("{", ":", "=>", "->")):
        return LINE
    following = next((line for line in after[1:] if line.strip()), "")
    if columns(following) > columns(opener):
        return LINE
    deeper = columns(here) if not here.strip() and columns(here) > columns(opener) else columns(opener) + 1
    return Extent(True, deeper)


def _surroundings(before: list[str], after: list[str], *, whole: bool) -> tuple[list[str], list[str]]:
    """All lines of a small file; of a large one those from the least indented definition close above the cursor."""
    if whole and len(before) + len(after) <= _WHOLE_LINES:
        return before, after
    near = before[-_LINES_BEFORE:]
    starts = [row for row, line in enumerate(near[:-1]) if _DEFINITION.match(line)]
    start = min(starts, key=lambda row: (columns(near[row]), -row), default=0)
    # An indented beginning would not parse by itself.
    return ["if True:", *near[start:]] if near[start][:1].isspace() else near[start:], after[:_LINES_AFTER]


def _last_written(lines: list[str]) -> str:
    return next((line.rstrip() for line in reversed(lines) if line.strip()), "")


def columns(line: str) -> int:
    """Width of a line's leading white space; a tab ends at a multiple of TAB_COLUMNS."""
    return len((line[: len(line) - len(line.lstrip())]).expandtabs(TAB_COLUMNS))
