"""Brackets and quotes around the cursor: which of those that the editor closed by itself a suggestion closes
again.

Only the text is looked at, not the syntax tree: the line under the cursor is half written and rarely parses.
"""

from __future__ import annotations

from collections import deque

PAIRS = {")": "(", "]": "[", "}": "{"}
QUOTES = "\"'`"
PUNCTUATION = ":;,"
MIN_OVERLAP = 3  # characters; a shorter overlap with the rest of the line is too often chance
MAX_QUOTED = 4_000  # characters before the cursor that are searched for an open quote: a keystroke waits
SPACES = "".join(filter(str.isspace, map(chr, range(0x3001))))
CLOSING = "".join([*PAIRS, QUOTES, PUNCTUATION, SPACES])


def is_only_closers(rest: str) -> bool:
    """Whether the rest of a line is only what an editor closes by itself (`foo(|)`) and a suggestion may
    overwrite."""
    return not rest.strip(CLOSING)


def overwritten(text: str, line_before: str, rest: str) -> int:
    """How many characters of `rest`, the line after the cursor, `text` writes again and so must overwrite."""
    rest = rest.rstrip()
    if not is_only_closers(rest):
        return 0
    closers = deque(_unmatched(text, _open_quote(line_before[-MAX_QUOTED:])))
    taken = last = 0
    for index, char in enumerate(rest):
        if char.isspace():
            continue
        if not closers or char != closers[0][0]:
            break
        last = closers.popleft()[1]
        taken = index + 1
    tail = rest[taken:]
    written_again = (
        tail and text.endswith(tail) and last <= len(text) - len(tail) and set(tail) <= set(PUNCTUATION)
    )
    return len(rest) if written_again else taken


def without_rest_of_line(text: str, rest: str) -> str:
    """`text` without an end that the rest of the cursor's line already says (`foo(|bar, baz)`)."""
    rest = rest.rstrip()
    if "\n" in text or not rest or is_only_closers(rest):
        return text
    for size in range(min(len(text), len(rest)), 0, -1):
        if text.endswith(rest[:size]) and (size >= MIN_OVERLAP or size == len(rest)):
            return text[:-size]
    return text


def _unmatched(text: str, quote: str) -> list[tuple[str, int]]:
    """(closer, offset) of what `text` closes without having opened it; `quote` is the string that is open
    before it."""
    found: list[tuple[str, int]] = []
    opened: list[str] = []
    opened_here = False
    escaped = False
    for offset, char in enumerate(text):
        if escaped:
            escaped = False
        elif quote:
            escaped = char == "\\"
            if char == quote:
                if not opened_here:
                    found.append((char, offset))
                quote = ""
        elif char in QUOTES:
            quote, opened_here = char, True
        elif char in PAIRS.values():
            opened.append(char)
        elif char in PAIRS:
            if opened and opened[-1] == PAIRS[char]:
                opened.pop()
            else:
                found.append((char, offset))
    return found


def _open_quote(line: str) -> str:
    """The quote that `line` opens and does not close, "" when none."""
    quote = ""
    escaped = False
    for char in line:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in QUOTES:
            quote = char
    return quote
