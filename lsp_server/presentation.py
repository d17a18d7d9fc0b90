"""What is shown of what the model wrote: where it stops, what it overwrites, how it is indented. Pure
functions.

Everything here works on text with "\\n" line ends, as a snapshot has it; `inserted` gives the document's own
back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from indexer import TAB_COLUMNS, Lexis, columns, extent_at
from lsp_server.closers import (
    closes_more,
    is_only_closers,
    overwritten,
    with_closer_below,
    without_rest_of_line,
)
from lsp_server.gates import is_defined_already, passed
from lsp_server.settings import CompletionSettings
from lsp_server.snapshot import Snapshot, word_before

MIN_VISIBLE = 2  # fewer visible characters are quicker typed than read
LOOP_LINES = 3  # the same lines this many times in a row are a loop
LOOP_SPAN = 24  # characters that one repeated piece of a line must fill to be a loop
LOOP_ROUNDS = 4  # of such a piece, which has at most so many characters:
LONGEST_PIECE = 40
LOOP_CHARS = 4_000  # at the end of a line, in which a loop is looked for
SPACES_PER_TAB = 4  # that a model writes where the document has tabs

# Markers of the FIM checkpoints that can be served, control characters and broken UTF-8: what comes after is not
# code. Nor is what cannot be seen, or makes what can be seen stand in another order ("Trojan Source",
# CVE-2021-42574): zero widths, directions, separators of lines and paragraphs, fillers, variants, tags.
NOT_CODE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\ufffd\ud800-\udfff]"
    r"|[\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f]"
    r"|[\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
    r"|<\|[a-z_]+\|>|</?s>|<(?:fim_[a-z]+|file_sep|repo_name|endoftext|EOT|PRE|MID|SUF)>|<\uff5c[^\uff5c]*\uff5c>"
)
PATH_COMMENT = re.compile(
    r"\s*(?:#|//|--|/\*)\s*(?:(?:path|file|filename)\s*:\s*)?[\w./-]+\.\w{1,5}\s*(?:\*/\s*)?(?:\n|$)"
)
CLOSING_LINE = re.compile(r"[\s)\]}\"'`;:,]*")
OPENERS = tuple("([{")
OPENS_DEEPER = (*OPENERS, *":,\\=")
CLOSES_BLOCK = ("}", "</")


Flaw = Literal[
    "closers",  # an editor closes by itself, or is quicker typed
    "short",
    "repeated",  # it is there already
    "no code",  # or none that may stand here
    "elsewhere",  # not at what follows the cursor
]


@dataclass(frozen=True)
class Suggestion:
    """`text` goes in at the cursor and overwrites `replace` characters after it."""

    text: str
    replace: int = 0


@dataclass(frozen=True)
class StopRule:
    """Where a completion ends: after its first line, or where a block of this indentation (in columns) ends.

    `ahead`: where nothing is left to say on the line, the next one is written, for when the user gets there.
    `closing`: see `Extent`.
    """

    block: bool
    indent: int = 0
    max_lines: int = CompletionSettings.max_lines
    ahead: bool = False
    closing: int | None = None

    def end(self, text: str) -> int | None:
        """Offset at which `text` is complete, None while more of it may belong."""
        if self.block:
            return self._block_end(text, self.indent)
        end = text.find("\n", 1 if self.is_ahead(text) else 0)
        if end >= 0 and self.closing is not None and text[:end].rstrip().endswith("{"):
            return self._block_end(text, self.closing + 1)
        return end if end >= 0 else None

    def is_ahead(self, text: str) -> bool:
        """Whether `text` is for the next line, and not to be shown on this one."""
        return self.ahead and not self.block and text.startswith("\n")

    def finished(self, text: str) -> bool:
        """Whether the generator may stop: the rule is satisfied, or the text only repeats itself."""
        whole = " " * self.indent + text
        return self.end(text) is not None or without_loop(whole) != whole

    def _block_end(self, text: str, indent: int) -> int | None:
        offset, blanks = 0, 0
        for index, line in enumerate(text.split("\n")):
            is_last = offset + len(line) == len(text)
            blanks = 0 if line.strip() else blanks + 1
            outside = index > 0 and line.strip() and columns(line) < indent
            if outside and index < self.max_lines and self.closes(line):
                if not line.rstrip().endswith(OPENERS):
                    return None if is_last else offset + len(line)
                outside = False
            # Two blank lines end a block; at the cursor's own line nothing has begun yet.
            if outside or (blanks == 2 and index > 1 and not is_last) or index >= self.max_lines:
                return max(offset - 1, 0)
            offset += len(line) + 1
        return None

    def closes(self, line: str) -> bool:
        """Whether a line closes the block, and belongs to it."""
        return columns(line) == self.closing and line.lstrip().startswith(CLOSES_BLOCK)


ONE_LINE = StopRule(block=False)


def stop_rule(snapshot: Snapshot, max_lines: int) -> StopRule:
    """One line or a block, as the syntax tree says; code to the right of the cursor leaves room for one line
    only."""
    if max_lines == 1 or not is_only_closers(snapshot.line_after, snapshot.lexis):
        return ONE_LINE
    text, offset = snapshot.prefix + snapshot.suffix, len(snapshot.prefix)
    block = extent_at(text, offset, snapshot.language, snapshot.above)
    return StopRule(block.multiline, block.indent, max_lines, closing=block.closing)


def present(text: str, snapshot: Snapshot, rule: StopRule, *, whole: bool = True) -> Suggestion | Flaw:
    """The suggestion for what the model wrote, or why nothing of it is worth showing.

    `whole` is False when a limit cut the model short: what may be half a word or half a line is then left
    out.
    """
    code = NOT_CODE.split(text, maxsplit=1)[0].replace("\r\n", "\n").replace("\r", "\n")
    end = rule.end(code)
    written = reindented(_cut(code, end, snapshot, whole=whole), snapshot)
    if PATH_COMMENT.match(written) or (not code.strip() and text.strip()):
        return "no code"
    if not is_worth_showing(written):
        return _of_code("short", written)
    new = _without_following_lines(written, snapshot, rule)
    if not is_worth_showing(new):
        return "repeated"
    joined = without_rest_of_line(new, snapshot)
    is_apart = joined == new and not is_only_closers(snapshot.line_after, snapshot.lexis)
    if is_apart and (end is not None or not whole or closes_more(new, snapshot)):
        return "elsewhere"  # it leads to a line of its own, not to the code after the cursor
    if not is_worth_showing(joined):
        return "repeated"
    text = passed(joined, snapshot)
    if not is_worth_showing(text):
        return "repeated" if is_defined_already(joined, snapshot) else _of_code("no code", joined)
    text = with_closer_below(text if snapshot.line_after.strip() else text.rstrip(), snapshot)
    return Suggestion(text, overwritten(text, snapshot))


def _of_code(flaw: Flaw, text: str) -> Flaw:
    return "closers" if text.strip() and is_only_closers(text) else flaw


def _cut(text: str, end: int | None, snapshot: Snapshot, *, whole: bool) -> str:
    """Up to its end, if it has one, and to where it only repeats itself."""
    text = text[:end]
    if end is None and not whole:
        text = _without_fragment(text)
    begun = snapshot.line_before[-LOOP_CHARS:]
    return without_loop(begun + text)[len(begun) :]


def is_worth_showing(text: str) -> bool:
    return sum(not char.isspace() for char in text) >= MIN_VISIBLE


def inserted(suggestion: Suggestion, snapshot: Snapshot) -> str:
    """The text that takes the place of `snapshot.range(suggestion.replace)` in the editor."""
    return snapshot.selected + suggestion.text.replace("\n", snapshot.line_ending)


def without_loop(text: str) -> str:
    """`text` with the second and later rounds of a loop at its end cut off."""
    lines = text.split("\n")
    for row in range(1, len(lines)):
        if _only_goes_deeper(lines[row - 1], lines[row]):
            return "\n".join(lines[:row])
    for period in range(1, len(lines) // LOOP_LINES + 1):
        block = lines[-period:]
        rounds = 1
        while lines[-period * (rounds + 1) : -period * rounds] == block:
            rounds += 1
        if rounds >= LOOP_LINES and any(_is_telling(line) for line in block):
            return "\n".join(lines[: len(lines) - period * (rounds - 1)])
    return text[: len(text) - len(lines[-1])] + _without_loop_in_line(lines[-1])


def reindented(text: str, snapshot: Snapshot) -> str:
    """`text` with the document's own indentation, and its first line no deeper than what stands above
    allows."""
    first, *rest = text.split("\n")
    is_code = not snapshot.lexis.braces or not snapshot.opened or snapshot.opened[-1].is_code
    if is_code and not snapshot.line_before.strip():
        cursor = columns(snapshot.line_before)
        first = _first_line_indented(first, cursor, snapshot)
    return "\n".join([first, *(_with_step(line, snapshot) for line in rest)])


def _first_line_indented(first: str, cursor: int, snapshot: Snapshot) -> str:
    """The line at a blank line's cursor, which stands at `cursor` columns."""
    code, above, step = first.lstrip(" \t"), snapshot.line_above, snapshot.indent
    width = TAB_COLUMNS if step == "\t" else len(step)
    deepest = columns(above) + (width if _may_be_deeper(code, above, snapshot.lexis) else 0)
    wanted = cursor + columns(first)
    if wanted > deepest and not above.endswith((",", "(", "[", "{")):
        wanted = max(deepest, cursor)
    elif wanted % width and wanted < deepest and not (snapshot.lexis.braces and cursor > columns(above)):
        wanted = min(wanted + width - wanted % width, deepest)  # an odd column: on to the next step
    missing = wanted - cursor
    return (missing // TAB_COLUMNS * "\t" if step == "\t" else missing * " ") + code


def _may_be_deeper(code: str, above: str, lexis: Lexis) -> bool:
    """Whether a line may stand deeper than the one above."""
    if not lexis.braces:
        return above.endswith(OPENS_DEEPER)
    is_head = lexis.is_head(above) and not above.endswith((";", "}"))
    return is_head or above.endswith(lexis.continues) or code.startswith(lexis.continued_by or ("\0",))


def _with_step(line: str, snapshot: Snapshot) -> str:
    code, step = line.lstrip(" \t"), snapshot.indent
    lead = line[: len(line) - len(code)]
    if step == "\t" and " " in lead and not (snapshot.lexis.braces and "\t" in lead):  # that is aligned
        tabs, spaces = divmod(lead.count(" "), SPACES_PER_TAB)
        return "\t" * (lead.count("\t") + tabs) + " " * spaces + code
    return lead.replace("\t", step) + code if "\t" in lead and step != "\t" else line


def _without_fragment(text: str) -> str:
    """A cut answer up to its last whole line, or, when it has only one, up to its last whole word."""
    if "\n" in text.rstrip():
        return text.rstrip().rpartition("\n")[0]
    return text.removesuffix(word_before(text))


def _without_loop_in_line(line: str) -> str:
    """The longest run of one piece up to the line's end is a loop; where two are as long, that of the shorter
    piece."""
    n_chars = {period: period * _rounds(line, period) for period in range(1, LONGEST_PIECE + 1)}
    period = max(n_chars, key=lambda period: n_chars[period])
    start = len(line) - n_chars[period]
    if n_chars[period] >= LOOP_SPAN and _is_telling(line[start : start + period]):
        return line[: start + period]
    return line


def _rounds(line: str, period: int) -> int:
    """How often the line's last `period` characters stand at its end, 0 for less than LOOP_ROUNDS times."""
    piece, rounds, first = line[-period:], 1, max(0, len(line) - LOOP_CHARS)
    start = len(line) - 2 * period
    while start >= first and line.startswith(piece, start):
        rounds, start = rounds + 1, start - period
    return rounds if rounds >= LOOP_ROUNDS else 0


def _without_following_lines(text: str, snapshot: Snapshot, rule: StopRule) -> str:
    """`text` up to the line from which on it only repeats the document: the line above or the lines below."""
    above, below = snapshot.line_above, snapshot.lines_below
    lines = text.split("\n")
    written = [(snapshot.line_before + lines[0]).rstrip(), *(line.rstrip() for line in lines[1:])]
    for index in range(len(lines)):
        tail = [line for line in written[index:] if line]
        is_closing = rule.closes(lines[index]) and len(tail) == 1
        if tail and tail == below[: len(tail)] and (index > 0 or lines[0].strip()) and not is_closing:
            return "\n".join(lines[:index])
    repeats_above = written[0] == above and not CLOSING_LINE.fullmatch(above)
    return "" if len(lines) == 1 and repeats_above else text


def _only_goes_deeper(above: str, line: str) -> bool:
    """Whether a line is the one above once more, further in, where nothing opens a block."""
    again = line.strip() == above.strip() and columns(line) > columns(above)
    is_tag = line.lstrip().startswith("<")
    return again and _is_telling(line) and not is_tag and not above.rstrip().endswith(OPENS_DEEPER)


def _is_telling(piece: str) -> bool:
    """Whether a repetition of `piece` says that the model is stuck: rulers and blank lines repeat in good
    code."""
    return any(char.isalnum() for char in piece)
