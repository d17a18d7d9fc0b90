"""Why the newest request in a document brought nothing; the model is a list of runs that the test settles by hand."""

from __future__ import annotations

import asyncio

import pytest

from lsp_server.completion import Completions
from lsp_server.silence import (
    BUSY,
    FAILED,
    LATE,
    LATE_FOR_MENU,
    LINE_ENDS,
    LOADING,
    NOTHING,
    SUPERSEDED,
    UNFIT,
    Silence,
    ignored_by,
    unsure,
)
from lsp_server.status import DocumentStatus
from lsp_server.telling import Telling
from tests.lsp_server.test_completion import Model, at, begun, buffer, settled

URI = "untitled:a"


class Heard:
    """A document's requests, and what was told of its silences."""

    def __init__(self, waiting: Silence = BUSY, patience: float = 10.0) -> None:
        self.model = Model()
        self.told: list[DocumentStatus | None] = []
        self.answers = Completions(self.model.run, lambda path: patience, lambda: waiting, self._tell)

    def _tell(self) -> None:
        self.told.append(self.answers.newest)

    async def ask(self, text: str = "a = |", version: int = 1, least: float = 0.5) -> asyncio.Task[object]:
        return await begun(self.answers.suggest(at(text, version=version), min_confidence=least))

    @property
    def why(self) -> Silence | None:
        return self.answers.silence(URI)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("text", "stopped", "chances", "why"),
    [
        ("value", "end", (0.9,), None),
        ("value", "end", (0.12,), unsure(0.12, 0.5)),
        ("", "end", (), NOTHING),
        ("0", "end", (), UNFIT["short"]),
        ("<|endoftext|>", "end", (), UNFIT["no code"]),
        (")", "finished", (), UNFIT["closers"]),
        ("fragme", "deadline", (), LATE),
        ("", "deadline", (), LATE),
        ("", "cancelled", (), SUPERSEDED),
    ],
)
async def test_what_the_model_wrote_says_why(
    text: str, stopped: str, chances: tuple[float, ...], why: Silence | None
) -> None:
    heard = Heard()
    asked = await heard.ask()
    heard.model.write(text, stopped=stopped, chances=chances)

    assert (await settled(asked) is not None) == (why is None)
    assert heard.why == why
    assert heard.told == [DocumentStatus(URI, why)]


@pytest.mark.asyncio
async def test_a_run_without_time_left_was_busy_and_one_that_failed_failed() -> None:
    heard = Heard()
    asked = await heard.ask()
    heard.model.runs[-1].set_result(None)
    assert await settled(asked) is None
    assert heard.why is BUSY
    asked = await heard.ask("b = |", version=2)
    heard.model.runs[-1].set_exception(ValueError("source text"))
    assert await settled(asked) is None
    assert heard.why is FAILED


@pytest.mark.asyncio
@pytest.mark.parametrize("begins", [False, True])
async def test_a_deadline_is_the_models_only_once_it_has_begun(begins: bool) -> None:
    heard = Heard(waiting=LOADING, patience=-0.05)  # of 80 ms beyond
    asked = await heard.ask()
    if begins:
        heard.model.runs[-1].set_running_or_notify_cancel()

    assert await settled(asked) is None
    assert heard.why is (LATE if begins else LOADING)


@pytest.mark.asyncio
async def test_a_menu_that_did_not_wait_says_so() -> None:
    heard = Heard()
    asked = await begun(heard.answers.suggest(at("a = |"), 0.01))
    heard.model.runs[-1].set_running_or_notify_cancel()

    assert await settled(asked) is None
    assert heard.why is LATE_FOR_MENU
    heard.answers.stop()


@pytest.mark.asyncio
async def test_a_superseded_request_says_nothing_of_the_newer_one() -> None:
    heard = Heard()
    older = await heard.ask()
    newer = await heard.ask("b = |", version=2)
    heard.model.write("value", chances=(0.9,))

    assert (await settled(older), await settled(newer)) == (None, "value")
    assert heard.told == [DocumentStatus(URI, None)]


@pytest.mark.asyncio
async def test_an_edit_that_nobody_asks_behind_supersedes() -> None:
    heard = Heard()
    asked = await heard.ask()
    heard.answers.edited(buffer("b = "))

    assert await settled(asked) is None
    assert heard.why is SUPERSEDED


@pytest.mark.asyncio
async def test_a_request_that_is_taken_back_was_superseded() -> None:
    heard = Heard()
    asked = await heard.ask()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked

    assert heard.why is SUPERSEDED


@pytest.mark.asyncio
async def test_a_line_that_is_complete_waits_for_its_end() -> None:
    heard = Heard()
    heard.answers.preload(at("x = 1|"))
    heard.model.jobs[-1].rule = type(heard.model.jobs[-1].rule)(block=False, ahead=True)
    heard.model.write("\ny = 2\n", chances=(0.9, 0.9, 1.0))

    assert await settled(await heard.ask("x = 1|")) is None
    assert heard.why is LINE_ENDS


@pytest.mark.asyncio
async def test_a_place_that_was_silent_is_silent_for_the_same_reason_again() -> None:
    heard = Heard()
    asked = await heard.ask()
    heard.model.write(")")
    await settled(asked)

    assert await settled(await heard.ask()) is None
    assert heard.why is UNFIT["closers"]
    assert len(heard.model.jobs) == len(heard.told) == 1


@pytest.mark.asyncio
async def test_the_same_reason_is_news_once_and_another_one_again() -> None:
    heard = Heard()
    for version, (text, chance) in enumerate(
        [("a = |", 0.1), ("b = |", 0.1), ("c = |", 0.2), ("d = |", 0.9)]
    ):
        asked = await heard.ask(text, version=version)
        heard.model.write("value", chances=(chance,))
        await settled(asked)

    reasons = [status.silence for status in heard.told if status]
    assert reasons == [unsure(0.1, 0.5), unsure(0.2, 0.5), None]


@pytest.mark.asyncio
async def test_where_the_model_is_not_asked_the_refusal_stays_until_the_document_is_closed() -> None:
    heard, why = Heard(), ignored_by("`*.log` in .gitignore")
    heard.answers.refused(at("a = |"), why)
    assert heard.why == why
    assert heard.model.jobs == []
    heard.answers.forget(URI)
    assert heard.why is None
    assert heard.answers.newest is None


def test_figures_are_rounded_away_from_the_limit() -> None:
    assert "12 % sure, shown from 35 %" in unsure(0.1299, 0.35).reason
    assert "24 % sure, shown from 24.5 %" in unsure(0.2449, 0.245).reason
    assert "29 % sure, shown from 30 %" in unsure(0.29, 0.3).reason


def test_only_what_holds_in_the_whole_document_says_that_nothing_is_suggested_in_it() -> None:
    assert DocumentStatus(URI, unsure(0.1, 0.5)).to_json()["suggests"]
    assert not DocumentStatus(URI, ignored_by("`x`")).to_json()["suggests"]
    assert DocumentStatus(URI).to_json() == {
        "uri": URI,
        "suggests": True,
        "code": "",
        "reason": "",
        "nextStep": "",
    }


@pytest.mark.asyncio
async def test_reasons_are_told_when_they_have_stood_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsp_server.telling.STANDS_SECONDS", 0.05)
    told: list[str] = []
    telling = Telling(lambda: told.append("status"))
    for _ in range(5):
        telling.soon()
        await asyncio.sleep(0)
    assert told == []
    await asyncio.sleep(0.3)
    assert told == ["status"]
    telling.soon()
    telling.now()  # which says it all
    await asyncio.sleep(0.2)
    assert told == ["status", "status"]
