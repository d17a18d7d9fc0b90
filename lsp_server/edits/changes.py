"""What an edit changed, in tokens: the smallest run in which it differs, with whole brackets and whole indentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from keyword import kwlist

from lsp_server.edits.history import Edit
from lsp_server.edits.tokens import NEWLINE, SourceToken, is_balanced, texts, tokens_of

MOST_MORE = 4  # tokens on a side that are taken as changed, too, so that brackets are whole
MOST_INSERTED = 40  # tokens that may be new where nothing stood
MOST_TOKENS = 80  # of an edit: before, or after
SHORTEST_NAME = 3  # characters of a name that a place may be found by

Key = tuple[tuple[str, ...], tuple[str, ...]]  # the tokens that changed, before and after
# Names that stand everywhere, and say nothing about a place.
_OTHERS = (
    "self cls print str int bool const let var function this void new public private static func pub end"
)
KEYWORDS = frozenset([*kwlist, *_OTHERS.split(), "then", "null", "true", "false", "nil"])


@dataclass(frozen=True)
class ChangedTokens:
    """An edit as tokens: all of what stood and stands there, and which of them changed."""

    before: tuple[SourceToken, ...]
    after: tuple[SourceToken, ...]
    text: str  # that `after` are offsets in
    old_line: str  # the first line with a change in it, as it stood
    n_same: int  # tokens that both begin with
    n_same_end: int  # and that both end with

    @property
    def old(self) -> tuple[str, ...]:
        return texts(self.before[self.n_same : len(self.before) - self.n_same_end])

    @property
    def new(self) -> tuple[str, ...]:
        return texts(self.after[self.n_same : len(self.after) - self.n_same_end])

    @property
    def new_start(self) -> int:
        """Offset of what is new in the edit's text."""
        if self.n_same < len(self.after):
            return self.after[self.n_same].start
        return len(self.text)

    @property
    def n_new_chars(self) -> int:
        """Its length."""
        last = len(self.after) - self.n_same_end
        return max(self.after[last - 1].end - self.new_start, 0) if last else 0

    @property
    def renamed(self) -> tuple[str, str] | None:
        """The name before and after, where nothing else changed."""
        names = (*self.old, *self.new)
        if len(self.old) != 1 or len(self.new) != 1 or not (is_name(names[0]) and names[1].isidentifier()):
            return None
        return None if any(name in KEYWORDS for name in names) else (names[0], names[1])

    @property
    def key(self) -> Key:
        """What was changed into what, wherever."""
        return self.old, self.new


def changed_tokens(edit: Edit) -> ChangedTokens | None:
    """The tokens of an edit, None where only white space changed or too much did."""
    before, after = tokens_of(edit.old), tokens_of(edit.new)
    a, b = texts(before), texts(after)
    if a == b:
        return None
    most = min(len(a), len(b))
    n_same = next((n for n in range(most) if a[n] != b[n]), most)
    n_end = next((n for n in range(most - n_same) if a[-1 - n] != b[-1 - n]), most - n_same)
    n_same, n_end = _indented_alike(edit, before, after, n_same, n_end)
    n_same, n_end = _balanced(a, b, n_same, n_end)
    found = ChangedTokens(
        tuple(before), tuple(after), edit.new, edit.changed[0].partition("\n")[0], n_same, n_end
    )
    longest = max(len(found.old), len(found.new))
    most = MOST_TOKENS if found.old else MOST_INSERTED
    return found if 0 < longest <= most else None


def _indented_alike(
    edit: Edit, before: Sequence[SourceToken], after: Sequence[SourceToken], n_same: int, n_end: int
) -> tuple[int, int]:
    """As much less in common as leaves no line in it whose indentation changed."""

    def differs(index: int, other: int) -> bool:
        one, two = before[index], after[other]
        return one.text == NEWLINE and edit.old[one.start : one.end] != edit.new[two.start : two.end]

    n_same = next((n + 1 for n in range(n_same) if differs(n, n)), n_same)
    n_end = next((n for n in range(n_end) if differs(-1 - n, -1 - n)), n_end)
    return n_same, n_end


def _balanced(a: Sequence[str], b: Sequence[str], n_same: int, n_end: int) -> tuple[int, int]:
    """As much less in common as leaves whole brackets in what changed, where a few tokens suffice for that."""
    for more in range(min(n_end, MOST_MORE) + 1):
        for less in range(min(n_same, MOST_MORE) + 1):
            first, end = n_same - less, n_end - more
            if is_balanced(a[first : len(a) - end]) and is_balanced(b[first : len(b) - end]):
                return first, end
    return n_same, n_end


def is_name(item: str) -> bool:
    return len(item) >= SHORTEST_NAME and (item[0].isalpha() or item[0] == "_")


def is_telling(item: str) -> bool:
    return is_name(item) and item not in KEYWORDS
