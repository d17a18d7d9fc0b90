"""One edit, generalized: which tokens must stand at a place, and what is written there instead.

A pattern is what stood before (`left`, `old`, `right`) and what takes the place of `old` (`new`). From one edit come
several, from narrow to wide: with more or fewer neighbors, below a called name with any arguments, and with holes for
what the edit carried over. A second edit agrees with those that turn it, too, into what the user made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from lsp_server.edits.changes import ChangedTokens, changed_tokens, is_name, is_telling
from lsp_server.edits.history import Edit
from lsp_server.edits.indentation import Indentation, indentation_of
from lsp_server.edits.tokens import (
    CLOSERS,
    NEWLINE,
    blocks_in_both,
    is_balanced,
    is_word,
    lead_of,
    opener_before,
    texts,
)

NEIGHBORS = (6, 4, 2, 1, 0)  # tokens on each side, from narrow to wide
AROUND_HOLES = ((2, 2), (1, 2), (2, 1), (1, 1), (0, 1), (1, 0), (0, 0))


@dataclass(frozen=True)
class CarriedOver:
    """A hole: stands for any balanced run of tokens, the same wherever its number is."""

    number: int


Item = str | CarriedOver


@dataclass(frozen=True)
class EditPattern:
    """`new` are pieces of text with their white space, from the end of `left` to the beginning of `right`."""

    kind: str  # "neighbors", "call" or "holes"
    left: tuple[Item, ...]
    old: tuple[Item, ...]
    right: tuple[Item, ...]
    new: tuple[Item, ...]
    indentation: Indentation

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """All that must stand there."""
        return self.left + self.old + self.right

    @cached_property
    def anchor(self) -> int | None:
        """Index of the item that places are looked for by: the longest name. None where there is none."""
        names = [
            (len(item), -index)
            for index, item in enumerate(self.items)
            if isinstance(item, str) and is_telling(item)
        ]
        return -max(names)[1] if names else None

    @property
    def n_names(self) -> int:
        """Names that must stand there, those apart that stand everywhere."""
        return sum(isinstance(item, str) and is_telling(item) for item in self.items)


def patterns_of(edit: Edit) -> list[EditPattern]:
    """From narrow to wide, none twice; empty where nothing says where else the edit might apply."""
    changed = changed_tokens(edit)
    if changed is None:
        return []
    lead = _indentation(edit, changed)
    found = [*_with_neighbors(changed, lead), *_below_a_call(changed, lead), *_with_holes(changed, lead)]
    return [pattern for pattern in dict.fromkeys(found) if pattern.anchor is not None]


def _with_neighbors(changed: ChangedTokens, lead: Indentation) -> Iterator[EditPattern]:
    before, n, m = texts(changed.before), changed.n_same, len(changed.before) - changed.n_same_end
    for k in NEIGHBORS:
        left, right = before[max(0, n - k) : n], before[m : m + k]
        new = (_new_text(changed, bool(left), bool(right)),)
        if left or right or changed.old:
            yield EditPattern("neighbors", left, changed.old, right, new, lead)


def _below_a_call(changed: ChangedTokens, lead: Indentation) -> Iterator[EditPattern]:
    """An argument: the name that is called, whatever arguments stand between it and the change."""
    before, n, m = texts(changed.before), changed.n_same, len(changed.before) - changed.n_same_end
    opener = opener_before(before, n)
    if opener is None or opener == 0 or not is_name(before[opener - 1]):
        return
    for first in {opener - 1, _first_of_dotted(before, opener - 1)}:
        callee = before[first : opener + 1]
        near = 2 if changed.old else 0
        skipped = before[opener + 1 : max(opener + 1, n - near)]
        literal = before[max(opener + 1, n - near) : n]
        right = before[m : m + 1] if before[m : m + 1] and before[m] in CLOSERS else ()
        if not is_balanced(skipped) or not (changed.old or right or not skipped):
            continue
        left: tuple[Item, ...] = (*callee, *((CarriedOver(0),) if skipped else ()), *literal)
        new = (_new_text(changed, True, bool(right)),)
        yield EditPattern("call", left, changed.old, right, new, lead)


def _with_holes(changed: ChangedTokens, lead: Indentation) -> Iterator[EditPattern]:
    """What the edit carried over may be something else elsewhere."""
    old, new, start = changed.old, changed.new, changed.n_same
    before = texts(changed.before)
    runs = [run for both in blocks_in_both(old, new) if (run := _trimmed(both, old))]
    if not runs:
        return
    pieces = _pieces(changed, [(j, n) for _, j, n in runs])
    items = _with_runs(old, [(i, n) for i, _, n in runs])
    m = len(before) - changed.n_same_end
    for n_left, n_right in AROUND_HOLES:
        left, right = before[max(0, start - n_left) : start], before[m : m + n_right]
        whole = (*left, *items, *right)
        if (
            isinstance(whole[0], CarriedOver)
            or isinstance(whole[-1], CarriedOver)
            or _has_neighboring_holes(whole)
        ):
            continue  # nothing says where such a hole begins or ends
        around = _around(changed, bool(left), bool(right))
        yield EditPattern("holes", left, items, right, (around[0], *pieces, around[1]), lead)


def _has_neighboring_holes(items: Sequence[Item]) -> bool:
    return any(isinstance(a, CarriedOver) and isinstance(b, CarriedOver) for a, b in pairwise(items))


def _trimmed(run: tuple[int, int, int], old: Sequence[str]) -> tuple[int, int, int] | None:
    """A run that may be a hole: from a word to a word or a closed bracket, nothing open in it."""
    i, j, n = run
    while n and not (is_word(old[i + n - 1]) or old[i + n - 1] in CLOSERS):
        n -= 1
    while n and not is_balanced(old[i : i + n]):
        n -= 1
    while n and (old[i + n - 1] in (",", ".", "=", NEWLINE)):
        n -= 1
    return (i, j, n) if n and "," not in old[i : i + n] and NEWLINE not in old[i : i + n] else None


def _with_runs(tokens: Sequence[str], runs: Sequence[tuple[int, int]]) -> tuple[Item, ...]:
    items: list[Item] = []
    at = 0
    for number, (start, n) in enumerate(runs):
        items += [*tokens[at:start], CarriedOver(number)]
        at = start + n
    return (*items, *tokens[at:])


def _pieces(changed: ChangedTokens, runs: Sequence[tuple[int, int]]) -> list[Item]:
    """The new tokens' text, with white space, and holes."""
    after, base = changed.after, changed.n_same
    end_index = len(after) - changed.n_same_end
    at = after[base].start
    found: list[Item] = []
    for number, (start, n) in enumerate(runs):
        found += [changed.text[at : after[base + start].start], CarriedOver(number)]
        at = after[base + start + n - 1].end
    found.append(changed.text[at : after[end_index - 1].end])
    return found


def _around(changed: ChangedTokens, left: bool, right: bool) -> tuple[str, str]:
    """White space between the new tokens and their neighbors, where those belong to the pattern."""
    after, n = changed.after, changed.n_same
    m = len(after) - changed.n_same_end
    before_it = changed.text[after[n - 1].end : after[n].start] if left and n < m else ""
    behind_it = changed.text[after[m - 1].end : after[m].start] if right and n < m else ""
    return before_it, behind_it


def _new_text(changed: ChangedTokens, left: bool, right: bool) -> str:
    """From the end of the left neighbor to the start of the right one, or of the new tokens themselves."""
    after, n = changed.after, changed.n_same
    m = len(after) - changed.n_same_end
    if n == m and not (left and right):
        return ""
    start = after[n - 1].end if left else after[n].start
    end = after[m].start if right else after[m - 1].end
    return changed.text[start:end]


def _first_of_dotted(tokens: Sequence[str], at: int) -> int:
    while at >= 2 and tokens[at - 1] == "." and is_name(tokens[at - 2]):
        at -= 2
    return at


def _indentation(edit: Edit, changed: ChangedTokens) -> Indentation:
    """Of the line where the change begins; of the first line that changed where it begins inside a line."""
    at = changed.n_same - 1
    if at < 0 or changed.before[at].text != NEWLINE:
        lead = lead_of(edit.new[edit.above :].partition("\n")[0])
        return Indentation(lead, lead)
    old, new = edit.old[: changed.before[at].end], edit.new[: changed.after[at].end]
    whole_lines = not changed.old and changed.new[0] != NEWLINE and changed.new[-1] == NEWLINE
    return indentation_of(old, new, whole_lines=whole_lines)
