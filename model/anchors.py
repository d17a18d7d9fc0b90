"""Where the prompt's middle begins, held while the user types.

A coder that reads the text behind the cursor last ("psm") would read it again with every keystroke. So the text is
split at an anchor, and what was typed since stands behind the mark of the middle, as if the coder had written it: a
keystroke, and Enter, cost their own tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.families import FimOrder
from model.layout import DocumentName
from model.prompt import Anchor, Budget, Head, Prompt, anchored_prompt, build_prompt, line_start
from model.vocabulary import Vocabulary

# More behind the anchor are no longer read as what they are, text in front of the cursor.
_MOST_LINES = 16
# What an editor closes by itself behind what is typed: the presentation sees to it, the anchor need not.
_CLOSED = ")]}\"'`"
_MOST_CLOSED = 8


@dataclass(frozen=True, eq=False)
class _Held:
    """An anchor, and everything else that its prompt depends on."""

    name: DocumentName
    head: Head
    budget: Budget
    anchor: Anchor

    def is_of(self, name: DocumentName, head: Head, budget: Budget) -> bool:
        return (
            (self.name, self.head.ids, self.budget) == (name, head.ids, budget)
            and np.array_equal(self.head.pseudo, head.pseudo)
        )  # fmt: skip

    def reaches(self, prefix: str, suffix: str) -> bool:
        """Whether only text was typed since, on few lines."""
        anchor = self.anchor
        return (
            is_typed_around(anchor.suffix, suffix)
            and prefix.startswith(anchor.prefix)
            and prefix.count("\n", len(anchor.prefix)) <= _MOST_LINES
        )


class Anchors:
    """The anchors of recent places, for one coder. Not thread-safe."""

    def __init__(self, vocabulary: Vocabulary, order: FimOrder, most: int) -> None:
        self._vocabulary = vocabulary
        self._order = order
        self._most = most
        self._held: list[_Held] = []  # the last one first

    def prompt(self, name: DocumentName, head: Head, prefix: str, suffix: str, budget: Budget) -> Prompt:
        """As `build_prompt`; behind the anchor of the place where there is one."""
        if self._order != "psm":
            return build_prompt(self._vocabulary, self._order, head, prefix, suffix, budget, name)
        for held in self._held:
            if held.is_of(name, head, budget) and held.reaches(prefix, suffix):
                prompt = held.anchor.behind(self._vocabulary, prefix, budget.total)
                if prompt is not None:
                    self._hold(held)
                    return prompt
        anchor, prompt = anchored_prompt(self._vocabulary, head, prefix, suffix, budget, name)
        self._hold(_Held(name, head, budget, anchor))
        return prompt

    def let_go(self, prefix: str) -> bool:
        """Forget the anchor used last where it is not that of the line which `prefix` ends in: the next prompt has one
        there. Whether it was forgotten."""
        if not self._held or len(self._held[0].anchor.prefix) >= line_start(self._vocabulary, prefix):
            return False
        del self._held[0]
        return True

    def _hold(self, now: _Held) -> None:
        """Others of the same place are of the same rows in the cache, which this one takes."""
        others = [
            held
            for held in self._held
            if held is not now
            and not (held.name == now.name and is_typed_around(held.anchor.suffix, now.anchor.suffix))
        ]
        self._held = [now, *others][: self._most]


def is_typed_around(suffix: str, now: str) -> bool:
    """Whether the text behind the cursor is the same, but for what an editor closes by itself."""
    n_new = len(now) - len(suffix)
    return 0 <= n_new <= _MOST_CLOSED and now.endswith(suffix) and not now[:n_new].strip(_CLOSED)
