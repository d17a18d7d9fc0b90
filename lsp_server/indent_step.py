"""How a document is indented near a cursor."""

from __future__ import annotations

from itertools import pairwise

from indexer import PLAIN, Lexis

INDENT_SAMPLE_LINES = 200  # lines on each side of the cursor that tell how the document is indented
NEAR_CHARS = 32_000  # on each side of the cursor, in which such lines are looked for


def indent_of(prefix: str, suffix: str, lexis: Lexis = PLAIN) -> str:
    """One step of indentation near the cursor: a tab, or the commonest growth in spaces; the language's own when
    nothing tells. Among braces what stands behind one tells first: other lines are aligned."""
    n = INDENT_SAMPLE_LINES
    above, below = last_lines(prefix)[-n:], first_lines(suffix)[:n]
    lines = [line for line in above + below if line.strip()]
    if lexis.braces:
        lines = [line for line in lines if not line.lstrip().startswith("*")]  # of a comment
        lines += [
            lead + "_" for lead in above[-1:] if lead.startswith("\t") and not lead.strip()
        ]  # as editors indent
    leads = [line[: len(line) - len(line.lstrip())] for line in lines]
    tabs = sum(lead.startswith("\t") for lead in leads)
    if tabs > sum(lead.startswith(" ") for lead in leads):
        return "\t"
    grown = [(len(b) - len(a), line) for (a, b), line in zip(pairwise(leads), lines, strict=False)]
    behind = [step for step, line in grown if lexis.braces and line.rstrip().endswith("{") and 2 <= step <= 8]
    steps = behind or [step for step, _ in grown if 2 <= step <= 8]
    return " " * max(set(steps), key=steps.count) if steps else lexis.step


def last_lines(text: str) -> list[str]:
    """The lines at the end of a text, whole ones only."""
    lines = text[-NEAR_CHARS:].split("\n")
    return lines if len(text) <= NEAR_CHARS else lines[1:]


def first_lines(text: str) -> list[str]:
    """The lines at the beginning of a text, whole ones only."""
    lines = text[:NEAR_CHARS].split("\n")
    return lines if len(text) <= NEAR_CHARS else lines[:-1]
