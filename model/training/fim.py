"""Cutting a file at a cursor: what a completion should give back, at the places where people ask for one.

The cuts are the fill-in-the-middle samples of pretraining and the tasks of adapter training. `prefix + middle +
suffix` is always the text that went in.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

# Kind -> share. Most completions finish a line; whole lines and blocks follow.
_KINDS = {"rest": 0.35, "line": 0.25, "lines": 0.2, "block": 0.15, "span": 0.05}
_MAX_LINES, _MAX_SPAN = 8, 160


@dataclass(frozen=True)
class Cut:
    prefix: str
    middle: str
    suffix: str
    kind: str


def cut_at(text: str, near: int, rng: random.Random, kind: str | None = None) -> Cut | None:
    """Cut `text` close to character `near`; None where there is nothing to complete (a blank rest of the text)."""
    kind = kind or rng.choices(list(_KINDS), list(_KINDS.values()))[0]
    line_start = text.rfind("\n", 0, near) + 1
    if kind == "span":
        start, end = near, min(len(text), near + rng.randint(4, _MAX_SPAN))
    elif kind == "rest":
        start = _inside_line(text, line_start, rng)
        end = _line_end(text, start)
    else:
        n_lines = {"line": 1, "lines": rng.randint(2, _MAX_LINES), "block": _block_lines(text, line_start)}[
            kind
        ]
        # Half of the blocks are asked for behind the line that opens them, the rest at the start of a line.
        start = line_start
        end = _end_of_lines(text, start, n_lines)
    if not text[start:end].strip():
        return None
    return Cut(text[:start], text[start:end], text[end:], kind)


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _end_of_lines(text: str, start: int, n_lines: int) -> int:
    end = _line_end(text, start)
    for _ in range(n_lines - 1):
        end = _line_end(text, min(end + 1, len(text)))
    return end


def _inside_line(text: str, line_start: int, rng: random.Random) -> int:
    """A place in the line, mostly right behind a character that ends a word (`.`, `(`, a space)."""
    line = text[line_start : _line_end(text, line_start)]
    indent = len(line) - len(line.lstrip())
    if len(line) <= indent:
        return line_start
    behind_words = [i + 1 for i in range(indent, len(line) - 1) if not line[i].isalnum() and line[i] != "_"]
    if behind_words and rng.random() < 0.65:
        return line_start + rng.choice(behind_words)
    return line_start + rng.randint(indent, len(line) - 1)


def _block_lines(text: str, line_start: int) -> int:
    """How many lines from here on are indented at least like this one; at most 12."""
    lines = text[line_start : line_start + 2000].split("\n")[:12]
    indent = len(lines[0]) - len(lines[0].lstrip())
    n_lines = 1
    for i, line in enumerate(lines[1:], start=2):
        if line.strip():
            if len(line) - len(line.lstrip()) < indent:
                break
            n_lines = i
    return n_lines
