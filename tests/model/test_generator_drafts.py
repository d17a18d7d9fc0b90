"""Drafts change the number of passes and nothing else: token for token against plain greedy generation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from model.drafts.tree import NO_DRAFT, Draft, weighted_trie
from model.engines.decoder import PREFILL_PIECE
from model.generator import Generation, Generator, StopLimits
from model.loaded import LoadedModel
from model.prompt import Prompt
from model.vocabulary import Vocabulary
from tests.model.scripted_decoder import ScriptedDecoder, after
from tests.model.test_generator import LONG, prompt_of

BEFORE = (1, 2, 3, 4, 5)
PROMPT = Prompt(BEFORE, np.zeros((0, 2), np.float32), before=BEFORE)

Guess = Callable[[Sequence[int]], Sequence[Sequence[int]]]


@dataclass
class Guesses:
    """A drafter that proposes some sequences at each step."""

    guess: Guess
    begins: list[bool] = field(default_factory=list)
    n_rows: list[int] = field(default_factory=list)  # of each pass

    def draft(self, context: Sequence[int], n_chain: int, banned: np.ndarray | None) -> Draft:
        self.begins.append(banned is not None)
        sequences = self.guess(context)
        return (
            weighted_trie([(tokens, [1.0] * len(tokens)) for tokens in sequences], 64)
            if sequences
            else NO_DRAFT
        )

    def verified(self, n_rows: int, seconds: float) -> None:
        self.n_rows.append(n_rows)


def knowing(text: Sequence[int], n_before: int, k: int, wrong_every: int = 0) -> Guess:
    """Proposes the next k tokens of a text, among wrong ones; every so often only wrong ones."""

    def guess(context: Sequence[int]) -> Sequence[Sequence[int]]:
        at = len(context) - n_before
        right = list(text[at : at + k])
        wrong = [(token + 1) % 250 for token in right]
        return [wrong] if wrong_every and at % wrong_every == 0 else [wrong, right, [*right[:1], 7, 8]]

    return guess


def never_right(context: Sequence[int]) -> Sequence[Sequence[int]]:
    return [[(len(context) * 7 + n) % 250 for n in range(4)]]


def guessers(text: Sequence[int], n_before: int) -> dict[str, Guess]:
    known = {f"{k} known": knowing(text, n_before, k) for k in (1, 2, 3, 4, 40)}
    sometimes = {f"wrong every {n}": knowing(text, n_before, 4, n) for n in (2, 3)}
    return {**known, **sometimes, "never right": never_right, "silent": lambda context: ()}


def outcome(generation: Generation) -> tuple[str, tuple[int, ...], str]:
    return generation.text, generation.token_ids, generation.stopped


def scripted(vocabulary: Vocabulary, answer: Sequence[int], capacity: int = 512) -> Generator:
    decoder = ScriptedDecoder(after(len(PROMPT), answer), vocab_size=320, capacity=capacity)
    return Generator(decoder, vocabulary, vocabulary.fim.stops)


@pytest.fixture
def answer(vocabulary: Vocabulary) -> list[int]:
    return [*vocabulary.encode("self.first + é self.second"), vocabulary.fim.end]


def test_every_limit_stops_at_the_same_token(vocabulary: Vocabulary, answer: list[int]) -> None:
    for guess in guessers(answer, len(BEFORE)).values():
        for limit in range(1, len(answer) + 3):
            plain = scripted(vocabulary, answer).generate(PROMPT, StopLimits(limit))
            drafted = scripted(vocabulary, answer).generate(PROMPT, StopLimits(limit), Guesses(guess))
            assert outcome(drafted) == outcome(plain)


def test_finished_is_asked_with_the_same_texts(vocabulary: Vocabulary, answer: list[int]) -> None:
    for guess in guessers(answer, len(BEFORE)).values():
        for n_tokens in range(1, len(answer)):
            results = []
            for drafter in (None, Guesses(guess)):
                texts: list[str] = []

                def finished(text: str, texts: list[str] = texts, n: int = n_tokens) -> bool:
                    texts.append(text)
                    return len(texts) == n

                result = scripted(vocabulary, answer).generate(
                    PROMPT, StopLimits(50, finished=finished), drafter
                )
                results.append((outcome(result), texts))
            assert results[0] == results[1]


def test_an_early_end_token_ends_it_in_the_middle_of_a_draft(
    vocabulary: Vocabulary, answer: list[int]
) -> None:
    for n in range(len(answer)):
        cut = [*answer[:n], vocabulary.fim.end]
        for guess in guessers(answer, len(BEFORE)).values():  # it proposes what comes behind the end as well
            result = scripted(vocabulary, cut).generate(PROMPT, StopLimits(50), Guesses(guess))
            assert outcome(result) == outcome(scripted(vocabulary, cut).generate(PROMPT, StopLimits(50)))


def test_the_first_token_begins_as_demanded(vocabulary: Vocabulary) -> None:
    text = vocabulary.encode(".first + 1")
    drafter = Guesses(knowing(text, len(BEFORE), 3))
    answer = [*text, vocabulary.fim.end]
    result = scripted(vocabulary, answer).generate(PROMPT, StopLimits(50, begin="."), drafter)
    assert outcome(result) == outcome(
        scripted(vocabulary, answer).generate(PROMPT, StopLimits(50, begin="."))
    )
    assert drafter.begins == [True, *[False] * (len(drafter.begins) - 1)]


def test_what_is_accepted_saves_passes_and_is_counted(vocabulary: Vocabulary, answer: list[int]) -> None:
    drafter = Guesses(knowing(answer[:-1], len(BEFORE), 3))
    result = scripted(vocabulary, answer).generate(PROMPT, StopLimits(50), drafter)
    n_tokens = len(answer) - 1
    assert result.forward_passes == -(-len(answer) // 4)
    assert result.accepted + result.forward_passes == n_tokens + 1  # the end token is a choice, too
    assert result.drafted == sum(drafter.n_rows) - len(BEFORE) - (len(drafter.n_rows) - 1)


@pytest.mark.parametrize("n_prompt", [5, 300])
def test_a_full_cache_leaves_no_room_for_drafts(
    vocabulary: Vocabulary, answer: list[int], n_prompt: int
) -> None:
    limit = len(answer) - 1
    before = tuple(n % 250 for n in range(n_prompt))
    prompt = Prompt(before, np.zeros((0, 2), np.float32), before=before)
    decoder = ScriptedDecoder(after(n_prompt, answer), vocab_size=320, capacity=n_prompt + limit)
    tight = Generator(decoder, vocabulary, vocabulary.fim.stops)
    result = tight.generate(prompt, StopLimits(limit), Guesses(knowing(answer, n_prompt, 40)))
    assert result.token_ids == tuple(answer[:limit])


@pytest.mark.parametrize("n_prompt", [1, 8, 9, PREFILL_PIECE, PREFILL_PIECE + 1, PREFILL_PIECE + 9, 300])
def test_a_prompt_of_any_length_goes_with_the_first_draft(
    vocabulary: Vocabulary, answer: list[int], n_prompt: int
) -> None:
    before = tuple(n % 250 for n in range(n_prompt))
    prompt = Prompt(before, np.zeros((0, 2), np.float32), before=before)
    decoder = ScriptedDecoder(after(n_prompt, answer), vocab_size=320)
    generator = Generator(decoder, vocabulary, vocabulary.fim.stops)
    result = generator.generate(prompt, StopLimits(50), Guesses(knowing(answer, n_prompt, 40)))
    assert result.token_ids == tuple(answer[:-1])
    assert result.forward_passes == 1
    # What was accepted is in the cache: going on from there computes what is new.
    typed = Prompt((*before, *answer[:4]), prompt.pseudo)
    assert generator.generate(typed, StopLimits(50)).reused_tokens == n_prompt + 3


# --- against the real decoder ---------------------------------------------------------------------------------------


def generator_of(model: LoadedModel) -> Generator:
    model.decoder.rewind(0)
    return Generator(model.decoder, model.vocabulary, model.stop_ids)


@pytest.mark.parametrize("prefix", ["def add(", LONG, LONG + "    def method_7(self, x):\n        return "])
def test_drafts_equal_plain_steps_on_a_real_network(tiny_model: LoadedModel, prefix: str) -> None:
    prompt = prompt_of(tiny_model, prefix)
    plain = generator_of(tiny_model).generate(prompt, StopLimits(40))
    for guess in guessers(plain.token_ids, len(prompt.before)).values():
        drafted = generator_of(tiny_model).generate(prompt, StopLimits(40), Guesses(guess))
        assert outcome(drafted) == outcome(plain)


class Inverted:
    """A mixer that wants what the network wants least, by the parity of the context's length."""

    def mix(self, context: Sequence[int], logits: np.ndarray) -> np.ndarray:
        return -logits if len(context) % 2 else logits

    def planned(self, context: Sequence[int]) -> Sequence[int]:
        return ()

    def chance(self, context: Sequence[int]) -> float | None:
        return None


def test_drafts_are_verified_against_what_the_mixer_makes_of_the_logits(tiny_model: LoadedModel) -> None:
    prompt = prompt_of(tiny_model, LONG)
    plain = generator_of(tiny_model).generate(prompt, StopLimits(30), mixer=Inverted())
    assert outcome(plain) != outcome(generator_of(tiny_model).generate(prompt, StopLimits(30)))
    for guess in guessers(plain.token_ids, len(prompt.before)).values():
        drafter = Guesses(guess)
        drafted = generator_of(tiny_model).generate(prompt, StopLimits(30), drafter, Inverted())
        assert outcome(drafted) == outcome(plain)
