"""Blocks as they are read: in whatever steps, at the places where they will stand, by the tiny embedded coder."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from model.blocks.block import FIRST, SPAN, digest_of, n_kept
from model.blocks.making import BlockMaker
from model.engines.decoder import Decoder
from model.loading import load_from_settings
from model.settings import EMBEDDED_TINY, ModelSettings
from model.vocabulary import Vocabulary

TEXT = "def total(ledger: Ledger) -> int:\n    return sum(entry.amount for entry in ledger.entries)\n"


@pytest.fixture(scope="module")
def shipped() -> tuple[Decoder, Vocabulary]:
    model = load_from_settings(ModelSettings(name=EMBEDDED_TINY, context="blocks"))
    return model.decoder, model.vocabulary


def maker(shipped: tuple[Decoder, Vocabulary], share: float = 1.0, seconds: float = 0.0) -> BlockMaker:
    """`seconds`: that each step seems to take."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += seconds
        return now

    decoder, vocabulary = shipped
    return BlockMaker(decoder, decoder.n_slots - 1, vocabulary.fim.end, share, clock)


def never() -> bool:
    return False


def test_a_block_reads_the_sink_and_itself_right_in_front_of_what_follows(
    shipped: tuple[Decoder, Vocabulary],
) -> None:
    ids = shipped[1].encode(TEXT)
    block = maker(shipped).make(ids, never)
    assert block is not None
    assert block.digest == digest_of(ids)
    assert block.rows.positions.tolist() == list(range(FIRST - len(ids), FIRST))
    # The first layer's values know neither place nor neighbors; and what a slot held before is not seen.
    again = maker(shipped).make(ids, never)
    assert again is not None
    np.testing.assert_array_equal(block.rows.keys, again.rows.keys)
    other = maker(shipped).make(ids[:-1], never)
    assert other is not None
    np.testing.assert_array_equal(other.rows.values[0], block.rows.values[0][:, :-1])


def test_steps_and_interruptions_change_nothing(shipped: tuple[Decoder, Vocabulary]) -> None:
    ids = shipped[1].encode(TEXT * 3)[:SPAN]
    whole = maker(shipped).make(ids, never)
    slow, calls = maker(shipped, seconds=1.0), iter([False, True, False, True] + [False] * 100)
    n_interrupted = 0
    while (block := slow.make(ids, lambda: next(calls))) is None:
        n_interrupted += 1
    assert n_interrupted == 2
    assert whole is not None
    np.testing.assert_array_equal(block.rows.keys, whole.rows.keys)
    np.testing.assert_array_equal(block.rows.values, whole.rows.values)


def test_another_text_begins_anew(shipped: tuple[Decoder, Vocabulary]) -> None:
    ids = shipped[1].encode(TEXT * 3)[:SPAN]
    calls = iter([False, True])
    slow = maker(shipped, seconds=1.0)
    assert slow.make(ids, lambda: next(calls)) is None
    block = slow.make(ids[5:], never)
    whole = maker(shipped).make(ids[5:], never)
    assert block is not None
    assert whole is not None
    np.testing.assert_array_equal(block.rows.keys, whole.rows.keys)


@pytest.mark.parametrize("share", [0.5, 0.25, 0.05])
def test_a_share_keeps_the_first_row_and_the_most_surprising(
    share: float, shipped: tuple[Decoder, Vocabulary]
) -> None:
    ids = shipped[1].encode(TEXT)
    whole = maker(shipped).make(ids, never)
    part = maker(shipped, share).make(ids, never)
    assert whole is not None
    assert part is not None
    assert len(part) == n_kept(len(ids), share)
    rows = part.rows.positions - whole.rows.positions[0]
    assert rows[0] == 0
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(part.rows.keys, whole.rows.keys[:, :, rows])


def test_what_surprises_is_told_by_the_coder(shipped: tuple[Decoder, Vocabulary]) -> None:
    """A name that nobody expects is kept before the ninth round of one line."""
    vocabulary = shipped[1]
    ids = vocabulary.encode("x = 1\n" * 9 + "zebra = 1\n" + "x = 1\n" * 9)
    part = maker(shipped, 0.2).make(ids, never)
    assert part is not None
    kept = [ids[position - (FIRST - len(ids))] for position in part.rows.positions.tolist()]
    assert set(vocabulary.encode("zebra")) & set(kept)


@pytest.mark.parametrize("n", [0, SPAN + 1])
def test_a_text_that_is_no_block_is_refused(n: int, shipped: tuple[Decoder, Vocabulary]) -> None:
    with pytest.raises(ValueError, match=f"1 to {SPAN} tokens, not {n}"):
        maker(shipped).make([5] * n, never)


def test_the_sink_is_one_row_at_the_beginning(shipped: tuple[Decoder, Vocabulary]) -> None:
    sink = maker(shipped).sink
    assert sink.rows.positions.tolist() == [0]
    assert sink.digest == digest_of([shipped[1].fim.end])


@pytest.fixture(autouse=True)
def empty_slots(shipped: tuple[Decoder, Vocabulary]) -> Iterator[None]:
    yield
    for slot in range(shipped[0].n_slots):
        shipped[0].select(slot)
        shipped[0].rewind(0)
