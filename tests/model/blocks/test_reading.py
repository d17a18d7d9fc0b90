"""Mode blocks through the completer, with the tiny coder: what is placed, when, and that it changes what is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from model.blocks.block import FIRST
from model.completer import Completer
from model.loaded import LoadedModel
from model.loading import load_from_settings
from model.repository import RetrievalQuery, Retrieve
from model.request import Completion, Request
from model.settings import EMBEDDED_TINY, BlockSettings, DraftSettings, ModelSettings
from tests.model.found_item import FoundItem

SETTINGS = ModelSettings(name=EMBEDDED_TINY, context="blocks", window_tokens=128, block_tokens=256)
PREFIX = (
    "".join(f"def early_{n}(a):\n    return a + {n}\n\n\n" for n in range(60))
    + "def last(ledger):\n    return "
)
SHORT = PREFIX[-600:]  # its window has room for more lines
DEFINITION = "class Ledger:\n    def grand_total(self) -> int:\n        return sum(self.amounts)\n"


def retrieve(query: RetrievalQuery) -> Sequence[FoundItem]:
    return [FoundItem("ledger.py", DEFINITION)]


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_from_settings(replace(SETTINGS, window_tokens=448))  # the longest of any test


@pytest.fixture
def completer(model: LoadedModel) -> Completer:
    for slot in range(model.decoder.n_slots):
        model.decoder.select(slot)
        model.decoder.rewind(0)
    return Completer(model, SETTINGS, drafts=DraftSettings(enabled=False))


@pytest.fixture
def wide(model: LoadedModel, completer: Completer) -> Completer:
    """With a window that holds more than is typed here."""
    settings = replace(SETTINGS, window_tokens=448)
    return Completer(model, settings, drafts=DraftSettings(enabled=False))


def request(prefix: str = PREFIX, context: str = "blocks") -> Request:
    return Request("a.py", prefix, "\n", context=context, max_tokens=8, deadline_ms=60_000)


def made(completer: Completer) -> None:
    while completer.tend(lambda: False):
        pass


def test_the_first_answer_waits_for_nothing_and_the_next_has_them(completer: Completer) -> None:
    first = completer.complete(request(), retrieve)
    assert (first.mode, first.prompt_tokens <= SETTINGS.window_tokens + 1) == ("blocks", True)
    made(completer)
    second = completer.complete(request(), retrieve)
    assert SETTINGS.window_tokens < second.prompt_tokens <= SETTINGS.window_tokens + SETTINGS.block_tokens + 1
    assert [item.path for item in second.context] == ["ledger.py"]
    n_placed = second.prompt_tokens - first.prompt_tokens
    assert n_placed <= second.reused_tokens  # nothing of a block went through a pass
    third = completer.complete(request(PREFIX + "l"), retrieve)
    assert third.prompt_tokens - third.reused_tokens <= 2  # and a keystroke costs its own tokens


@dataclass
class Found:
    """A repository in which something else is found from now on."""

    text: str = DEFINITION

    def __call__(self, query: RetrievalQuery) -> Sequence[FoundItem]:
        return [FoundItem("ledger.py", self.text)]


OTHER = "class Journal:\n    def newest(self) -> str:\n        return self.lines[-1]\n"
MOVED = "".join(f"    ledger.post({n})\n" for n in range(8))  # more lines than a context is held for


def computed(completer: Completer, prefix: str, retrieve: Retrieve) -> int:
    """Tokens that go through a pass for an answer."""
    answer = completer.complete(request(prefix), retrieve)
    return answer.prompt_tokens - answer.reused_tokens


def test_what_else_is_found_costs_the_end_of_the_window_only(wide: Completer) -> None:
    found = Found()
    assert computed(wide, SHORT, found) > 200
    made(wide)
    assert 1 < computed(wide, SHORT, found) <= 32  # now behind blocks
    found.text = OTHER
    n_moved = len(wide.model.vocabulary.encode(MOVED))
    for _ in range(2):  # without the new block, and with it
        assert 1 < computed(wide, SHORT + MOVED, found) <= 32 + n_moved
        made(wide)
    answer = wide.complete(request(SHORT + MOVED), found)
    assert OTHER in [item.text for item in answer.context]


def test_the_border_stays_where_it_is_while_the_same_is_read(wide: Completer) -> None:
    computed(wide, SHORT, retrieve)
    made(wide)
    computed(wide, SHORT, retrieve)
    for n in range(1, 8):
        assert computed(wide, SHORT + "ledger.g"[:n], retrieve) <= 2
    n_moved = len(wide.model.vocabulary.encode("ledger\n" + MOVED))
    assert computed(wide, SHORT + "ledger\n" + MOVED, retrieve) <= n_moved + 2  # asked again, found again


@pytest.mark.parametrize("prefix", ["", "x", "def total(ledger):\n    return "])
def test_a_short_document_is_read_behind_blocks_too(completer: Completer, prefix: str) -> None:
    completer.prepare(request(prefix), retrieve)
    answer = completer.complete(request(prefix), retrieve)
    assert answer.mode == "blocks"
    assert answer.reused_tokens > 1


def test_while_some_are_missing_the_prompt_stays_as_it_is(completer: Completer) -> None:
    first = completer.complete(request(), retrieve)
    assert completer.tend(lambda: False)  # one of several
    second = completer.complete(request(PREFIX + "l"), retrieve)
    assert second.prompt_tokens - first.prompt_tokens <= 1
    assert second.prompt_tokens - second.reused_tokens <= 2


def test_what_was_prepared_is_what_is_read_later(completer: Completer, model: LoadedModel) -> None:
    completer.complete(request(), retrieve)
    made(completer)
    warm = completer.complete(request(), retrieve)
    for slot in range(model.decoder.n_slots):
        model.decoder.select(slot)
        model.decoder.rewind(0)
    cold = Completer(model, SETTINGS, drafts=DraftSettings(enabled=False))
    cold.prepare(request(), retrieve)
    answer = cold.complete(request(), retrieve)
    assert (answer.text, answer.prompt_tokens) == (warm.text, warm.prompt_tokens)
    assert answer.reused_tokens > 0


def test_what_is_placed_is_read(completer: Completer) -> None:
    """The definition that retrieval found makes its name likelier than it is without."""
    asked = request(PREFIX + "ledger.grand_")
    completer.prepare(asked, retrieve)
    told = completer.complete(asked, retrieve)
    assert told.text.startswith("total")


def test_coming_back_from_another_mode_computes_nothing(completer: Completer) -> None:
    completer.prepare(request(), retrieve)
    completer.complete(request(), retrieve)
    plain = completer.complete(request(context="none"), retrieve)
    back = completer.complete(request(), retrieve)
    assert plain.mode == "none"
    assert back.prompt_tokens - back.reused_tokens <= 1


def test_a_share_places_fewer_rows_of_more_text(completer: Completer, model: LoadedModel) -> None:
    whole = _prepared(completer)
    part = _prepared(
        Completer(model, SETTINGS, drafts=DraftSettings(enabled=False), blocks=BlockSettings(share=0.25))
    )
    assert part.prompt_tokens <= SETTINGS.window_tokens + SETTINGS.block_tokens + 1
    assert part.text is not None
    assert whole.prompt_tokens > SETTINGS.window_tokens


def test_drafts_change_nothing(completer: Completer, model: LoadedModel) -> None:
    plain = _prepared(completer)
    drafted = _prepared(Completer(model, SETTINGS))
    assert drafted.text == plain.text


@pytest.mark.parametrize("context", ["hybrid", "snippets", "auto"])
def test_another_context_leaves_no_room_for_blocks_and_goes_on_without(context: str) -> None:
    settings = ModelSettings(name=EMBEDDED_TINY, context=context)
    small = load_from_settings(settings)
    assert (small.decoder.capacity, small.decoder.n_slots) == (small.positions, settings.recent_places)
    completer = Completer(small, settings)
    assert completer.mode("blocks") == "hybrid"
    for typed in ("", "l"):  # the context is held at the second key
        assert completer.complete(request(PREFIX + typed, context), retrieve).mode != "blocks"
    assert not completer.tend(lambda: False)


def test_the_window_leaves_room_among_the_positions(model: LoadedModel) -> None:
    assert model.positions >= SETTINGS.window_tokens + FIRST


def _prepared(completer: Completer) -> Completion:
    completer.prepare(request(), retrieve)
    return completer.complete(request(), retrieve)
