"""A line of a similar place, changed as that place differs from this one: `a_loss` stays a loss, of `b`.

The lines around the two places are laid side by side; where their words differ in pairs, the line's words change alike,
and so do the parts of longer names (`TrainConfig`, `train_step` where `Train` became `Eval`). Pure functions.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from types import MappingProxyType

from model.recall.cursor import LONGEST_LINE, NAME, TOKEN

_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|_+|[^\W\dA-Za-z_]+")
_ALIKE = 0.4  # share of two lines that must agree for their differences to mean something
_MATCHED = 2_500  # most pairs of words of two lines that the matcher looks at
_LONGEST_RUN = 16  # lines that are compared word by word
_KEPT_CHARS = 250  # of longer lines nothing is kept in memory: there may be many
_NO_WORDS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Renaming:
    """What becomes of whole words, those that stay among them, and, in lower case, of parts of other words."""

    words: Mapping[str, str]
    parts: Mapping[str, str]

    def apply(self, text: str) -> str:
        return re.sub(r"\w+", lambda found: self._word(found[0]), text)

    def _word(self, word: str) -> str:
        if word in self.words or not self.parts:
            return self.words.get(word, word)
        return "".join(_cased(self.parts.get(part.lower(), part), part) for part in _PART.findall(word))


@dataclass(frozen=True)
class Parallel:
    """`length` lines in a row are the same in two places but for names, each of which always became the same: `words`,
    with those that stayed."""

    length: int
    words: Mapping[str, str]

    @property
    def n_exchanged(self) -> int:
        return sum(old != new for old, new in self.words.items())

    def exchanges(self, line: str) -> int:
        """How many names of a line there became others."""
        if not self.n_exchanged:
            return 0
        return sum(self.words.get(name, name) != name for name in set(NAME.findall(line)))


def parallel_of(there: Sequence[str], here: Sequence[str]) -> Parallel:
    """Of lines at two places, the nearest first."""
    words: dict[str, str] = {}
    length = 0
    for old, new in zip(there[:_LONGEST_RUN], here, strict=False):
        exchanged = _exchanged(old, new)
        if exchanged is None or any(words.get(a, b) != b for a, b in exchanged):
            break
        words.update(exchanged)
        length += 1
    return Parallel(length, words)


def _exchanged(there: str, here: str) -> list[tuple[str, str]] | None:
    """Corresponding words of two lines that have the same signs and enough words in common; None for others."""
    old, new = tokens(there), tokens(here)
    if len(old) != len(new):
        return None
    pairs = list(zip(old, new, strict=True))
    if sum(a == b for a, b in pairs) < _ALIKE * len(pairs):
        return None
    if any(a != b and not (_is_word(a) and _is_word(b)) for a, b in pairs):
        return None
    return [(a, b) for a, b in pairs if _is_word(a)]


def tokens(line: str) -> tuple[str, ...]:
    """The words and signs of a line, in order."""
    return _tokens(line) if len(line) <= _KEPT_CHARS else _tokens.__wrapped__(line)


@lru_cache(maxsize=4_096)
def _tokens(line: str) -> tuple[str, ...]:
    return tuple(TOKEN.findall(line, 0, LONGEST_LINE))


def renaming(pairs: Iterable[tuple[str, str]], known: Mapping[str, str] = _NO_WORDS) -> Renaming:
    """From pairs of corresponding lines, (there, here). The most frequent replacement of each word counts, but for the
    words that are `known`."""
    words: defaultdict[str, Counter[str]] = defaultdict(Counter)
    parts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for there, here in pairs:
        for old, new in _aligned(tokens(there), tokens(here)):
            words[old][new] += 1
            if old != new:
                for part, other in _aligned_parts(old, new):
                    for one, becomes in _numbers(part.lower(), other.lower()):
                        parts[one][becomes] += 1
    return Renaming({**_most_frequent(words), **known}, _most_frequent(parts))


def _most_frequent(counted: Mapping[str, Counter[str]]) -> dict[str, str]:
    return {old: counts.most_common(1)[0][0] for old, counts in counted.items()}


def _aligned(there: tuple[str, ...], here: tuple[str, ...]) -> list[tuple[str, str]]:
    """Corresponding words of two lines, none when the lines have too little in common."""
    if len(there) == len(here):
        pairs = list(zip(there, here, strict=True))
        n_same = sum(old == new for old, new in pairs)
        alike = n_same >= _ALIKE * len(pairs)
    elif len(there) * len(here) > _MATCHED or len({*there} & {*here}) < _ALIKE / 2 * len({*there} | {*here}):
        return []  # most lines: the matcher below is slow
    else:
        matcher = SequenceMatcher(None, there, here, autojunk=False)
        alike = matcher.ratio() >= _ALIKE
        pairs = [
            pair
            for _, i, i_end, j, j_end in matcher.get_opcodes()
            if i_end - i == j_end - j
            for pair in zip(there[i:i_end], here[j:j_end], strict=True)
        ]
    return [(old, new) for old, new in pairs if _is_word(old) and _is_word(new)] if alike else []


def _aligned_parts(old: str, new: str) -> list[tuple[str, str]]:
    there, here = _PART.findall(old), _PART.findall(new)
    if len(there) != len(here):
        return []
    pairs = zip(there, here, strict=True)
    return [
        (a, b) for a, b in pairs if a != b and _is_word(a) and _is_word(b) and (len(a) > 2 or a.isdigit())
    ]


def _numbers(part: str, other: str) -> Iterator[tuple[str, str]]:
    """Both, and both in the singular, or in the plural: where `users` become `orders`, a `user` is an `order`."""
    yield part, other
    if min(len(part), len(other)) > 2 and part.isalpha() and other.isalpha():
        if part.endswith("s") and other.endswith("s"):
            yield part[:-1], other[:-1]
        elif not part.endswith("s") and not other.endswith("s"):
            yield f"{part}s", f"{other}s"


def _is_word(token: str) -> bool:
    return token[0].isalnum() or len(token) > 1


def _cased(part: str, like: str) -> str:
    """`part` in the case of what it replaces."""
    if part == like or not like[0].isalpha():
        return part
    if like.isupper() and len(like) > 1:
        return part.upper()
    return part.capitalize() if like[0].isupper() else part
