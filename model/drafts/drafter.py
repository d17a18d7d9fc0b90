"""Drafting from what the user's code and session already say, after FastCoder (arXiv 2502.17139).

At each step the end of the context is looked up: first in the document and in what was written lately, and where they
are not sure in the repository and the installed packages. Matches are pooled as in PPM: the likeliest one speaks first,
each further one for the chance that is left. Of their trie so many rows are verified as bring more than they cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model.drafts.odds import Odds, PassCost, SearchWorth, Source
from model.drafts.stores import LIMIT, LONGEST, WIDTH, DocumentTokens, SessionTokens
from model.drafts.tree import NO_DRAFT, Draft, n_worthwhile, weighted_trie
from model.prompt import Prompt
from model.repository import TokenMatch, Tokens
from model.settings import DEFAULT_DRAFTS, DraftSettings
from model.vocabulary import Vocabulary

Clock = Callable[[], float]  # seconds, monotonic

_SHORTEST = 2  # tokens that must match in a repository; one alone says next to nothing
_SURE = 0.2  # with so little chance left by the near stores, the far ones are not worth a search
_MANY_MISSING = 20_000


@dataclass(frozen=True)
class Parts:
    """What takes part in drafting; the benchmark leaves out one after the other."""

    repository: bool = True
    packages: bool = True
    session: bool = True
    skip: bool = True  # searches that do not pay
    missing_table: bool = True


@dataclass(frozen=True, eq=False)
class _Guess:
    """A match in one of the stores, and its chance to say what comes next."""

    source: Source
    match: TokenMatch
    chance: float


class Drafter:
    """What drafting learns from completion to completion. Lives on the model thread."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        settings: DraftSettings = DEFAULT_DRAFTS,
        parts: Parts = Parts(),
        clock: Clock = time.perf_counter,
    ) -> None:
        self.settings = settings
        self.parts = parts
        self.odds = Odds()
        self.cost = PassCost()
        self.session = SessionTokens()
        self._vocabulary = vocabulary
        self._ends_line: dict[int, bool] = {}
        self._searched: dict[Source, SearchedTokens] = {}
        self._worth = {source: SearchWorth() for source in Source}
        self._clock = clock

    def at(
        self, prompt: Prompt, room: int, path: str, repository: Tokens | None, packages: Tokens | None
    ) -> PlaceDrafter:
        """For one completion, of at most `room` tokens. The document itself is left out of the repository by its path:
        what is known of it is what the prompt shows, without the span under the cursor."""
        stores = []
        if repository is not None and self.parts.repository:
            stores.append((Source.REPOSITORY, self._search(Source.REPOSITORY, repository, path)))
        if packages is not None and self.parts.packages:
            stores.append((Source.PACKAGES, self._search(Source.PACKAGES, packages, "")))
        return PlaceDrafter(self, DocumentTokens(prompt.before, prompt.after, room), stores)

    def learn(self, context: Sequence[int], ids: Sequence[int]) -> None:
        """These tokens were written, or accepted, behind a context."""
        if self.parts.session and ids:
            self.session.learn([*context[-LONGEST:], *ids])

    def ends_line(self, token: int) -> bool:
        """Whether a line starts behind a token."""
        if token not in self._ends_line:
            self._ends_line[token] = b"\n" in self._vocabulary.token_bytes(token)
        return self._ends_line[token]

    def _search(self, source: Source, tokens: Tokens, without: str) -> SearchedTokens:
        searched = self._searched.get(source)
        if searched is None or not searched.is_of(tokens, without):
            worth = self._worth[source]
            searched = self._searched[source] = SearchedTokens(
                tokens, without, worth, self.parts, self._clock
            )
        return searched


class SearchedTokens:
    """A store with a table of the ends that are not in it (FastCoder 3.4). Only what was searched is in the table: an
    end that a match of its last tokens was looked for in vain has none of more tokens either."""

    def __init__(self, tokens: Tokens, without: str, worth: SearchWorth, parts: Parts, clock: Clock) -> None:
        self.worth = worth
        self._tokens = tokens
        self._without = without
        self._parts = parts
        self._clock = clock
        self._missing: set[tuple[int, ...]] = set()
        self._version = tokens.version

    def is_of(self, tokens: Tokens, without: str) -> bool:
        return self._tokens is tokens and self._without == without

    def lacks(self, context: Sequence[int]) -> bool:
        """Whether it is known that nothing will be found."""
        version = (
            self._tokens.version
        )  # before the search: what changes meanwhile counts as a change after it
        if version != self._version or len(self._missing) > _MANY_MISSING:
            self._missing, self._version = set(), version
        end = tuple(context[-_SHORTEST:])
        return len(end) < _SHORTEST or (self._parts.missing_table and end in self._missing)

    def find(self, context: Sequence[int]) -> TokenMatch | None:
        """The match of the longest end of a context; None when there is none."""
        start = self._clock()
        match = self._tokens.find(
            context[-LONGEST:],
            longest=LONGEST,
            shortest=_SHORTEST,
            limit=LIMIT,
            width=WIDTH,
            without=self._without,
        )
        self.worth.took(self._clock() - start)
        if match.length:
            return match
        self._missing.add(tuple(context[-_SHORTEST:]))
        return None


class PlaceDrafter:
    """The generator's `Drafter` for one completion."""

    def __init__(
        self, drafter: Drafter, document: DocumentTokens, stores: Sequence[tuple[Source, SearchedTokens]]
    ) -> None:
        self._drafter = drafter
        self._document = document
        self._stores = stores
        self._last: tuple[int, bool, list[_Guess]] | None = (
            None  # length of context, at a line start, guesses
        )

    def draft(self, context: Sequence[int], n_chain: int, banned: np.ndarray | None) -> Draft:
        """At most as many nodes as their odds are worth beside `n_chain` rows that are computed anyway.

        `banned`: bool [vocab], tokens that may not begin it.
        """
        self._observe(context)
        if not context:
            return NO_DRAFT
        drafter = self._drafter
        line_start = drafter.ends_line(context[-1])
        guesses = self._guesses(context, line_start)
        self._last = (len(context), line_start, guesses)
        sequences = self._sequences(guesses, line_start, banned)
        trie = weighted_trie(sequences, drafter.settings.nodes, drafter.cost.slope)
        return trie.first(n_worthwhile(trie.chances, lambda n: drafter.cost(n_chain + n)))

    def verified(self, n_rows: int, seconds: float) -> None:
        self._drafter.cost.observe(n_rows, seconds)

    def _guesses(self, context: Sequence[int], line_start: bool) -> list[_Guess]:
        """Matches, the likeliest first."""
        near = [
            (Source.DOCUMENT, self._document.find(context)),
            (Source.SESSION, self._drafter.session.find(context)),
        ]
        guesses = [self._guess(source, match, line_start) for source, match in near if match.length]
        left = 1.0
        for guess in guesses:
            left *= 1 - guess.chance
        if left > _SURE:
            guesses += self._far(context, line_start, left)
        return sorted(guesses, key=lambda guess: -guess.chance)

    def _guess(self, source: Source, match: TokenMatch, line_start: bool) -> _Guess:
        return _Guess(source, match, self._drafter.odds.chance(source, line_start, match.length))

    def _far(self, context: Sequence[int], line_start: bool, left: float) -> Iterator[_Guess]:
        """Guesses of the stores, the nearest first, where a search is worth its time."""
        drafter = self._drafter
        for source, store in self._stores:
            pays = not drafter.parts.skip or store.worth.pays(line_start, left, drafter.cost(1))
            if not pays or store.lacks(context):
                continue
            match = store.find(context)
            guess = self._guess(source, match, line_start) if match else None
            store.worth.brought(line_start, guess.chance if guess else 0.0)
            if guess:
                left *= 1 - guess.chance
                yield guess

    def _sequences(
        self, guesses: Sequence[_Guess], line_start: bool, banned: np.ndarray | None
    ) -> Iterator[tuple[list[int], list[float]]]:
        """Rows of the guesses with the chances of their tokens, as far as these may be worth a row of a pass."""
        left = 1.0
        for guess in guesses:
            rows = guess.match.continuations
            if banned is not None:
                rows = rows[~banned[rows[:, 0]]]
            if not len(rows):
                continue
            odds = self._drafter.odds.chances(guess.source, line_start, guess.match.length, rows.shape[1])
            # A row must bring more than it costs even where all of a match agree, and a pass without a draft brings 1.
            chances = [
                left * chance / len(rows) for chance in odds if left * chance > self._drafter.cost.slope
            ]
            if chances:
                yield from ((row, chances) for row in rows[:, : len(chances)].tolist())
            left *= 1 - guess.chance

    def _observe(self, context: Sequence[int]) -> None:
        """See what the last guesses were worth, now that it is known what followed."""
        if self._last is None:
            return
        at, line_start, guesses = self._last
        for guess in guesses:
            share = float((guess.match.continuations[:, 0] == context[at]).mean())
            self._drafter.odds.observe(guess.source, line_start, guess.match.length, share)
