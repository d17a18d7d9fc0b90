"""What of a suggestion cannot be meant, however sure the model is: it is not shown.

A line that the next line already is, a second definition of what the body already has, a `__future__` import below
other code, and what is no syntax at its place. A block that ends in a header (`try:`) is shown: it is more often right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from indexer import columns, is_scoped, near_lines, scan, sound_part
from lsp_server.closers import overwritten
from lsp_server.snapshot import Snapshot

NEAR_CHARS = 64_000  # on each side of the cursor, in which the body around it is looked at
DEFINES = re.compile(r"[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)")
FUTURE = "from __future__ "
CODE = re.compile(
    r"^(?:import[ \t]+\w|from[ \t]+[\w.]+[ \t]+import\b|def[ \t]|class[ \t]+\w+[(:]|@\w)", re.MULTILINE
)


def passed(text: str, snapshot: Snapshot) -> str:
    """`text` as far as no gate holds it back, "" for nothing."""
    text = _balanced(_without_next_line(text, snapshot), snapshot)
    if not is_scoped(snapshot.language) or not text.strip():
        return text
    lines = text.split("\n")
    written = [snapshot.line_before + lines[0], *lines[1:]]
    n_lines = min(_second_definition(written, snapshot), _late_future(written, snapshot), len(lines))
    text = "\n".join(lines[:n_lines] or [_without_name(lines[0], snapshot)])
    replaced = overwritten(text, snapshot)
    return sound_part(snapshot.prefix, text, snapshot.line_after[replaced:])


def _balanced(text: str, snapshot: Snapshot) -> str:
    """Among braces, up to where it closes what is not open, if that is known: not behind half of many lines, nor where
    only one of several parts of the text counts."""
    lexis, near = snapshot.lexis, near_lines(snapshot.prefix, snapshot.lexis)
    if not lexis.braces or any(mark in near for mark in lexis.branches):
        return text
    is_whole, n_open = len(near) == len(snapshot.prefix), len(snapshot.opened)
    for n_closed, closed in enumerate(scan(text, lexis, snapshot.opened).closed):
        if not closed.is_known:
            return text[: closed.at].rstrip() if is_whole or n_closed < n_open else text
    return text


def is_defined_already(text: str, snapshot: Snapshot) -> bool:
    """Whether the first line of Python defines what the body around it has defined."""
    first = snapshot.line_before + text.split("\n")[0]
    return is_scoped(snapshot.language) and not _second_definition([first], snapshot)


def _without_next_line(text: str, snapshot: Snapshot) -> str:
    """Up to the line that stands right below the cursor's already, just as far in."""
    lines = text.split("\n")
    below = snapshot.lines_below[:1] if len(lines) > 1 else []
    rows = [row for row, line in enumerate(lines) if row and [line.rstrip()] == below and _is_telling(line)]
    return "\n".join(lines[: rows[0]]) if rows else text


def _is_telling(line: str) -> bool:
    return any(char.isalnum() for char in line)


def _second_definition(written: Sequence[str], snapshot: Snapshot) -> int:
    """The row of the first line that defines what the body around it has defined already; as many rows as there are for
    none. A decorator may give the second one its sense, and who has typed the whole name means it."""
    for row, line in enumerate(written):
        found = DEFINES.match(line)
        if not found or (not row and found.end() <= len(snapshot.line_before)):
            continue
        before = [*snapshot.prefix[-NEAR_CHARS:].split("\n")[:-1], *written[:row]]
        below = snapshot.suffix[:NEAR_CHARS].split("\n")[1:]
        if _is_decorated(before):
            continue
        names = {*_defined(before[::-1], columns(line)), *_defined(below, columns(line))}
        if found.group(1) in names and found.group(1) != "_":
            return row
    return len(written)


def _without_name(line: str, snapshot: Snapshot) -> str:
    """What is left of a definition that the user has begun (`async d`) where its name is not to be shown."""
    begun = snapshot.line_before
    found = DEFINES.match(begun + line) if begun.strip() else None
    return line[: max(0, found.start(1) - len(begun))].rstrip() if found else ""


def _defined(lines: Sequence[str], width: int) -> Iterator[str]:
    """What lines define so far in, until one is less far in. What has a decorator may be defined twice."""
    for row, line in enumerate(lines):
        found = DEFINES.match(line)
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if columns(line) < width:
            return
        if found and columns(line) == width:
            around = (lines[row - 1] if row else "", lines[row + 1] if row + 1 < len(lines) else "")
            if not any(other.lstrip().startswith("@") for other in around):
                yield found.group(1)


def _is_decorated(before: Sequence[str]) -> bool:
    return bool(before) and before[-1].lstrip().startswith("@")


def _late_future(written: Sequence[str], snapshot: Snapshot) -> int:
    """The row of the first `__future__` import, where code stands above it; as many rows as there are for none."""
    rows = (row for row, line in enumerate(written) if line.startswith(FUTURE))
    row = next(rows, len(written))
    if row == len(written) or (not row and "__" in snapshot.line_before):
        return len(written)
    above = "\n".join([snapshot.prefix[-NEAR_CHARS:].rpartition("\n")[0], *written[:row]])
    found = (code for code in CODE.finditer(above) if not above.startswith(FUTURE, code.start()))
    return len(written) if next(found, None) is None else row
