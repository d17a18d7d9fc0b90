"""Which slot a prompt goes on from, and that going on equals starting anew."""

from __future__ import annotations

import numpy as np

from model.cache_slots import CacheSlots
from model.generator import Generator, StopLimits
from model.prompt import Prompt
from model.vocabulary import Vocabulary
from tests.model.scripted_decoder import ScriptedDecoder

FIRST, SECOND, THIRD = (tuple(range(start, start + 40)) for start in (0, 60, 120))


def slots(n: int) -> CacheSlots:
    return CacheSlots(ScriptedDecoder(lambda ids: 0, vocab_size=256, n_slots=n))


def visit(held: CacheSlots, ids: tuple[int, ...]) -> int:
    """Bring a slot to these ids; how many were there already."""
    shared = held.resume(ids)
    held.extend(ids[shared:], np.repeat(np.array(ids[shared:], np.float32)[:, None], 2, axis=1))
    return shared


def test_a_place_that_is_come_back_to_is_still_there() -> None:
    held = slots(2)
    assert [visit(held, ids) for ids in (FIRST, SECOND, FIRST, SECOND)] == [0, 0, 39, 39]


def test_the_place_not_used_for_the_longest_is_given_up() -> None:
    held = slots(2)
    assert [visit(held, ids) for ids in (FIRST, SECOND, FIRST, THIRD, FIRST, SECOND)] == [0, 0, 39, 0, 39, 0]


def test_typing_goes_on_in_its_slot() -> None:
    held = slots(2)
    visit(held, SECOND)
    for n in range(1, 40):
        assert visit(held, FIRST[:n]) == max(0, n - 1)
    assert visit(held, SECOND) == 39


def test_one_slot_keeps_what_the_two_have_in_common() -> None:
    held = slots(1)
    visit(held, FIRST)
    assert visit(held, (*FIRST[:5], *SECOND)) == 5


def test_answers_of_documents_that_take_turns_are_those_of_a_fresh_generator(vocabulary: Vocabulary) -> None:
    def answer(n_slots: int, visits: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        decoder = ScriptedDecoder(lambda ids: sum(ids) % 250, vocab_size=320, n_slots=n_slots)
        generator = Generator(decoder, vocabulary, vocabulary.fim.stops)
        return [
            generator.generate(Prompt(ids, np.zeros((0, 2), np.float32)), StopLimits(6)).token_ids
            for ids in visits
        ]

    visits = [FIRST, SECOND, FIRST[:30], THIRD, (*SECOND, 5), FIRST, THIRD[:5], SECOND]
    fresh = [answer(1, [ids])[0] for ids in visits]
    assert answer(1, visits) == answer(2, visits) == answer(4, visits) == fresh
