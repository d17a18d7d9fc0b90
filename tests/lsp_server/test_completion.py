"""Who gets which answer when requests overlap; the model is a list of runs that the test settles by hand."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pytest
from lsprotocol.types import Position

from lsp_server.completion import Completions, Job
from lsp_server.snapshot import Buffer, Snapshot, take
from model.completer import Completion

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

    def write(self, text: str, run: int = -1, stopped: str = "end") -> None:
        self.runs[run].set_result(
            Completion(text, 1, 0, 0, 1, 1, 0, {"total": 1.0}, (), stopped)  # type: ignore[arg-type]
        )


def at(text: str, uri: str = "untitled:a", version: int = 1) -> Snapshot:
    """A snapshot at `|`."""
    before, after = text.split("|")
    position = Position(before.count("\n"), len(before.rpartition("\n")[2]))
    return take(Buffer(uri, version, None, "python", before + after), position)


def completions(model: Model, patience: float = 10.0) -> Completions:
    return Completions(model.run, lambda: patience)


async def begun(coroutine: object) -> asyncio.Task[object]:
    task = asyncio.ensure_future(coroutine)  # type: ignore[arg-type,var-annotated]
    await asyncio.sleep(0)
    return task


async def settled(task: asyncio.Task[object]) -> str | None:
    suggestion = await asyncio.wait_for(task, 5)
    return suggestion.text if suggestion else None  # type: ignore[attr-defined]


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
    await asyncio.sleep(0.01)
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

    assert len(model.runs) == 2
    assert await settled(running) is None


async def test_accepts_are_counted_for_known_offers_only() -> None:
    model = Model()
    answers = completions(model)
    asked = await begun(answers.suggest(at("a = |")))
    model.write("value")
    await asked
    for number in (1, 7, -1):
        answers.accepted(number)

    assert (answers.n_offers, answers.n_accepted) == (1, 1)
