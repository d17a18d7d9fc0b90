"""Brackets, quotes and tags around the cursor: which of those that the editor closed by itself a suggestion closes
again.

Only the text is looked at, not the syntax tree: the line under the cursor is half written and rarely parses.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence

from indexer import PAIRS, PLAIN, Lexis, scan
from lsp_server.snapshot import Snapshot

PUNCTUATION = ":;,"
MIN_OVERLAP = 3  # characters; a shorter overlap with the rest of the line is too often chance
MOST_ANGLES = 400  # characters before the cursor in which one is looked for that is open
SPACES = "".join(filter(str.isspace, map(chr, range(0x3001))))
CLOSING = "".join([")]}", "\"'`", PUNCTUATION, SPACES])
BRACKETS = Lexis(strings=())  # text in which nothing else counts
TAG_END = re.compile(r"\s{0,40}(?:/?>|</[\w.:-]{0,80}>)\Z")
MOST_TAGS = 4  # that the rest of a line closes


def is_only_closers(rest: str, lexis: Lexis = PLAIN) -> bool:
    """Whether the rest of a line is only what an editor closes by itself (`foo(|)`) and a suggestion may
    overwrite."""
    return not _core(rest.rstrip(), lexis).strip(CLOSING + (">" if lexis.angles else ""))


def overwritten(text: str, snapshot: Snapshot) -> int:
    """How many characters of the line after the cursor `text` writes again and so must overwrite."""
    rest, lexis = snapshot.line_after.rstrip(), snapshot.lexis
    if not is_only_closers(rest, lexis):
        return 0
    core = _core(rest, lexis)
    end = rest[len(core) :].strip()
    has_end = bool(end) and text.rstrip().endswith(end)
    if has_end:
        text = text.rstrip().removesuffix(end)
    closed = _closed(text, snapshot)
    taken, written = _taken(text, core, closed), text.rstrip()
    is_closing = any(at == len(written) - len(rest) for _, at in closed) or snapshot.is_in_string
    is_again = lexis.braces and bool(rest) and is_closing and written.endswith(rest)
    return len(rest) if is_again or (has_end and taken == len(core.rstrip())) else taken


def without_rest_of_line(text: str, snapshot: Snapshot) -> str:
    """`text` without an end that the rest of the cursor's line already says (`foo(|bar, baz)`)."""
    rest, lexis = snapshot.line_after.rstrip(), snapshot.lexis
    if "\n" in text or not rest or is_only_closers(rest, lexis):
        return text
    for size in range(min(len(text), len(rest)), 0, -1):
        if text.endswith(rest[:size]) and (size >= MIN_OVERLAP or size == len(rest)):
            return text[:-size]
    closed = _closed(text, snapshot) if lexis.braces else []
    end = text[closed[0][1] :].rstrip() if closed else ""
    return text[: closed[0][1]] if end and rest.startswith(end) else text


def closes_more(text: str, snapshot: Snapshot) -> bool:
    """Whether a text closes what is open at a cursor among braces."""
    return snapshot.lexis.braces and any(
        one.is_known for one in scan(text, snapshot.lexis, snapshot.opened).closed
    )


def with_closer_below(text: str, snapshot: Snapshot) -> str:
    """`text`, and the brace behind the cursor on a line of its own where a block of lines goes before it (`{|}`)."""
    line = snapshot.line_before
    is_between = snapshot.lexis.braces and line.rstrip().endswith("{")
    if not is_between or "\n" not in text or not snapshot.line_after.lstrip().startswith("}"):
        return text
    if overwritten(text, snapshot):
        return text
    return f"{text.rstrip()}\n{line[: len(line) - len(line.lstrip())]}"


def _taken(text: str, rest: str, closed: Sequence[tuple[str, int]]) -> int:
    """How many characters of closers the closers of a text stand for."""
    closers = deque(closed)
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


def _core(rest: str, lexis: Lexis) -> str:
    """The rest of a line without the tags or the comment that end with it."""
    for _ in range(MOST_TAGS if lexis.tags else 0):
        found = TAG_END.search(rest[-MOST_ANGLES:])
        if not found:
            break
        rest = rest[: len(rest) - len(found.group())]
    for _, ends in lexis.block_comments:
        rest = rest.removesuffix(ends)
    return rest


def _closed(text: str, snapshot: Snapshot) -> list[tuple[str, int]]:
    """(closer, offset) of what `text` closes without having opened it."""
    lexis, in_comment = snapshot.lexis, bool(snapshot.opened) and snapshot.opened[-1].is_comment
    scanned = scan(text, BRACKETS) if in_comment else scan(text, lexis, snapshot.opened)
    found = [(one.char, one.at) for one in scanned.closed]
    before = snapshot.line_before[-MOST_ANGLES:] if lexis.angles else ""
    if n_open := len(list(_angles(before, opening=True))):
        found = sorted([*found, *list(_angles(text, opening=False))[:n_open]], key=lambda one: one[1])
    if lexis.braces and snapshot.is_in_string and snapshot.line_after[:1] in PAIRS:  # the hole of a format
        end = found[0][1] if found else len(text)
        return [*((one.char, one.at) for one in scan(text[:end], BRACKETS).closed), *found]
    return found


def _angles(text: str, *, opening: bool) -> Iterator[tuple[str, int]]:
    """(`<` or `>`, offset) of those around types that have no partner in the text."""
    opened: list[int] = []
    for at, char in enumerate(text):
        before, behind = text[at - 1 : at], text[at + 1 : at + 2]
        if char == "<" and (before.isalnum() or before in ("_", ":", ">") or behind not in (" ", "<", "=")):
            opened.append(at)
        elif char == ">" and before not in ("-", "=", " "):
            if opened:
                opened.pop()
            elif not opening:
                yield char, at
    if opening:
        yield from (("<", at) for at in opened)
