"""What was suggested: to which place it belongs, what became of it, and what of the repository it was made
from."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod
from operator import mul
from pathlib import Path
from typing import Protocol

from lsp_server.closers import is_only_closers, overwritten, with_closer_below
from lsp_server.presentation import Flaw, StopRule, Suggestion, is_worth_showing, present
from lsp_server.snapshot import Snapshot
from model.repository import PACKAGE_LEVEL, ContextItem
from model.request import Completion

N_KNOWN = 1_000  # offers that are not counted twice
NAME = re.compile(r"[^\W\d]\w{2,}")
# Words in these are not names. What stands between the braces of an f-string is missed, which costs nothing.
PROSE_CHARS = 4_000  # of a suggestion, in which they are looked for
PROSE = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|#[^\n]*")


class CursorText(Protocol):
    """A cursor in a document: what stands before it and after it, with "\\n" line ends."""

    @property
    def uri(self) -> str: ...
    @property
    def prefix(self) -> str: ...
    @property
    def suffix(self) -> str: ...


@dataclass(frozen=True, eq=False)
class Offer:
    """A suggestion for exactly this place, and how it came about. `number` stays the same while it is typed
    along.

    `chances`: of each of its lines (there may be more) to be right where those before it are; () where it is
    unknown.
    """

    number: int
    uri: str
    prefix: str
    suffix: str
    suggestion: Suggestion
    completion: Completion
    folder: Path | None = None  # that the context's paths are relative to
    ahead: bool = False  # for the next line: shown when the line end has been typed
    chances: tuple[float, ...] = ()
    explicit: bool = False  # the user asked for it: shown however unsure

    def rest(self, snapshot: Snapshot) -> Offer | None:
        """What is left of the offer where its beginning was typed, None elsewhere. Also after a backspace."""
        typed = typed_since(self, snapshot)
        if typed is None or not self.suggestion.text.startswith(typed):
            return None
        text = self.suggestion.text[len(typed) :]
        replaced = self.suggestion.replace
        if closed := len(snapshot.suffix) - len(self.suffix):  # by the editor: the suggestion must do it
            replaced += closed
            if overwritten(text, snapshot) != replaced:
                return None
        if not text.strip():
            return None
        return replace(
            self,
            prefix=snapshot.prefix,
            suffix=snapshot.suffix,
            suggestion=Suggestion(text, replaced),
            ahead=self.ahead and not typed,
            chances=self._chances_behind(typed, text),
        )

    def _chances_behind(self, typed: str, left: str) -> tuple[float, ...]:
        """Of the lines that are left when `typed` turned out right: of a line that is whole nothing is
        unsure."""
        chances = self.chances[typed.count("\n") :]
        return (1.0, *chances[1:]) if chances and typed and left.startswith("\n") else chances

    def as_sure_as(self, min_confidence: float, snapshot: Snapshot) -> Offer | None:
        """As many of its first lines as are right together with at least this chance; None where that is
        nothing."""
        lines = self.suggestion.text.split("\n")
        chances = self.chances[: len(lines)]
        if self.explicit or not chances or prod(chances) >= min_confidence:
            return self
        n_sure = sum(chance >= min_confidence for chance in accumulate(chances, mul))
        text = "\n".join(lines[:n_sure]).rstrip()
        if not is_worth_showing(text):
            return None
        text = with_closer_below(text, snapshot)
        return replace(self, suggestion=Suggestion(text, overwritten(text, snapshot)))

    @property
    def least_chance(self) -> float:
        """The chance of as few of its first lines as are worth showing; 1 where it is unknown."""
        lines = self.suggestion.text.split("\n")
        worth = (n for n in range(1, len(lines)) if is_worth_showing("\n".join(lines[:n])))
        return prod(self.chances[: next(worth, len(lines))])

    @property
    def confidence(self) -> float | None:
        """The chance that all of it is right, None where it is unknown."""
        return prod(self.chances[: self.suggestion.text.count("\n") + 1]) if self.chances else None

    @property
    def accepted_prefix(self) -> str:
        """What stands before the cursor once the offer was taken."""
        return self.prefix + self.suggestion.text


def offer_of(
    completion: Completion, snapshot: Snapshot, rule: StopRule, number: int = 0, folder: Path | None = None
) -> Offer | Flaw:
    """What of the model's text is worth offering, or why nothing is."""
    suggestion = present(completion.text, snapshot, rule, whole=completion.stopped == "end")
    if not isinstance(suggestion, Suggestion):
        return suggestion
    return Offer(
        number=number,
        uri=snapshot.uri,
        prefix=snapshot.prefix,
        suffix=snapshot.suffix,
        suggestion=suggestion,
        completion=completion,
        folder=folder,
        ahead=rule.is_ahead(suggestion.text),
        chances=completion.confidence,
    )


def typed_since(before: CursorText, now: CursorText) -> str | None:
    """What was typed at the cursor from `before` to `now`, None when anything else changed.

    Brackets and quotes that an editor closes by itself may have come in after the cursor.
    """
    if before.uri != now.uri:
        return None
    if not now.prefix.startswith(before.prefix) or not now.suffix.endswith(before.suffix):
        return None
    closed = now.suffix[: len(now.suffix) - len(before.suffix)]
    typed = now.prefix[len(before.prefix) :]
    by_editor = typed and closed.strip() and "\n" not in closed and is_only_closers(closed)
    return typed if not closed or by_editor else None


class _Distinct:
    """Counts numbers that grow, each once; it knows the newest ones only."""

    def __init__(self) -> None:
        self.n = 0
        self._newest: deque[int] = deque(maxlen=N_KNOWN)

    def add(self, number: int) -> bool:
        """Whether it is a new one."""
        if number in self._newest:
            return False
        self._newest.append(number)
        self.n += 1
        return True


class Tally:
    """How many suggestions were shown, how many were taken, and how many of those are still there. Stays
    here."""

    def __init__(self) -> None:
        self.n_offered = 0
        self._unsure = _Distinct()  # offers that were held back
        self._n_kept = 0  # of documents that are closed
        self._taken = _Distinct()
        self._begun = _Distinct()  # taken by the word or the line, be it to their ends
        self._accepted: dict[str, list[str]] = {}  # their texts by document

    def offered(self) -> None:
        self.n_offered += 1

    def held_back(self, offer: Offer) -> None:
        self._unsure.add(offer.number)

    def accepted(self, offer: Offer, *, whole: bool = True) -> None:
        if not whole:
            self._begun.add(offer.number)
        elif self._taken.add(offer.number):
            self._accepted.setdefault(offer.uri, []).append(offer.suggestion.text)

    def closed(self, uri: str, text: str) -> None:
        """The document will not be looked at again: what is in it now has been kept."""
        self._n_kept += sum(accepted in text for accepted in self._accepted.pop(uri, ()))

    def to_json(self, text_of: Callable[[str], str]) -> Mapping[str, int]:
        """`text_of` gives an open document's text with "\\n" line ends."""
        here = sum(text in text_of(uri) for uri, texts in self._accepted.items() for text in texts)
        kept = self._n_kept + here
        return {
            "offered": self.n_offered,
            "accepted": self._taken.n,
            "kept": kept,
            "inParts": self._begun.n,
            "unsure": self._unsure.n,
        }


def summary(offer: Offer) -> Mapping[str, object]:
    """What made an offer, for the user who asks why: counts, times and the context that was read.

    `names` are the identifiers of the suggestion that this file does not have and that item does.
    """
    done = offer.completion
    code = PROSE.sub(" ", offer.suggestion.text[:PROSE_CHARS])
    names = set(NAME.findall(code)) - set(NAME.findall(offer.prefix + "\n" + offer.suffix))
    return {
        "uri": offer.uri,
        "folder": offer.folder.as_uri() if offer.folder else "",
        "tokens": done.tokens,
        "promptTokens": done.prompt_tokens,
        "reusedTokens": done.reused_tokens,
        "forwardPasses": done.forward_passes,
        "timingsMs": {name: round(value, 2) for name, value in done.timings_ms.items()},
        "mode": done.mode,
        "confidence": None if offer.confidence is None else round(offer.confidence, 3),
        "stopped": done.stopped,
        "context": [_source(item, offer.folder, names) for item in done.context],
    }


def _source(item: ContextItem, folder: Path | None, names: set[str]) -> Mapping[str, object]:
    return {
        "path": item.path,
        "uri": (folder / item.path).as_uri() if folder and item.level != PACKAGE_LEVEL else "",
        "firstLine": item.first_line,
        "lastLine": item.last_line,
        "level": item.level,
        "score": round(float(item.score), 4),
        "names": sorted(names & set(NAME.findall(f"{item.signature}\n{item.text}"))),
    }
