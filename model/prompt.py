"""The prompt: fill-in-the-middle layout and token budget, in one place for serving and training.

`[head] <suffix> SUFFIX <prefix> PREFIX` (order "spm", the embedded model),
`[head] <prefix> PREFIX <suffix> SUFFIX <middle> TYPED` (order "psm", Qwen2.5-Coder and its like) or, for a model that
was never taught to fill a hole, `<end of text> [head] PREFIX` (order "ltr"): of what is behind the cursor it reads
blocks or nothing.

The head is what the model reads of the repository. Stable parts come first, so that a keystroke leaves the keys and
values of what precedes it valid: under "spm" typing only appends, and under "psm" too, since what was typed behind an
anchor stands where the answer goes on from it. The anchor is the start of the cursor's line, or lines above it
(`anchors.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.blocks.block import Block, digest_of
from model.families import FimOrder
from model.layout import DocumentName, Titles, document_ids, fim_layout, titles_of
from model.vocabulary import CHARS_PER_TOKEN, Vocabulary

PSEUDO = -1  # Stands in `ids` where a pseudo-token's vector goes.

# The left cut moves this many lines at a time and the right one leaves room for that many tokens: a cut that moved
# with every keystroke would throw the whole cache away.
_CUT_LINES = 8
_CUT_TOKENS = 64
# Of a prompt this much is left to what is typed behind an anchor, a quarter of a short one at most.
_TYPED_TOKENS = 96
_SIGNS = 32  # of a text's end, in which its last token is looked for
# A shorter piece of a snippet says nothing, and one that fills the budget hides what else was found: the windows of
# pretraining have 128 tokens, too.
_MIN_DOCUMENT_TOKENS = 16
_MAX_DOCUMENT_SHARE = 1 / 3


@dataclass(frozen=True, eq=False)
class Prompt:
    """Token ids with PSEUDO slots, and the vectors that fill the slots in order: float32 [slots, hidden].

    `before` and `after`: the ids of the document that are among them, on either side of the cursor. Of `blocks` the
    first, the sink, is placed in front of all ids and the others behind `n_early` of them, which do not see them.
    """

    ids: tuple[int, ...]
    pseudo: np.ndarray
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    blocks: tuple[Block, ...] = ()
    n_early: int = 0

    def __post_init__(self) -> None:
        slots = self.ids.count(PSEUDO)
        if slots != len(self.pseudo):
            raise ValueError(f"a prompt with {slots} pseudo-token slots got {len(self.pseudo)} vectors")
        if self.n_early and not 0 < self.n_early < len(self.ids):
            raise ValueError(f"{self.n_early} of {len(self.ids)} ids cannot stand in front of the blocks")

    def __len__(self) -> int:
        """Rows of the cache that it takes."""
        return self.n_placed + len(self.ids)

    @property
    def n_placed(self) -> int:
        """Rows of blocks."""
        return sum(map(len, self.blocks))

    @property
    def sink_rows(self) -> int:
        return sum(map(len, self.blocks[:1]))

    @property
    def early_rows(self) -> int:
        """Rows in front of the blocks, the sink among them."""
        return self.sink_rows + self.n_early

    @property
    def late_row(self) -> int:
        """The first row behind the blocks."""
        return self.n_placed + self.n_early

    def with_blocks(self, blocks: Sequence[Block], n_early: int) -> Prompt:
        """The same with blocks, the sink first, behind `n_early` of its ids. A sink that the prompt itself begins with
        is not there twice."""
        begins_so = len(self.ids) > 1 and digest_of(self.ids[:1]) == blocks[0].digest
        return replace(
            self, ids=self.ids[begins_so:], blocks=tuple(blocks), n_early=max(0, n_early - begins_so)
        )


@dataclass(frozen=True, eq=False)
class Head:
    """The repository's part of a prompt; kept byte-identical between keystrokes."""

    ids: tuple[int, ...]
    pseudo: np.ndarray  # float32 [slots, hidden]


@dataclass(frozen=True)
class Budget:
    """Most tokens of a whole prompt and, of these, behind the cursor."""

    total: int
    suffix: int


@dataclass(frozen=True, eq=False)
class Anchor:
    """A place in a document with the whole texts around it, and the prompt for a cursor right there."""

    prefix: str
    suffix: str
    prompt: Prompt

    def behind(self, vocabulary: Vocabulary, prefix: str, total: int) -> Prompt | None:
        """The prompt for a cursor behind `prefix`, which begins with the anchor's, with what was typed since where the
        answer goes on from it; None where that is more than `total` tokens."""
        typed = _few_ids(vocabulary, prefix[len(self.prefix) :], total - len(self.prompt.ids))
        if typed is None:
            return None
        before = self.prompt.before
        return replace(self.prompt, ids=(*self.prompt.ids, *typed), before=(*before, *typed))


def empty_head(hidden_size: int) -> Head:
    return Head((), np.zeros((0, hidden_size), dtype=np.float32))


def fit_documents(
    vocabulary: Vocabulary, documents: Iterable[tuple[str, str]], budget: int
) -> list[list[int]]:
    """Ids of the first (path, text) pairs that fit `budget` tokens in all; each is cut at a third of them."""
    longest = max(_MIN_DOCUMENT_TOKENS, int(budget * _MAX_DOCUMENT_SHARE))
    chosen: list[list[int]] = []
    for path, text in documents:
        left = budget - sum(map(len, chosen))
        if left < _MIN_DOCUMENT_TOKENS:
            break
        chosen.append(document_ids(vocabulary, path, text)[: min(left, longest)])
    return chosen


def worst_first(documents: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Documents, best first, as they stand in a prompt: the best nearest to the cursor."""
    return tuple(token for ids in reversed(documents) for token in ids)


def exact_text(
    vocabulary: Vocabulary, found: Sequence[tuple[str, str, str]], text_budget: int, signature_budget: int
) -> tuple[int, ...]:
    """Ids of what stands beside pseudo-tokens: the text of the best of `found`, (path, text, signature) each, and in
    front of it signatures of those that had no room."""
    readable = [(path, text, signature) for path, text, signature in found if text]
    shown = fit_documents(vocabulary, [(path, text) for path, text, _ in readable], text_budget)
    rest = [one for one in found if one not in readable[: len(shown)]]
    signatures = dict.fromkeys((path, signature) for path, _, signature in rest if signature)
    return worst_first(fit_documents(vocabulary, signatures, signature_budget)) + worst_first(shown)


def build_prompt(
    vocabulary: Vocabulary,
    order: FimOrder,
    head: Head,
    prefix: str,
    suffix: str,
    budget: Budget,
    name: DocumentName | None = None,
) -> Prompt:
    """The prompt for a cursor between `prefix` and `suffix`, in a document that is named where the coder knows how.

    The two sides share 2:1 what the head leaves; what one does not need goes to the other. The left side is cut at
    a line start. Raises ValueError when the head alone fills the budget.
    """
    if order == "psm":
        return anchored_prompt(vocabulary, head, prefix, suffix, budget, name)[1]
    return _prompt_at(vocabulary, order, head, prefix, suffix, budget, titles_of(vocabulary, order, name))


def anchored_prompt(
    vocabulary: Vocabulary,
    head: Head,
    prefix: str,
    suffix: str,
    budget: Budget,
    name: DocumentName | None = None,
) -> tuple[Anchor, Prompt]:
    """As `build_prompt`, in the order "psm", with the anchor that the prompt stands behind: the start of the cursor's
    line, or the cursor in a long one."""
    room = min(_TYPED_TOKENS, budget.total // 4)
    start = line_start(vocabulary, prefix)
    typed = _few_ids(vocabulary, prefix[start:], room)
    kept = prefix if typed is None else prefix[:start]
    within, titles = replace(budget, total=budget.total - room), titles_of(vocabulary, "psm", name)
    anchor = Anchor(kept, suffix, _prompt_at(vocabulary, "psm", head, kept, suffix, within, titles))
    prompt = anchor.behind(vocabulary, prefix, budget.total)
    assert prompt is not None  # there is room for what was typed
    return anchor, prompt


def line_start(vocabulary: Vocabulary, prefix: str) -> int:
    """Where the cursor's line starts, with the line's end in front of it where a token may join the two."""
    return max(0, prefix.rfind("\n") + (not vocabulary.joins_lines))


def _prompt_at(
    vocabulary: Vocabulary,
    order: FimOrder,
    head: Head,
    prefix: str,
    suffix: str,
    budget: Budget,
    titles: Titles,
) -> Prompt:
    room = budget.total - len(fim_layout(vocabulary.fim, order, head.ids, (), (), titles))
    if room <= 0:
        raise ValueError(f"a context of {len(head.ids)} tokens does not fit a prompt of {budget.total}")
    left = _Left(vocabulary, prefix, room)
    needed = -(-len(left.ids) // _CUT_TOKENS) * _CUT_TOKENS
    most_after = 0 if order == "ltr" else min(budget.suffix, max(room // 3, room - needed))
    after = _first_tokens(vocabulary, suffix, most_after)
    before = left.last(room - len(after))
    ids = fim_layout(vocabulary.fim, order, head.ids, before, after, titles)
    return Prompt(tuple(ids), head.pseudo, tuple(before), tuple(after))


def _few_ids(vocabulary: Vocabulary, text: str, most: int) -> list[int] | None:
    """Ids of a text; None where they are more."""
    if len(text) > most * CHARS_PER_TOKEN:
        return None
    ids = vocabulary.encode(text)
    return ids if len(ids) <= most else None


def at_token_boundary(vocabulary: Vocabulary, prefix: str) -> tuple[str, str]:
    """`prefix` up to where a token of natural text ends, and what is behind it, which the model writes again.

    Tokenizers of this kind join a space, a dot and the like with the word that follows (" word", ".word"), GPT-2's and
    StarCoder's a line's end with the next one's indentation. A prompt that ends in between asks for what was hardly
    seen in training (measured in model/LOG.md; "token healing"). Of white space that is one character. A sign goes with
    what its token joined it to, as in " =": a prompt that ended in the space alone would be no better.
    """
    last = prefix[-1:]
    if last == "\n":
        return (prefix[:-1], last) if vocabulary.joins_lines else (prefix, "")
    if not last.isascii() or last.isalnum() or last in ("", "\r"):
        return prefix, ""
    end = last if last.isspace() else _last_token(vocabulary, prefix)
    return prefix[: -len(end)], end


def _last_token(vocabulary: Vocabulary, text: str) -> str:
    """The text of its last token, where that is whole characters; else its last character."""
    token = vocabulary.token_bytes(vocabulary.encode(text[-_SIGNS:])[-1]).decode("utf-8", "ignore")
    return token if token and text.endswith(token) else text[-1]


def _first_tokens(vocabulary: Vocabulary, text: str, budget: int) -> list[int]:
    return vocabulary.encode(text[: budget * CHARS_PER_TOKEN])[:budget]


class _Left:
    """Tokens before the cursor, and where they may be cut."""

    def __init__(self, vocabulary: Vocabulary, text: str, budget: int) -> None:
        start = max(0, len(text) - budget * CHARS_PER_TOKEN)
        tail = text[start:]
        self.ids, self._starts = vocabulary.encode_with_starts(tail)
        first_line = text.count("\n", 0, start)
        breaks = [i + 1 for i, character in enumerate(tail) if character == "\n"]
        self._line_starts = breaks if start else [0, *breaks]
        self._group_starts = [
            offset
            for line, offset in enumerate(self._line_starts, first_line + bool(start))
            if line % _CUT_LINES == 0
        ]

    def last(self, budget: int) -> list[int]:
        """The longest tail of at most `budget` tokens that starts with a group of lines, or a line, or anywhere."""
        for cuts in (self._group_starts, self._line_starts):
            for offset in cuts:
                first = bisect_left(self._starts, offset)
                if first < len(self.ids) and len(self.ids) - first <= budget:
                    return self.ids[first:]
        return self.ids[max(0, len(self.ids) - budget) :]
