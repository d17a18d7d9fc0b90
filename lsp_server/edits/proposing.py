"""Which edit comes next: the patterns of the newest edits, at the nearest place where one is likely to be wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from lsp_server.edits.chances import Occasion, chance_of
from lsp_server.edits.changes import Key, changed_tokens
from lsp_server.edits.history import Edit
from lsp_server.edits.meanings import Learned, Meanings, OpenText
from lsp_server.edits.pattern import EditPattern, patterns_of
from lsp_server.edits.places import EditPlace, places_of
from lsp_server.edits.tokens import texts, tokens_of

N_SOURCES = 3  # of the newest edits are offered elsewhere; older ones are examples only
MOST_PLACES = 40  # of a pattern in a document that are weighed
MOST_DOCUMENTS = 8  # beside the one that the cursor is in


@dataclass(frozen=True)
class EditProposal:
    """An edit for one place: `text` instead of what stands from `start` to `end` of a document."""

    uri: str
    start: int
    end: int
    text: str
    chance: float
    occasion: Occasion

    @property
    def n_examples(self) -> int:
        return self.occasion.learned.n_examples

    @property
    def key(self) -> Key:
        """Of the edit that it repeats."""
        return self.occasion.learned.changed.key

    @property
    def renames(self) -> bool:
        """Whether it is one of the places of a name that was renamed at another of them."""
        return self.occasion.same_name is True


def propose(
    edits: Sequence[Edit], here: OpenText, others: Sequence[OpenText] = (), refused: Collection[Key] = ()
) -> list[EditProposal]:
    """All that may come next, `here` before `others`, the likeliest of what overlaps, the nearest first.

    `edits`: the newest first. Bounded: see the constants of this package.
    """
    documents = (here, *others[:MOST_DOCUMENTS])
    meanings = Meanings(documents)
    found: list[EditProposal] = []
    for rank, edit in enumerate(edits[:N_SOURCES]):
        changed = changed_tokens(edit)
        if changed is None or changed.key in refused:
            continue
        for pattern in patterns_of(edit):
            learned = Learned(edit, changed, pattern, _n_examples(pattern, edit, edits), rank)
            for document in documents:
                found += _proposals(learned, document, meanings, away=document is not here)
    best = _without_overlaps(sorted(found, key=lambda proposal: -proposal.chance))
    return sorted(best, key=lambda proposal: _distance(proposal, here))


def _proposals(
    learned: Learned, document: OpenText, meanings: Meanings, *, away: bool
) -> Iterator[EditProposal]:
    text = document.text
    places = places_of(learned.pattern, text, document.near)
    for place in places.found[:MOST_PLACES]:
        if document.uri == learned.edit.uri and _is_at(place, learned):
            continue
        low, high = sorted((place.start, document.near))
        occasion = Occasion(
            learned=learned,
            places=places,
            place=place,
            text=text,
            n_lines_away=None if away else text.count("\n", low, high),
            same_name=meanings.same_name(learned, document, place),
            same_kind=meanings.same_kind(learned, document, place),
        )
        yield EditProposal(document.uri, place.start, place.end, place.text, chance_of(occasion), occasion)


def _n_examples(pattern: EditPattern, edit: Edit, edits: Sequence[Edit]) -> int:
    """How many edits the pattern explains, its own included."""
    return 1 + sum(_explains(pattern, other) for other in edits if other is not edit)


def _explains(pattern: EditPattern, edit: Edit) -> bool:
    wanted = texts(tokens_of(edit.new))
    for place in places_of(pattern, edit.old, edit.above).found:
        made = edit.old[: place.start] + place.text + edit.old[place.end :]
        if texts(tokens_of(made)) == wanted:
            return True
    return False


def _is_at(place: EditPlace, learned: Learned) -> bool:
    """Whether a place touches what the user has just written, or would bring a line end into those lines."""
    edit, changed = learned.edit, learned.changed
    start = edit.start + changed.new_start
    if place.start <= start + changed.n_new_chars and start <= place.end:
        return True
    first = edit.start + edit.above
    return (
        place.start >= first and place.end <= edit.start + len(edit.new) - edit.below and "\n" in place.text
    )


def _without_overlaps(proposals: Sequence[EditProposal]) -> list[EditProposal]:
    """The first of those that would change the same text."""
    kept: list[EditProposal] = []
    for proposal in proposals:
        if not any(_overlap(proposal, other) for other in kept):
            kept.append(proposal)
    return kept


def _overlap(one: EditProposal, two: EditProposal) -> bool:
    return one.uri == two.uri and one.start <= two.end and two.start <= one.end


def _distance(proposal: EditProposal, here: OpenText) -> tuple[bool, int]:
    return proposal.uri != here.uri, abs(proposal.start - here.near)
