"""Who gets which answer when requests overlap; the model is a list of runs that the test settles by hand."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from dataclasses import replace

import pytest
from lsprotocol.types import Position, Range, SelectedCompletionInfo

from lsp_server.completion import Completions
from lsp_server.job import Job
from lsp_server.presentation import ONE_LINE, Suggestion
from lsp_server.snapshot import Buffer, Snapshot, take
from model.request import Completion

pytestmark = pytest.mark.asyncio


class Model:
    """Runs are started by `Completions` and ended by the test."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.runs: list[Future[Completion | None]] = []

    def run(self, job: Job) -> Future[Completion | None]:
        self.jobs.append(job)
        self.runs.append(Future())
        return self.runs[-1]

    def write(self, text: str, run: int = -1, stopped: str = "end", chances: tuple[float, ...] = ()) -> None:
        done = Completion(text, 1, 0, 0, 1, 1, 0, {"total": 1.0}, (), stopped)  # type: ignore[arg-type]
        self.runs[run].set_result(replace(done, confidence=chances))


def buffer(text: str) -> Buffer:
    """The document after an edit."""
    return Buffer("untitled:a", None, None, "python", text)


def at(text: str, uri: str = "untitled:a", version: int = 1) -> Snapshot:
    """A snapshot at `|`."""
    before, after = text.split("|")
    position = Position(before.count("\n"), len(before.rpartition("\n")[2]))
    return take(Buffer(uri, version, None, "python", before + after), position)


def completions(model: Model, patience: float = 10.0) -> Completions:
    return Completions(model.run, lambda path: patience)


async def begun(coroutine: object) -> asyncio.Task[object]:
    task = asyncio.ensure_future(coroutine)  # type: ignore[arg-type,var-annotated]
    await asyncio.sleep(0)
    return task


async def settled(task: asyncio.Task[object]) -> str | None:
    offer = await asyncio.wait_for(task, 5)
    return offer.suggestion.text if offer else None  # type: ignore[attr-defined]


async def test_what_the_model_writes_is_presented() -> None:
    model = Model()
    asked = await begun(completions(model).suggest(at("print(|)")))
    model.write("value)\nmore")

    assert await settled(asked) == "value)"


async def test_a_newer_request_supersedes_and_the_older_is_answered_at_once() -> None:
    model = Model()
    answers = completions(model)
    older = await begun(answers.suggest(at("a = |")))
    newer = await begun(answers.suggest(at("b = |", version=2)))

    assert await settled(older) is None
    assert model.jobs[0].cancelled.is_set()
    assert model.runs[0].cancelled()
    model.write("value")
    assert await settled(newer) == "value"


async def test_documents_do_not_disturb_one_another() -> None:
    model = Model()
    answers = completions(model)
    first = await begun(answers.suggest(at("a = |")))
    second = await begun(answers.suggest(at("b = |", uri="untitled:b")))
    model.write("second", 1)
    model.write("first", 0)

    assert (await settled(first), await settled(second)) == ("first", "second")


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        ("a = va|", "lue"),
        ("a = |", "value"),
        ("a = value|", None),
        ("a = vx|", None),
        ("b = va|", None),
        ("a = va|\n", None),
        ("\na = va|", None),
    ],
)
async def test_only_typing_along_reuses_a_suggestion(now: str, shown: str | None) -> None:
    model = Model()
    answers = completions(model)
    asked = await begun(answers.suggest(at("a = |")))
    model.write("value")
    await asked
    again = await begun(answers.suggest(at(now, version=2)))
    if shown is None:
        assert len(model.runs) == 2
        model.write("")
    else:
        assert len(model.runs) == 1

    assert await settled(again) == shown


async def test_a_suggestion_is_not_shown_in_another_document() -> None:
    model = Model()
    answers = completions(model)
    asked = await begun(answers.suggest(at("a = |")))
    model.write("value")
    await asked
    await begun(answers.suggest(at("a = |", uri="untitled:b")))

    assert len(model.runs) == 2
    answers.stop()


async def test_a_keystroke_joins_while_it_agrees() -> None:
    model = Model()
    answers = completions(model)
    older = await begun(answers.suggest(at("a = |")))
    assert not model.jobs[0].finished("va")
    newer = await begun(answers.suggest(at("a = v|", version=2)))
    assert not model.jobs[0].finished("valu")
    model.write("value")

    assert (await settled(older), await settled(newer)) == (None, "alue")
    assert len(model.runs) == 1


async def test_a_joined_run_that_parts_ways_is_stopped_and_replaced() -> None:
    model = Model()
    answers = completions(model)
    older = await begun(answers.suggest(at("a = |")))
    newer = await begun(answers.suggest(at("a = w|", version=2)))
    assert model.jobs[0].finished("va")
    model.write("va", stopped="finished")
    while len(model.runs) < 2:
        await asyncio.sleep(0)
    model.write("orld")

    assert (await settled(older), await settled(newer)) == (None, "orld")
    assert len(model.runs) == 2


async def test_a_cancel_stops_the_model_unless_a_newer_request_joined() -> None:
    model = Model()
    answers = completions(model)
    alone = await begun(answers.suggest(at("a = |")))
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone
    assert model.jobs[0].cancelled.is_set()

    older = await begun(answers.suggest(at("b = |")))
    newer = await begun(answers.suggest(at("b = v|", version=2)))
    older.cancel()
    await asyncio.sleep(0)
    assert not model.jobs[1].cancelled.is_set()
    model.write("value")
    assert await settled(newer) == "alue"


async def test_a_cancel_of_a_request_that_was_typed_along_leaves_the_model_running() -> None:
    """VS Code cancels the older request before it sends the newer one."""
    model = Model()
    answers = completions(model)
    older = await begun(answers.suggest(at("a = |")))
    answers.edited(buffer("a = v"))
    older.cancel()
    with pytest.raises(asyncio.CancelledError):
        await older
    assert not model.jobs[0].cancelled.is_set()
    newer = await begun(answers.suggest(at("a = v|", version=2)))
    model.write("value")

    assert await settled(newer) == "alue"
    assert len(model.runs) == 1


@pytest.mark.parametrize("text", ["b = ", "a = \n", "a = w", ""])
async def test_an_edit_elsewhere_stops_the_model_before_anything_is_asked(text: str) -> None:
    model = Model()
    answers = completions(model)
    asked = await begun(answers.suggest(at("a = |")))
    model.jobs[0].finished("va")
    answers.edited(buffer(text))

    assert model.jobs[0].cancelled.is_set()
    assert await settled(asked) is None


async def test_an_edit_with_a_menu_item_selected_leaves_the_verdict_to_the_next_request() -> None:
    model = Model()
    answers = completions(model)
    chosen = SelectedCompletionInfo(Range(Position(0, 3), Position(0, 5)), "append")
    buffers = [
        Buffer("untitled:a", version, None, "python", text) for version, text in ((1, "xs.ap"), (2, "xs.app"))
    ]
    await begun(answers.suggest(take(buffers[0], Position(0, 5), "utf-16", chosen)))
    answers.edited(buffer("xs.app"))
    chosen = SelectedCompletionInfo(Range(Position(0, 3), Position(0, 6)), "append")
    newer = await begun(answers.suggest(take(buffers[1], Position(0, 6), "utf-16", chosen)))
    model.write("(item)")

    assert await settled(newer) == "(item)"
    assert len(model.runs) == 1


async def test_a_bracket_that_the_editor_closed_is_typed_along() -> None:
    model = Model()
    answers = completions(model)
    asked = await begun(answers.suggest(at("a = |")))
    model.write("call(value)[0]")
    await asked
    offers = [
        await answers.suggest(at(text, version=2))
        for text in ("a = call(|)", "a = call(va|)", "a = call(value)[|]")
    ]

    assert [offer and offer.suggestion for offer in offers] == [
        Suggestion("value)[0]", 1), Suggestion("lue)[0]", 1), Suggestion("0]", 1)
    ]  # fmt: skip
    assert len(model.runs) == 1


@pytest.mark.parametrize("now", ["a = call(|]", "a = call(|))", "a = |)", "a = call(value|)\n"])
async def test_a_closer_that_the_suggestion_does_not_write_is_another_place(now: str) -> None:
    model = Model()
    answers = completions(model)
    asked = await begun(answers.suggest(at("a = |")))
    model.write("call(value)")
    await asked
    await begun(answers.suggest(at(now, version=2)))

    assert len(model.runs) == 2
    answers.stop()


async def test_a_running_job_is_joined_past_a_bracket_that_the_editor_closed() -> None:
    model = Model()
    answers = completions(model)
    older = await begun(answers.suggest(at("a = |")))
    model.jobs[0].finished("call(")
    answers.edited(buffer("a = call()"))
    newer = await begun(answers.suggest(at("a = call(|)", version=2)))
    model.write("call(value)")

    assert (await settled(older), await settled(newer)) == (None, "value)")
    assert len(model.runs) == 1


async def test_what_follows_an_accepted_suggestion_is_ready_when_it_is_asked_for() -> None:
    model = Model()
    answers = completions(model)
    asked = await begun(answers.suggest(at("a = |")))
    model.write("value")
    answers.shown(await asked)  # type: ignore[arg-type]
    accepted = answers.accepted(1)
    assert accepted is not None
    assert accepted.accepted_prefix == "a = value"
    answers.preload(at("a = value|", version=2))
    model.write(" + other")
    await asyncio.sleep(0)

    assert await settled(await begun(answers.suggest(at("a = value|", version=2)))) == " + other"
    assert len(model.runs) == 2
    assert answers.tally.to_json(str) == {"offered": 1, "accepted": 1, "kept": 0, "inParts": 0, "unsure": 0}


async def test_the_next_line_is_ready_when_the_accepted_one_is_complete() -> None:
    model = Model()
    answers = completions(model)
    answers.preload(at("if a:\n    b = value|"))
    model.jobs[0].rule = replace(ONE_LINE, ahead=True)
    model.write("\n    c = other\n    d = more")
    await asyncio.sleep(0)
    at_line_end = await answers.suggest(at("if a:\n    b = value|", version=2))
    after_enter = await begun(answers.suggest(at("if a:\n    b = value\n    |", version=3)))

    assert at_line_end is None
    assert await settled(after_enter) == "c = other"
    assert len(model.runs) == 1


async def test_where_the_line_is_complete_the_place_after_enter_is_worked_out() -> None:
    model = Model()
    answers = completions(model)
    answers.preload(at("if a:|\nend"))
    model.write("")
    while len(model.runs) < 2:
        await asyncio.sleep(0)
    at_line_end = await answers.suggest(at("if a:|\nend"))
    answers.edited(buffer("if a:\n    \nend"))
    after_enter = await begun(answers.suggest(at("if a:\n    |\nend", version=2)))
    model.write("b = value")

    assert at_line_end is None
    assert await settled(after_enter) == "b = value"
    assert len(model.runs) == 2


async def test_nothing_to_say_is_asked_for_once_per_version_unless_time_was_short() -> None:
    model = Model()
    answers = completions(model)
    for stopped, version in [("deadline", 1), ("end", 1), ("", 1), ("end", 2)]:
        asked = await begun(answers.suggest(at("a = b|", version=version)))
        if stopped:
            model.write("", stopped=stopped)
        assert await settled(asked) is None
    assert len(model.runs) == 3
    asked_for = await begun(answers.suggest(at("a = b|", version=2), explicit=True))
    model.write(".value")

    assert await settled(asked_for) == ".value"


async def test_a_preloaded_job_is_joined_while_it_runs() -> None:
    model = Model()
    answers = completions(model)
    answers.preload(at("a = |"))
    asked = await begun(answers.suggest(at("a = v|", version=2)))
    model.write("value")

    assert await settled(asked) == "alue"
    assert len(model.runs) == 1


async def test_a_preloaded_job_ends_at_once_when_the_user_does_something_else() -> None:
    model = Model()
    answers = completions(model)
    answers.preload(at("a = |"))
    answers.edited(buffer("b = "))
    assert model.jobs[0].cancelled.is_set()
    answers.preload(at("a = |"))
    elsewhere = await begun(answers.suggest(at("c = |", uri="untitled:b")))
    assert model.jobs[1].cancelled.is_set()
    answers.preload(at("d = |", uri="untitled:b"))

    assert len(model.runs) == 3  # a request that is being answered is not disturbed
    model.write("value")
    assert await settled(elsewhere) == "value"


async def test_an_answer_that_is_waited_for_briefly_comes_with_the_next_keystroke() -> None:
    model = Model()
    answers = completions(model)
    assert await answers.suggest(at("a = |"), 0.01) is None
    assert not model.jobs[0].cancelled.is_set()
    asked = await begun(answers.suggest(at("a = v|", version=2), 5))
    model.write("value")

    assert await settled(asked) == "alue"
    assert len(model.runs) == 1


async def test_the_deadline_counts_from_when_the_request_came() -> None:
    """The disk may have been slow to say whether anything may be suggested."""
    model = Model()
    came = time.monotonic() - 9.0
    assert (
        await asyncio.wait_for(completions(model, patience=9.0).suggest(at("a = |"), asked=came), 5) is None
    )
    assert model.jobs[0].created == came
    assert model.jobs[0].cancelled.is_set()


async def test_patience_ends() -> None:
    model = Model()
    answers = completions(model, patience=-0.45)
    asked = await begun(answers.suggest(at("a = |")))

    assert await settled(asked) is None
    assert model.jobs[0].cancelled.is_set()


async def test_a_failing_model_means_an_empty_answer(caplog: pytest.LogCaptureFixture) -> None:
    model = Model()
    asked = await begun(completions(model).suggest(at("a = |")))
    model.runs[0].set_exception(ValueError("a = secret text"))

    assert await settled(asked) is None
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


async def test_a_limit_cuts_at_a_whole_word_and_the_rest_is_asked_for() -> None:
    model = Model()
    answers = completions(model)
    asked = await begun(answers.suggest(at("a = |")))
    model.write("first, seco", stopped="deadline")

    assert await settled(asked) == "first,"


async def test_closing_a_document_forgets_it() -> None:
    model = Model()
    answers = completions(model)
    asked = await begun(answers.suggest(at("a = |")))
    model.write("value")
    await asked
    answers.forget("untitled:a")
    running = await begun(answers.suggest(at("a = |")))
    answers.forget("untitled:a")

    assert not answers._documents
    assert len(model.runs) == 2
    assert await settled(running) is None


async def test_suggestions_are_counted_once_however_often_they_are_shown_and_told() -> None:
    model = Model()
    answers = completions(model)
    for text in ("a = |", "a = v|"):
        asked = await begun(answers.suggest(at(text)))
        if not model.runs:
            continue
        if not model.runs[0].done():
            model.write("value")
        answers.shown(await asked)  # type: ignore[arg-type]
    for number in (1, 1, 7, -1):
        answers.accepted(number)

    assert answers.tally.to_json(lambda uri: "a = value") == {
        "offered": 1,
        "accepted": 1,
        "kept": 1,
        "inParts": 0,
        "unsure": 0,
    }
    assert answers.tally.to_json(lambda uri: "a = other") == {
        "offered": 1,
        "accepted": 1,
        "kept": 0,
        "inParts": 0,
        "unsure": 0,
    }
    answers.forget("untitled:a", "a = value")
    assert answers.tally.to_json(lambda uri: "") == {
        "offered": 1,
        "accepted": 1,
        "kept": 1,
        "inParts": 0,
        "unsure": 0,
    }


async def test_the_last_suggestion_is_known_per_document() -> None:
    model = Model()
    answers = completions(model)
    for uri in ("untitled:a", "untitled:b"):
        asked = await begun(answers.suggest(at("a = |", uri=uri)))
        model.write("value")
        answers.shown(await asked)  # type: ignore[arg-type]

    numbers = [
        offer and offer.number
        for offer in (answers.last(), answers.last("untitled:a"), answers.last("untitled:c"))
    ]
    assert numbers == [2, 1, None]
