"""Whether a completion at a cursor is one line or a block, where indentation tells: decided by the syntax tree."""

from __future__ import annotations

import re

from indexer.extents import LINE, Extent, columns
from indexer.outliner import parse_within_limits

_PLACEHOLDER = "pass"
# Above this many lines only the surroundings of the cursor are parsed: a keystroke must not wait for 20,000 lines.
_WHOLE_LINES, _LINES_BEFORE, _LINES_AFTER = 500, 400, 100
_DEFINITION = re.compile(r"\s*(?:async\s+def\b|def\b|class\b|@)")


def indented_block(before: list[str], after: list[str], language: str, *, whole: bool) -> Extent:
    """What to complete between the lines of two texts; `whole`: they are all of the document."""
    here = before[-1]
    if here.strip() and not here.rstrip().endswith(":"):
        return LINE
    before, after = _surroundings(before, after, whole=whole)
    opener = last_written(before[:-1])
    head = here
    if not here.strip() and opener.endswith(":") and columns(here) <= columns(opener):
        head = " " * (columns(opener) + 4)  # the editor has not indented the new line
    # With a statement at the cursor the code around it parses, and the tree says whose body the cursor is in.
    lead = "\n".join([*before[:-1], head + (" " if head.strip() else "")]).encode("utf-8", "replace")
    tail = "\n".join(["", *after[1:]]).encode("utf-8", "replace")
    tree = parse_within_limits(lead + _PLACEHOLDER.encode() + tail, language)
    end = len(lead) + len(_PLACEHOLDER)
    node = tree.root_node.descendant_for_byte_range(len(lead), end) if tree else None
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


def _surroundings(before: list[str], after: list[str], *, whole: bool) -> tuple[list[str], list[str]]:
    """All lines of a small file; of a large one those from the least indented definition close above the cursor."""
    if whole and len(before) + len(after) <= _WHOLE_LINES:
        return before, after
    near = before[-_LINES_BEFORE:]
    starts = [row for row, line in enumerate(near[:-1]) if _DEFINITION.match(line)]
    start = min(starts, key=lambda row: (columns(near[row]), -row), default=0)
    # An indented beginning would not parse by itself.
    return ["if True:", *near[start:]] if near[start][:1].isspace() else near[start:], after[:_LINES_AFTER]


def last_written(lines: list[str]) -> str:
    """The last line that is not blank, without white space at its end; "" for none."""
    return next((line.rstrip() for line in reversed(lines) if line.strip()), "")
