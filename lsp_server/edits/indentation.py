"""How an edit indented the lines that it begins at and brought in, and how such lines are indented elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from lsp_server.edits.tokens import NEWLINE, lead_of, line_at, n_in_common


@dataclass(frozen=True)
class Indentation:
    """Of the line where an edit begins: `lead` is what it had, `first` what stands there now.

    `above` is that of the line above, where whole lines came in with an indentation of their own: at the end of a
    block they go on with what is above them, and have no place in the middle of one.
    """

    lead: str
    first: str
    above: str | None = None

    def elsewhere(self, lead: str, here: str) -> str | None:
        """What is as much deeper than `here` as `lead` is than the edit's line; None where there is less."""
        same = n_in_common(lead, self.lead)
        lost = self.lead[same:]
        return here.removesuffix(lost) + lead[same:] if here.endswith(lost) else None

    def lines(self, text: str, here: str, ending: str) -> str:
        """New text for a place whose line has the indentation `here`."""
        first, *lines = text.replace("\r\n", NEWLINE).split(NEWLINE)
        if not lines:
            return first
        *whole, last = lines  # behind the last one something stands that the edit left
        moved = [self._moved(line, here) if line.strip() else "" for line in whole]
        return ending.join([first, *moved, self._moved(last, here)])

    def _moved(self, line: str, here: str) -> str:
        old = lead_of(line)
        lead = self.elsewhere(old, here)
        return line if lead is None else lead + line[len(old) :]


def indentation_of(old: str, new: str, *, whole_lines: bool) -> Indentation:
    """From all that stands in front of the first token that changed, before and after."""
    lead, first = (line_at(text, len(text)) for text in (old, new))
    if not whole_lines or lead == first:
        return Indentation(lead, first)
    return Indentation(lead, first, lead_of(line_at(old, len(old) - len(lead) - 1)))
