"""Slots have the rows that the longest prompts take and no more, and as many places are held as have room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.blocks.block import SPAN
from model.blocks.choosing import BlockChoice
from model.blocks.library import BlockText
from model.blocks.packing import PackedRows
from model.completer import Completer
from model.engines.decoder import Rows, joined
from model.loaded import LoadedModel
from model.loading import load_from_settings
from model.prompt import Prompt
from model.repository import PACKAGE_LEVEL, RetrievalQuery
from model.request import Completion, Request
from model.room import FEWEST_PLACES, Room, room_for
from model.settings import DEFAULT_MODEL, DraftSettings, ModelSettings
from tests.model.found_item import FoundItem
from tests.tiny_checkpoint import write_tiny_checkpoint

DIGITS = "".join(map(str, range(10_000)))  # a token each, so a text may be cut anywhere
WINDOW, ROWS, ANSWER = 100, 4 * SPAN, 8
SETTINGS = ModelSettings(
    context="blocks", context_tokens=500, window_tokens=WINDOW, block_tokens=ROWS, max_tokens=ANSWER
)
ROW_135M, ROW_500M = (2 * layers * kv_heads * 64 * 4 for layers, kv_heads in ((30, 3), (24, 2)))  # bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("room") / "coder"
    write_tiny_checkpoint(folder, adapter=False, max_position_embeddings=1024)
    return folder


def loaded(folder: Path, settings: ModelSettings = SETTINGS) -> LoadedModel:
    return load_from_settings(replace(settings, name=str(folder)), embedded=folder.with_name("nothing"))


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedModel:
    return loaded(folder)


@pytest.fixture
def completer(model: LoadedModel) -> Completer:
    for slot in range(model.decoder.n_slots):
        model.decoder.select(slot)
        model.decoder.rewind(0)
    return Completer(model, SETTINGS, drafts=DraftSettings(enabled=False))


def retrieve(query: RetrievalQuery) -> Sequence[FoundItem]:
    return [FoundItem(f"{n}.py", DIGITS[n * 300 :][:300]) for n in range(9)]


def answer(completer: Completer, context: str, max_tokens: int = ANSWER) -> Completion:
    asked = Request("a.py", DIGITS, "\n", context, max_tokens=max_tokens, deadline_ms=600_000.0)
    completer.prepare(asked, retrieve)
    return completer.complete(asked, retrieve)


def test_the_longest_prompt_with_blocks_and_its_completion_fill_a_slot(completer: Completer) -> None:
    read = answer(completer, "blocks").prompt_tokens
    assert read == 1 + ROWS + WINDOW  # in a slot that is a row shorter the window would be
    assert completer.model.decoder.capacity == read + ANSWER


@pytest.mark.parametrize("context", ["none", "snippets"])
def test_without_blocks_the_longest_prompt_has_room_as_well(folder: Path, context: str) -> None:
    few = replace(SETTINGS, block_tokens=16)
    model = loaded(folder, few)
    completer = Completer(model, few, drafts=DraftSettings(enabled=False))
    assert answer(completer, context).prompt_tokens == few.context_tokens
    assert model.decoder.capacity == few.context_tokens + ANSWER


@pytest.mark.parametrize("context", ["none", "blocks"])
@pytest.mark.parametrize("max_tokens", [ANSWER + 1, 512])
def test_a_longer_completion_than_was_set_takes_room_of_its_document(
    completer: Completer, context: str, max_tokens: int
) -> None:
    """A folder's `model.maxTokens` loads no other model."""
    done = answer(completer, context, max_tokens)
    assert done.tokens > ANSWER or done.stopped == "end"
    assert done.prompt_tokens + done.tokens <= completer.model.decoder.capacity


def test_a_text_below_that_has_grown_is_cut_to_the_rows_that_are_left(model: LoadedModel) -> None:
    chosen = [BlockText("b.py", tuple(range(n))) for n in (90, 50)]
    for share in (1.0, 0.5):
        choice = BlockChoice(model.vocabulary, 150, share, reads_below=True)
        below = choice.below("\n" + DIGITS, chosen)
        assert below is not None
        room = 150 - sum(len(text.ids) for text in chosen) * share
        assert len(below.ids) == min(SPAN, room / share)
    assert BlockChoice(model.vocabulary, 140, 1.0, reads_below=True).below("\n" + DIGITS, chosen) is None


def test_while_somebody_types_blocks_have_no_more_rows_than_were_set(tmp_path: Path) -> None:
    write_tiny_checkpoint(
        tmp_path / "ltr", adapter=False, control=("<|endoftext|>",), max_position_embeddings=1024
    )
    model = loaded(tmp_path / "ltr")
    completer = Completer(model, SETTINGS, drafts=DraftSettings(enabled=False))
    for below in ("1\n", "1\n" + "2 " * 40 + "\n"):  # the context is held
        asked = Request("a.py", DIGITS, "\n" + below, "blocks", max_tokens=4, deadline_ms=600_000.0)
        completer.complete(asked, retrieve)
        while completer.tend(lambda: False):
            pass
        assert completer.complete(asked, retrieve).prompt_tokens <= 1 + ROWS + WINDOW


@pytest.mark.parametrize(
    ("settings", "row_bytes", "places_blocks", "room"),
    [
        (DEFAULT_MODEL, ROW_135M, True, Room(1 + 1024 + 448 + 48, 2, makes_blocks=True)),
        (DEFAULT_MODEL, ROW_500M, True, Room(1521, 4, makes_blocks=True)),
        (DEFAULT_MODEL, ROW_500M, False, Room(1008, 4, makes_blocks=False)),
        (replace(DEFAULT_MODEL, recent_places_bytes=10**9), ROW_135M, True, Room(1521, 4, makes_blocks=True)),
        (
            replace(DEFAULT_MODEL, recent_places_bytes=0),
            1,
            True,
            Room(1521, FEWEST_PLACES, makes_blocks=True),
        ),
        (replace(DEFAULT_MODEL, recent_places=1), ROW_135M, True, Room(1521, 1, makes_blocks=True)),
        (DEFAULT_MODEL, None, True, Room(1521, 4, makes_blocks=True)),
    ],
)
def test_as_many_places_are_held_as_have_room(
    settings: ModelSettings, row_bytes: int | None, places_blocks: bool, room: Room
) -> None:
    n_bytes = None if row_bytes is None else lambda rows: rows * row_bytes
    assert room_for(settings, 1008, places_blocks=places_blocks, n_bytes=n_bytes) == room


def test_who_has_fewer_places_than_asked_is_told(folder: Path, model: LoadedModel) -> None:
    few = loaded(folder, replace(SETTINGS, recent_places_bytes=1))
    assert (few.places, few.decoder.n_slots) == (2, 3)
    assert few.notes[-1].endswith("holds 2 recent places and not 4: for more, raise model.recentPlacesBytes")
    assert (model.places, model.decoder.n_slots) == (4, 5)
    assert not any("places" in note for note in model.notes)


def test_a_held_context_has_its_blocks_packed(completer: Completer) -> None:
    answer(completer, "blocks")
    answer(completer, "blocks")
    (held,) = completer._contexts._held
    assert len(held.found_blocks) == 1 + ROWS // SPAN
    assert all(isinstance(block.kept, PackedRows) for block in held.found_blocks[1:])


def test_rows_are_joined_in_their_order() -> None:
    draw = np.random.default_rng(0)
    keys, values = draw.standard_normal((2, 3, 2, 9, 4), np.float32)
    rows = Rows(keys, values, np.arange(9))
    again = joined(iter([rows[:2], rows[2:3], rows[3:]]), 9)
    for name in ("keys", "values", "positions"):
        np.testing.assert_array_equal(getattr(again, name), getattr(rows, name))
    assert joined(iter([rows]), 9) is rows


def test_what_is_of_a_package_is_a_block_of_no_file(model: LoadedModel) -> None:
    """On the disk a block goes with its file; a package's path is no file of the repository."""
    items = [FoundItem("b.py", "12"), FoundItem("lib/b.py", "34", level=PACKAGE_LEVEL)]
    window = Prompt((), np.zeros((0, model.hidden_size), np.float32))
    texts, _ = BlockChoice(model.vocabulary, ROWS, 1.0).choose(items, window, "", "")
    assert [text.path for text in texts] == ["b.py", None]
