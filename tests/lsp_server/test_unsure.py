"""Quiet when unsure: what is shown by itself, what is kept for who asks, and what is asked again."""

from __future__ import annotations

import asyncio

import pytest

from lsp_server.completion import Completions
from lsp_server.presentation import StopRule
from lsp_server.silence import unsure
from lsp_server.snapshot import Snapshot
from tests.lsp_server.test_completion import Model, at, begun, completions, settled

pytestmark = pytest.mark.asyncio
BLOCK = "def f():|\n"
BODY = "\n    first()\n    second()\n    third()"


async def answered(
    answers: Completions,
    model: Model,
    snapshot: Snapshot,
    text: str,
    chances: tuple[float, ...],
    min_confidence: float = 0.5,
) -> str | None:
    """What an automatic request gets when the model writes this."""
    asked = await begun(answers.suggest(snapshot, min_confidence=min_confidence))
    model.jobs[-1].rule = StopRule(block=True)
    model.write(text, chances=chances)
    return await settled(asked)


async def suggested(
    answers: Completions, snapshot: Snapshot, min_confidence: float = 0.5, *, explicit: bool = False
) -> str | None:
    """What a request gets that the model need not be asked for."""
    return await settled(
        await begun(answers.suggest(snapshot, explicit=explicit, min_confidence=min_confidence))
    )


@pytest.mark.parametrize(
    ("chances", "min_confidence", "shown"),
    [
        ((0.6,), 0.5, "value"),
        ((0.5,), 0.5, "value"),
        ((0.4,), 0.5, None),
        ((0.0,), 0.0, "value"),
        ((), 1.0, "value"),
    ],
)
async def test_what_is_less_sure_than_wanted_is_not_shown(
    chances: tuple[float, ...], min_confidence: float, shown: str | None
) -> None:
    model = Model()

    assert await answered(completions(model), model, at("a = |"), "value", chances, min_confidence) == shown


async def test_what_was_held_back_is_there_for_who_asks_and_stays_while_it_is_typed_along() -> None:
    model = Model()
    answers = completions(model)
    assert await answered(answers, model, at("a = |"), "value", (0.4,)) is None
    assert answers.silence("untitled:a") == unsure(0.4, 0.5)

    assert await suggested(answers, at("a = |"), explicit=True) == "value"
    assert await suggested(answers, at("a = va|", version=2)) == "lue"
    assert await suggested(answers, at("a = |", version=3)) == "value"
    assert answers.silence("untitled:a") is None
    assert len(model.jobs) == 1


async def test_a_place_that_was_answered_is_not_asked_about_again() -> None:
    model = Model()
    answers = completions(model)
    await answered(answers, model, at("a = |"), "value", (0.4,))

    assert await suggested(answers, at("a = |")) is None
    assert await suggested(answers, at("a = |"), 0.3) == "value"  # the setting was changed
    assert len(model.jobs) == 1


async def test_behind_more_text_the_model_is_asked_anew_where_it_was_unsure() -> None:
    model = Model()
    answers = completions(model)
    assert await answered(answers, model, at("a = |"), "value", (0.4,)) is None

    assert await answered(answers, model, at("a = va|", version=2), "lue", (0.9,)) == "lue"
    assert await suggested(answers, at("a = val|", version=3)) == "ue"
    assert len(model.jobs) == 2


async def test_a_request_that_joined_an_unsure_answer_is_answered_behind_what_was_typed() -> None:
    model = Model()
    answers = completions(model)
    first = await begun(answers.suggest(at("a = |"), min_confidence=0.5))
    second = await begun(answers.suggest(at("a = v|", version=2), min_confidence=0.5))
    model.write("value", chances=(0.4,))
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(model.jobs) == 2
    model.write("alue", chances=(0.8,))

    assert (await settled(first), await settled(second)) == (None, "alue")


@pytest.mark.parametrize(
    ("min_confidence", "shown"),
    [
        (0.0, "\n    first()\n    second()\n    third()"),
        (0.6, "\n    first()\n    second()"),
        (0.7, "\n    first()"),
        (0.9, None),  # only the line end would be left
        (1.0, None),
    ],
)
async def test_a_block_is_shown_as_far_as_it_is_sure(min_confidence: float, shown: str | None) -> None:
    model = Model()

    assert (
        await answered(completions(model), model, at(BLOCK), BODY, (0.9, 0.8, 0.9, 0.5), min_confidence)
        == shown
    )


async def test_the_rest_of_a_block_comes_when_what_was_sure_is_there() -> None:
    model = Model()
    answers = completions(model)

    assert await answered(answers, model, at(BLOCK), BODY, (1.0, 0.7, 0.7, 0.6)) == "\n    first()"
    assert await suggested(answers, at("def f():\n    first()|\n", version=2)) == "\n    second()"
    assert await suggested(answers, at("def f():\n    first()\n    sec|\n", version=3)) == "ond()"
    assert len(model.jobs) == 1


@pytest.mark.parametrize(("min_confidence", "n_runs"), [(0.5, 1), (0.75, 2)])
async def test_behind_what_was_accepted_the_model_begins_anew_where_it_was_unsure(
    min_confidence: float, n_runs: int
) -> None:
    model = Model()
    answers = completions(model)
    assert await answered(answers, model, at(BLOCK), BODY, (1.0, 0.8, 0.7, 0.6), min_confidence)
    answers.preload(at("def f():\n    first()|\n", version=2), min_confidence)

    assert len(model.jobs) == n_runs


async def test_what_is_shown_is_what_is_accepted_and_counted() -> None:
    model = Model()
    answers = completions(model)
    asked = await begun(answers.suggest(at(BLOCK), min_confidence=0.7))
    model.jobs[-1].rule = StopRule(block=True)
    model.write(BODY, chances=(0.9, 0.8, 0.9, 0.5))
    offer = await asked
    answers.shown(offer)  # type: ignore[arg-type]
    taken = answers.accepted(offer.number)  # type: ignore[attr-defined]

    assert taken is not None
    assert taken.accepted_prefix == "def f():\n    first()"
    assert taken.confidence == pytest.approx(0.72)
    assert await answered(answers, model, at("b = |", version=2), "value", (0.1,)) is None
    assert answers.tally.to_json(str) == {"offered": 1, "accepted": 1, "kept": 0, "inParts": 0, "unsure": 1}


async def test_brackets_that_a_shorter_text_does_not_close_are_left_alone() -> None:
    model = Model()
    answers = completions(model)
    text, chances = "a,\n    b)", (0.9, 0.1)
    asked = await begun(answers.suggest(at("f(|)"), min_confidence=0.5))
    model.jobs[-1].rule = StopRule(block=True)
    model.write(text, chances=chances)
    offer = await asked

    assert offer.suggestion.text == "a,"  # type: ignore[attr-defined]
    assert offer.suggestion.replace == 0  # type: ignore[attr-defined]


async def test_an_answer_for_the_next_line_is_as_sure_as_that_line() -> None:
    model = Model()
    answers = completions(model)
    answers.preload(at("x = 1|"))
    model.jobs[-1].rule = StopRule(block=False, ahead=True)
    model.write("\ny = 2\n", chances=(0.2, 0.9, 1.0))

    assert await suggested(answers, at("x = 1|")) is None
    assert await suggested(answers, at("x = 1\n|", version=2)) == "y = 2"


async def test_a_closed_document_has_no_unsure_answer() -> None:
    model = Model()
    answers = completions(model)
    await answered(answers, model, at("a = |"), "value", (0.4,))
    answers.forget("untitled:a")

    assert answers.silence("untitled:a") is None
