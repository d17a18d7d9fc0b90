"""What a completion is: one line, or a block of some indentation."""

from __future__ import annotations

from dataclasses import dataclass

TAB_COLUMNS = 8


@dataclass(frozen=True)
class Extent:
    """What to complete. A block ends before the first non-blank line of fewer than `indent` columns; tabs are 8.

    `closing`: a line of so many columns that closes the block belongs to it; without `multiline`, so does the block
    that the first line opens.
    """

    multiline: bool
    indent: int = 0
    closing: int | None = None


LINE = Extent(multiline=False)


def columns(line: str) -> int:
    """Width of a line's leading white space; a tab ends at a multiple of TAB_COLUMNS."""
    return len((line[: len(line) - len(line.lstrip())]).expandtabs(TAB_COLUMNS))
