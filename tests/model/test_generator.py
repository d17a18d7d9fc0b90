"""Stops and limits against a scripted decoder; cache reuse against a fresh one, token for token."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from model.engines.decoder import PREFILL_PIECE
from model.generator import Generation, Generator, StopLimits
from model.loaded import LoadedModel
from model.prompt import PSEUDO, Budget, Head, Prompt, build_prompt, empty_head
from model.vocabulary import Vocabulary
from tests.model.scripted_decoder import ScriptedDecoder, after

PROMPT = Prompt((1, 2, 3, 4, 5), np.zeros((0, 2), np.float32))


def scripted(
    vocabulary: Vocabulary, answer: Sequence[int], clock: Callable[[], float] = lambda: 0.0
) -> Generator:
    decoder = ScriptedDecoder(after(len(PROMPT), answer), vocab_size=320)
    return Generator(decoder, vocabulary, vocabulary.fim.stops, clock)


def answer(vocabulary: Vocabulary, text: str = "self.first + 1") -> list[int]:
    return [*vocabulary.encode(text), vocabulary.fim.end]


def test_the_end_token_ends_it_and_is_not_part_of_the_text(vocabulary: Vocabulary) -> None:
    result = scripted(vocabulary, answer(vocabulary)).generate(PROMPT, StopLimits(50))
    assert (result.text, result.stopped) == ("self.first + 1", "end")
    assert vocabulary.fim.end not in result.token_ids
    assert result.forward_passes == 1 + len(result.token_ids)


@pytest.mark.parametrize("begin", [".", "se"])
def test_it_begins_with_what_is_demanded_and_leaves_it_out_of_the_text(
    vocabulary: Vocabulary, begin: str
) -> None:
    """The scripted decoder likes no token as well as "x": only the first that begins so is left."""
    seen: list[str] = []
    limits = StopLimits(3, finished=lambda text: bool(seen.append(text)), begin=begin)
    result = scripted(vocabulary, vocabulary.encode("xyz")).generate(PROMPT, limits)
    first, *rest = [vocabulary.token_bytes(token).decode() for token in result.token_ids]
    assert first.startswith(begin)
    assert result.text == "".join([first, *rest])[len(begin) :]
    assert seen[-1] == result.text


def test_a_demand_holds_for_the_first_token_only(vocabulary: Vocabulary) -> None:
    plain = answer(vocabulary, ".first + 1")
    result = scripted(vocabulary, plain).generate(PROMPT, StopLimits(50, begin="."))
    assert (result.text, result.stopped) == ("first + 1", "end")
    assert list(result.token_ids) == plain[:-1]


def test_every_stop_token_ends_it(vocabulary: Vocabulary) -> None:
    for stop in vocabulary.fim.stops:
        result = scripted(vocabulary, [*vocabulary.encode("x"), stop]).generate(PROMPT, StopLimits(50))
        assert (result.text, result.stopped) == ("x", "end")


def test_control_tokens_are_never_chosen(vocabulary: Vocabulary) -> None:
    result = scripted(vocabulary, [vocabulary.fim.prefix, vocabulary.fim.middle, 319]).generate(
        PROMPT, StopLimits(3)
    )
    assert vocabulary.control_ids.isdisjoint(result.token_ids)
    assert max(result.token_ids) < vocabulary.tokenizer.get_vocab_size()


def test_the_limit_holds_at_each_offset(vocabulary: Vocabulary) -> None:
    full = answer(vocabulary)
    for limit in range(1, len(full)):
        result = scripted(vocabulary, full).generate(PROMPT, StopLimits(limit))
        assert list(result.token_ids) == full[:limit]
        assert result.stopped == "length"
        assert result.forward_passes == limit


def test_finished_is_asked_after_each_token_and_obeyed(vocabulary: Vocabulary) -> None:
    full = answer(vocabulary)
    for n_tokens in range(1, len(full)):
        texts: list[str] = []

        def finished(text: str, texts: list[str] = texts, n_tokens: int = n_tokens) -> bool:
            texts.append(text)
            return len(texts) == n_tokens

        result = scripted(vocabulary, full).generate(PROMPT, StopLimits(50, finished=finished))
        assert result.stopped == "finished"
        assert list(result.token_ids) == full[:n_tokens]
        assert result.text == texts[-1]


def test_text_is_never_cut_inside_a_character(vocabulary: Vocabulary) -> None:
    text = "é😀ü"
    full = answer(vocabulary, text)
    assert len(full) > len(text) + 2
    for limit in range(1, len(full)):
        seen: list[str] = []
        limits = StopLimits(limit, finished=lambda so_far, seen=seen: bool(seen.append(so_far)))
        result = scripted(vocabulary, full).generate(PROMPT, limits)
        assert all(text.startswith(part) for part in [*seen, result.text])


def test_cancel_is_heard_before_each_step(vocabulary: Vocabulary) -> None:
    full = answer(vocabulary)
    for allowed in range(len(full)):
        calls = itertools.count()
        generator = scripted(vocabulary, full)
        result = generator.generate(PROMPT, StopLimits(50, cancelled=lambda c=calls, a=allowed: next(c) >= a))
        assert result.stopped == "cancelled"
        assert result.forward_passes == allowed
        assert list(result.token_ids) == full[:allowed]


def test_the_deadline_keeps_what_is_there(vocabulary: Vocabulary) -> None:
    ticks = itertools.count()
    generator = scripted(vocabulary, answer(vocabulary), clock=lambda: float(next(ticks)))
    result = generator.generate(PROMPT, StopLimits(50, deadline=12.0))
    assert result.stopped == "deadline"
    assert result.text
    assert "self.first + 1".startswith(result.text)


def test_a_pass_that_would_end_behind_the_deadline_is_not_begun(vocabulary: Vocabulary) -> None:
    now, seconds = 0.0, 0.3

    class Slow(ScriptedDecoder):
        def extend(self, vectors: np.ndarray) -> np.ndarray:
            nonlocal now
            now += seconds
            return super().extend(vectors)

    full = answer(vocabulary)
    decoder = Slow(after(len(PROMPT), full), vocab_size=320)
    generator = Generator(decoder, vocabulary, vocabulary.fim.stops, lambda: now)
    result = generator.generate(PROMPT, StopLimits(50, deadline=1.0))
    assert (result.stopped, list(result.token_ids)) == ("deadline", full[:3])
    assert now <= 1.0


def test_lines_that_need_no_pass_keep_the_deadline_too(vocabulary: Vocabulary) -> None:
    """Looking them up took two seconds in a document of 50,000 like lines, and nothing stopped it."""
    now = 0.0

    class Planning:
        def mix(self, context: Sequence[int], logits: np.ndarray) -> np.ndarray:
            return logits

        def planned(self, context: Sequence[int]) -> tuple[int, ...]:
            nonlocal now
            now += 0.3
            return tuple(vocabulary.encode("x\n"))

        def chance(self, context: Sequence[int]) -> float | None:
            return None

    decoder = ScriptedDecoder(after(len(PROMPT), answer(vocabulary)), vocab_size=320)
    generator = Generator(decoder, vocabulary, vocabulary.fim.stops, lambda: now)
    result = generator.generate(PROMPT, StopLimits(50, deadline=1.0), mixer=Planning())
    assert (result.text, result.stopped, result.forward_passes) == ("x\nx\nx\n", "deadline", 0)
    assert now <= 1.0
    cancelled = generator.generate(PROMPT, StopLimits(50, cancelled=lambda: True), mixer=Planning())
    assert (cancelled.text, cancelled.stopped) == ("", "cancelled")


def test_behind_the_end_nothing_is_looked_up(vocabulary: Vocabulary) -> None:
    """A look-up costs as much as a pass: typing took a quarter longer by one more behind each answer."""
    looked: list[int] = []

    class Looking:
        def mix(self, context: Sequence[int], logits: np.ndarray) -> np.ndarray:
            return logits

        def planned(self, context: Sequence[int]) -> tuple[int, ...]:
            looked.append(len(context))
            return ()

        def chance(self, context: Sequence[int]) -> float | None:
            return None

    limits = StopLimits(50, finished=lambda text: text.endswith("first"))
    generator = scripted(vocabulary, answer(vocabulary))
    result = generator.generate(PROMPT, limits, mixer=Looking())
    assert result.stopped == "finished"
    n_before = looked[0]
    assert looked == list(range(n_before, n_before + len(result.token_ids)))


def test_a_deadline_in_the_past_costs_no_pass(vocabulary: Vocabulary) -> None:
    result = scripted(vocabulary, answer(vocabulary), clock=lambda: 9.0).generate(
        PROMPT, StopLimits(50, deadline=8.0)
    )
    assert (result.text, result.stopped, result.forward_passes) == ("", "deadline", 0)


def test_a_long_prompt_can_be_cancelled_between_pieces_and_is_continued_later(vocabulary: Vocabulary) -> None:
    ids = tuple(i % 250 for i in range(3 * PREFILL_PIECE + 5))
    prompt = Prompt(ids, np.zeros((0, 2), np.float32))
    decoder = ScriptedDecoder(after(len(ids), answer(vocabulary)), vocab_size=320)
    generator = Generator(decoder, vocabulary, vocabulary.fim.stops)
    calls = itertools.count()
    result = generator.generate(prompt, StopLimits(50, cancelled=lambda: next(calls) >= 2))
    assert (result.stopped, result.text) == ("cancelled", "")
    assert decoder.widths == [PREFILL_PIECE, PREFILL_PIECE]
    again = generator.generate(prompt, StopLimits(50))
    assert again.reused_tokens == 2 * PREFILL_PIECE
    assert again.text == "self.first + 1"


def test_what_does_not_fit_the_cache_is_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="5 prompt tokens and 508 new ones do not fit 512"):
        scripted(vocabulary, answer(vocabulary)).generate(PROMPT, StopLimits(508))


def test_a_failing_pass_leaves_a_usable_generator(vocabulary: Vocabulary) -> None:
    full = answer(vocabulary)
    generator = scripted(vocabulary, full[:3])  # the script runs out: IndexError from inside the decoder
    with pytest.raises(IndexError):
        generator.generate(PROMPT, StopLimits(50))
    result = generator.generate(PROMPT, StopLimits(3))
    assert list(result.token_ids) == full[:3]


def test_an_end_that_only_the_checkpoint_names_ends_it_too(vocabulary: Vocabulary) -> None:
    """A control token, which nothing but an end may be: a chat turn's end is none of the vocabulary's own."""
    foreign = vocabulary.fim.middle
    assert foreign not in vocabulary.fim.stops
    decoder = ScriptedDecoder(after(len(PROMPT), [*vocabulary.encode("x"), foreign]), vocab_size=320)
    generator = Generator(decoder, vocabulary, vocabulary.fim.stops | {foreign})
    result = generator.generate(PROMPT, StopLimits(50))
    assert (result.text, result.stopped) == ("x", "end")


# --- against the real decoder ---------------------------------------------------------------------------------------


def generator_of(model: LoadedModel) -> Generator:
    model.decoder.rewind(0)
    return Generator(model.decoder, model.vocabulary, model.stop_ids)


def prompt_of(
    model: LoadedModel, prefix: str, suffix: str = "\n\nclass A:\n", head: Head | None = None
) -> Prompt:
    return build_prompt(model.vocabulary, "spm", head or empty_head(64), prefix, suffix, Budget(300, 100))


def outcome(generation: Generation) -> tuple[tuple[int, ...], str]:
    return generation.token_ids, generation.stopped


LONG = "".join(f"    def method_{i}(self, x):\n        return self.first[{i}] + x\n" for i in range(30))
EDITS = [
    "def add(",
    "def add(self",
    "def add(self, fir",
    "def add(s",
    "",
    "import os\ndef add(s",
    LONG,
    LONG + "    d",
]


def test_reused_cache_equals_fresh_token_for_token(tiny_model: LoadedModel) -> None:
    """Typing, deleting, starting over, a cut prefix: after each edit, what a fresh generator answers."""
    fresh = [
        outcome(generator_of(tiny_model).generate(prompt_of(tiny_model, text), StopLimits(12)))
        for text in EDITS
    ]
    generator = generator_of(tiny_model)
    reused = [generator.generate(prompt_of(tiny_model, text), StopLimits(12)) for text in EDITS]
    assert [outcome(generation) for generation in reused] == fresh
    assert sum(generation.reused_tokens for generation in reused) > 100
    assert len(set(fresh)) > 4


def test_asking_again_costs_one_position(tiny_model: LoadedModel) -> None:
    generator, prompt = generator_of(tiny_model), prompt_of(tiny_model, "def add(self, ")
    first, second = generator.generate(prompt, StopLimits(8)), generator.generate(prompt, StopLimits(8))
    assert outcome(first) == outcome(second)
    assert (first.reused_tokens, second.reused_tokens) == (0, len(prompt) - 1)


def test_other_pseudo_tokens_do_not_reuse_the_cache_and_equal_ones_do(tiny_model: LoadedModel) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2, 3, 64)).astype(np.float32)
    heads = [Head((PSEUDO,) * 3, v) for v in (vectors[0], vectors[1], vectors[1].copy())]
    prompts = [prompt_of(tiny_model, "def add(", head=head) for head in heads]
    fresh = [outcome(generator_of(tiny_model).generate(prompt, StopLimits(8))) for prompt in prompts]
    generator = generator_of(tiny_model)
    results = [generator.generate(prompt, StopLimits(8)) for prompt in prompts]
    assert [outcome(result) for result in results] == fresh
    assert fresh[0] != fresh[1] == fresh[2]
    assert [result.reused_tokens for result in results] == [0, 0, len(prompts[2]) - 1]


def test_embeddings_of_tokens_as_pseudo_tokens_equal_the_tokens(tiny_model: LoadedModel) -> None:
    ids = tiny_model.vocabulary.encode("import os\nclass A:\n    first = os")
    with_ids = prompt_of(tiny_model, "def add(", head=Head(tuple(ids), np.zeros((0, 64), np.float32)))
    with_slots = prompt_of(
        tiny_model, "def add(", head=Head((PSEUDO,) * len(ids), tiny_model.decoder.embed(ids))
    )
    mixed_ids = (ids[0], *(PSEUDO,) * (len(ids) - 2), ids[-1])
    mixed = prompt_of(tiny_model, "def add(", head=Head(mixed_ids, tiny_model.decoder.embed(ids[1:-1])))
    results = [
        generator_of(tiny_model).generate(prompt, StopLimits(16)) for prompt in (with_ids, with_slots, mixed)
    ]
    assert len({outcome(result) for result in results}) == 1


@pytest.mark.parametrize("piece", [1, 7, 64])
def test_the_size_of_prefill_pieces_changes_no_token(
    tiny_model: LoadedModel, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    vectors = np.random.default_rng(1).normal(size=(9, 64)).astype(np.float32)
    prompt = prompt_of(tiny_model, LONG, head=Head((PSEUDO,) * 9, vectors))
    expected = outcome(generator_of(tiny_model).generate(prompt, StopLimits(12)))
    monkeypatch.setattr(tiny_model.decoder, "prefill_piece", piece)
    assert outcome(generator_of(tiny_model).generate(prompt, StopLimits(12))) == expected


def test_logits_at_given_tokens_are_those_of_one_pass_over_all(tiny_model: LoadedModel) -> None:
    generator, decoder = generator_of(tiny_model), tiny_model.decoder
    prompt = prompt_of(tiny_model, "def add(self, first):\n" * 30)
    ids = tiny_model.vocabulary.encode("    return self.first + first\n")
    found = generator.logits(prompt, ids)
    assert decoder.length == len(prompt) + len(ids) - 1
    decoder.rewind(0)
    logits = decoder.extend(decoder.embed([*prompt.ids, *ids[:-1]]), all_rows=True)[-len(ids) :]
    np.testing.assert_allclose(found, logits, atol=1e-4)


def test_weighing_uses_what_was_computed_and_changes_no_token(tiny_model: LoadedModel) -> None:
    generator, prompt = generator_of(tiny_model), prompt_of(tiny_model, "def add(self, first):\n" * 10)
    ids = tiny_model.vocabulary.encode("return first")
    written = generator.generate(prompt, StopLimits(8))
    warm = generator.logits(prompt, ids)
    again = generator.generate(prompt, StopLimits(8))
    assert again.reused_tokens == len(prompt) - 1
    assert outcome(again) == outcome(written)
    fresh = generator_of(tiny_model).logits(prompt, ids)
    np.testing.assert_array_equal(warm, fresh)


def test_what_cannot_be_weighed_in_the_cache_is_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="do not fit a cache"):
        scripted(vocabulary, [1]).logits(PROMPT, [1] * 508)
