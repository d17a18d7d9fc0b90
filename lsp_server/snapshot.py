"""What one completion is asked about, frozen, and the only code that turns LSP positions into text offsets.

A client counts characters in the encoding that was agreed in `initialize` (UTF-8, UTF-16 or UTF-32 units);
Python counts code points. A line ends at "\\n", "\\r\\n" or "\\r" and nowhere else (LSP 3.18, "Text
Documents"): `str.splitlines` also splits at form feeds, which are common in old C and Python files, and would
put every later edit in the wrong place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lsprotocol import types

from indexer import Above, Lexis, Opened, lexis_of, opened_before, read_above
from lsp_server.indent_step import first_lines, indent_of

LONGEST_WORD = 200  # characters before the cursor that may be one word
WORD = re.compile(r"\w*")


@dataclass(frozen=True)
class Snapshot:
    """One document at one cursor. `prefix` and `suffix` have "\\n" line ends whatever the document has.

    `start` and `end` are code points on the cursor's line: the answer replaces what lies between them. They
    differ only when an item of the completion menu is selected; its text (`selected`) then ends the prefix.
    """

    uri: str
    version: int | None
    path: Path | None  # None: an untitled buffer
    language: str
    prefix: str
    suffix: str
    line: int  # 0-based
    line_text: str  # the cursor's line as the document has it, without its end
    start: int
    end: int
    selected: str
    line_ending: str
    indent: str  # one step of indentation: "\t" or spaces
    encoding: str

    @property
    def lexis(self) -> Lexis:
        """How its language is written."""
        return lexis_of(self.language)

    @cached_property
    def above(self) -> Above | None:
        """The lines up to the cursor, read once for all who ask; None without braces."""
        return read_above(self.prefix, self.lexis) if self.lexis.braces else None

    @cached_property
    def opened(self) -> tuple[Opened, ...]:
        """What is open at the cursor; see `opened_before`."""
        return self.above.scan.opened if self.above else opened_before(self.prefix, self.lexis)

    @property
    def is_in_string(self) -> bool:
        return bool(self.opened) and self.opened[-1].string is not None

    @property
    def parts(self) -> tuple[str, ...]:
        """The whole text, not joined: that would cost every keystroke a copy."""
        return (self.prefix, self.suffix)

    @property
    def line_before(self) -> str:
        return self.prefix[self.prefix.rfind("\n") + 1 :]

    @property
    def line_after(self) -> str:
        end = self.suffix.find("\n")
        return self.suffix if end < 0 else self.suffix[:end]

    @property
    def line_above(self) -> str:
        """The last line before the cursor's that is not blank, without white space at its end; "" for
        none."""
        above = self.prefix[: self.prefix.rfind("\n") + 1].rstrip()
        return above[above.rfind("\n") + 1 :]

    @property
    def lines_below(self) -> list[str]:
        """The next lines behind the cursor's that are not blank, without white space at their ends."""
        lines = first_lines(self.suffix)[1:]
        return [line.rstrip() for line in lines if line.strip()]

    @property
    def size(self) -> int:
        """Characters of the document."""
        return len(self.prefix) + len(self.suffix)

    def range(self, replace: int, n_before: int = 0) -> types.Range:
        """What an answer replaces that also overwrites `replace` characters after the cursor, and as many as
        `n_before` before it; always on one line."""
        return types.Range(self._at(self.start - n_before), self._at(self.end + replace))

    def _at(self, column: int) -> types.Position:
        return types.Position(self.line, units(self.line_text[:column], self.encoding))


@dataclass(frozen=True)
class Buffer:
    """A document's text as it is at this moment. A notebook's cell has other cells before and after it."""

    uri: str
    version: int | None
    path: Path | None
    language: str
    text: str
    before: str = ""
    after: str = ""

    @property
    def size(self) -> int:
        """Characters of the document."""
        return len(self.before) + len(self.text) + len(self.after)

    @property
    def parts(self) -> tuple[str, ...]:
        """The whole text, not joined."""
        return (self.before, self.text, self.after)

    @property
    def whole(self) -> str:
        """All of it with "\\n" line ends, as a snapshot's prefix and suffix have it."""
        return unix(self.before + self.text + self.after)


def take(
    buffer: Buffer,
    position: types.Position,
    encoding: str = "utf-16",
    selected: types.SelectedCompletionInfo | None = None,
) -> Snapshot:
    """The snapshot of `buffer` at `position`, as if `selected` had been accepted."""
    start = end = offset_at(buffer.text, position, encoding)
    if selected is not None:
        start = min(start, offset_at(buffer.text, selected.range.start, encoding))
        end = max(end, offset_at(buffer.text, selected.range.end, encoding))
    line, line_start, line_end = _line_around(buffer.text, start)
    chosen = selected.text if selected is not None else ""
    prefix = unix(buffer.before + buffer.text[:start] + chosen)
    suffix = unix(buffer.text[end:] + buffer.after)
    return Snapshot(
        uri=buffer.uri,
        version=buffer.version,
        path=buffer.path,
        language=buffer.language,
        prefix=prefix,
        suffix=suffix,
        line=line,
        line_text=buffer.text[line_start:line_end],
        start=start - line_start,
        end=min(end, line_end) - line_start,
        selected=chosen,
        line_ending="\r\n" if "\r" in buffer.text and "\r\n" in buffer.text else "\n",
        indent=indent_of(prefix, suffix, lexis_of(buffer.language)),
        encoding=encoding,
    )


def behind(prefix: str, buffer: Buffer) -> Snapshot | None:
    """The snapshot of `buffer` whose prefix is `prefix`, None when the document does not begin with it."""
    if not buffer.whole.startswith(prefix):
        return None
    in_buffer = prefix[len(unix(buffer.before)) :]
    column = len(in_buffer) - (in_buffer.rfind("\n") + 1)
    return take(buffer, types.Position(in_buffer.count("\n"), column), "utf-32")


def on_next_line(snapshot: Snapshot) -> Snapshot:
    """Where the cursor will be after Enter at the end of a line, as editors indent."""
    line = snapshot.line_before
    opens = line.rstrip().endswith(("{", "(", "[")) or _opens_deeper(line.rstrip(), snapshot.lexis)
    lead = line[: len(line) - len(line.lstrip())] + (snapshot.indent if opens else "")
    return replace(
        snapshot,
        prefix=f"{snapshot.prefix}\n{lead}",
        line=snapshot.line + 1,
        line_text=lead,
        start=len(lead),
        end=len(lead),
        selected="",
    )


def _opens_deeper(line: str, lexis: Lexis) -> bool:
    """Whether what follows a line stands deeper, where no bracket says so."""
    if not lexis.braces:
        return line.endswith(":")
    return line.endswith(lexis.arrows or ("\0",)) or lexis.is_label(line) or lexis.opens_tag(line)


def offset_at(text: str, position: types.Position, encoding: str) -> int:
    """Code points before `position`. A position beyond its line is the line's end, beyond the text the text's
    end."""
    start = _line_start(text, position.line)
    if start is None:
        return len(text)
    return start + _column(text[start : _line_end(text, start)], position.character, encoding)


def position_at(text: str, offset: int, encoding: str) -> types.Position:
    """The position of as many code points as `offset`; the inverse of `offset_at`."""
    line, start, _ = _line_around(text, offset)
    return types.Position(line, units(text[start:offset], encoding))


def units(text: str, encoding: str) -> int:
    """Length of `text` in the client's units."""
    if encoding == "utf-8":
        return len(text.encode("utf-8", "surrogatepass"))
    if encoding == "utf-16" and not text.isascii():
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    return len(text)


def word_before(text: str) -> str:
    """The word that `text` ends with, "" for none."""
    found = WORD.match(text[: -LONGEST_WORD - 1 : -1])
    return found.group()[::-1] if found else ""


def _column(line: str, character: int, encoding: str) -> int:
    """The most code points that take no more units than `character`: inside one counts as before it."""
    if line.isascii() or encoding == "utf-32":
        return min(character, len(line))
    column, end = 0, len(line)
    while column < end:  # only what is left is counted: all in all the line once, however long it is
        middle = (column + end + 1) // 2
        n_units = units(line[column:middle], encoding)
        if n_units <= character:
            column, character = middle, character - n_units
        else:
            end = middle - 1
    return column


def _line_start(text: str, line: int) -> int | None:
    """Where a 0-based line begins, None beyond the last one."""
    parts = _with_newlines(text).split("\n", line)
    return len(text) - len(parts[-1]) if len(parts) > line else None


def _line_around(text: str, offset: int) -> tuple[int, int, int]:
    """(0-based line, its start, its end) of the line that holds `offset`."""
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    return _with_newlines(text[:start]).count("\n"), start, _line_end(text, offset)


def _line_end(text: str, offset: int) -> int:
    """Where the line that holds `offset` ends."""
    end = text.find("\n", offset)
    end = len(text) if end < 0 else end
    before = text.find("\r", offset, end)
    return end if before < 0 else before


def _with_newlines(text: str) -> str:
    """The text, as long as before, with one "\\n" at the end of each line: a keystroke far down costs no
    search per line."""
    if "\r" not in text or text.count("\r") == text.count("\r\n"):
        return text
    return text.replace("\r\n", " \n").replace("\r", "\n")


def unix(text: str) -> str:
    """The text with "\\n" line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
